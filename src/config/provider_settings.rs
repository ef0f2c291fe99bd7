//! The settings of a single provider, `[account.settings]`, as the provider describes them.

use ::config::{Value, ValueKind};

use super::section::Section;
use super::table::SettingsTable;
use crate::provider::setting::{Setting, SettingKind, Settings};

/// The names of `settings`, each with a value of its kind.
pub(super) fn template<'s>(settings: impl IntoIterator<Item = &'s Setting>) -> SettingsTable {
    settings
        .into_iter()
        .map(|setting| (setting.key.to_owned(), Value::new(None, sample(setting))))
        .collect()
}

/// The default, if there is one: its type is the type that a variable's text is converted to.
fn sample(setting: &Setting) -> ValueKind {
    let default = setting.default.unwrap_or_default();
    match &setting.kind {
        SettingKind::Text { .. } => ValueKind::String(default.to_owned()),
        SettingKind::Decimal { .. } => ValueKind::Float(default.parse().unwrap_or_default()),
    }
}

/// All of `settings`, with the values of `section`.
pub(super) fn read(section: &mut Section<'_>, settings: &'static [Setting]) -> Settings {
    let each = settings.iter().map(|setting| {
        let value = section.value(setting.key, |kind| value(setting, kind));
        (setting.key, value.unwrap_or_default())
    });
    each.collect()
}

fn value(setting: &Setting, given: &ValueKind) -> Result<String, String> {
    let found = match (&setting.kind, given) {
        (_, ValueKind::Nil) => {
            let default = setting.default.map(str::to_owned);
            return default.ok_or_else(|| format!("must be given: {}", expected(setting)));
        }
        (SettingKind::Text { is_valid, .. }, ValueKind::String(text)) => {
            let is_default = setting.default == Some(text.as_str());
            (is_default || is_valid(text)).then(|| text.clone())
        }
        (SettingKind::Decimal { least, most }, ValueKind::Float(number)) => (*least..=*most)
            .contains(number)
            .then(|| number.to_string()),
        (SettingKind::Decimal { least, most }, ValueKind::I64(number)) => {
            let within =
                i32::try_from(*number).is_ok_and(|n| (*least..=*most).contains(&f64::from(n)));
            within.then(|| number.to_string())
        }
        _ => None,
    };
    found.ok_or_else(|| format!("expected {}", expected(setting)))
}

/// What a setting accepts, and its description.
fn expected(setting: &Setting) -> String {
    let expected = match &setting.kind {
        SettingKind::Text { expected, .. } => (*expected).to_owned(),
        SettingKind::Decimal { least, most } => format!("a number from {least} to {most}"),
    };
    let or_default = match setting.default {
        Some("") => " or \"\"",
        Some(_) | None => "",
    };
    format!("{expected}{or_default} ({})", setting.help)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: &[Setting] = &[
        Setting {
            key: "shop_id",
            kind: SettingKind::Text {
                is_valid: |text| text.len() < 5,
                expected: "up to 4 characters",
            },
            default: None,
            unset: "",
            help: "the shop",
        },
        Setting {
            key: "fee",
            kind: SettingKind::Decimal {
                least: 0.0,
                most: 0.5,
            },
            default: Some("0.01"),
            unset: "",
            help: "the part that the provider keeps",
        },
        Setting {
            key: "link",
            kind: SettingKind::Text {
                is_valid: |text| text.starts_with("https://"),
                expected: "an https address",
            },
            default: Some(""),
            unset: "",
            help: "where the payer goes",
        },
    ];

    fn read_all(values: &[(&str, ValueKind)]) -> (Settings, Vec<String>) {
        let values: SettingsTable = values
            .iter()
            .map(|(key, kind)| ((*key).to_owned(), Value::new(None, kind.clone())))
            .collect();
        let mut problems = Vec::new();
        let path = "account[0].settings";
        let mut section = Section::new(path, Some(&values), None, &mut problems);
        let settings = read(&mut section, SETTINGS);
        (settings, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn missing_settings_have_defaults_and_numbers_keep_their_digits() {
        let shop = ("shop_id", ValueKind::String("ab".into()));
        let (settings, problems) = read_all(std::slice::from_ref(&shop));
        assert_eq!(problems, [] as [&str; 0]);
        let found = ["shop_id", "fee", "link", "other"].map(|key| settings.get(key));
        assert_eq!(found, ["ab", "0.01", "", ""]);
        let (settings, _) = read_all(&[shop, ("fee", ValueKind::Float(0.035))]);
        assert_eq!(settings.get("fee"), "0.035");
    }

    #[test]
    fn each_problem_names_path_value_and_expectation() {
        let (_, problems) =
            read_all(&[("fee", ValueKind::Float(0.6)), ("link", ValueKind::I64(5))]);
        assert_eq!(
            problems,
            [
                "account[0].settings.shop_id = nothing: must be given: up to 4 characters (the shop)",
                "account[0].settings.fee = 0.6: expected a number from 0 to 0.5 (the part that the provider keeps)",
                "account[0].settings.link = 5: expected an https address or \"\" (where the payer goes)",
            ]
        );
    }
}
