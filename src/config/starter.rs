//! The text of a first configuration file for one provider, as `payrecond init` writes it.

use std::fmt::Write as _;

use super::settings::{SECTIONS, SectionText, comment};
use crate::provider::kind::ProviderKind;
use crate::provider::setting::{Setting, SettingKind};

/// The settings of a first file. All others stay at their defaults.
const FIRST: &[(&str, &[&str])] = &[
    ("database", &["path"]),
    (
        "account",
        &[
            "name",
            "provider",
            "base_url",
            "api_key_file",
            "requests_per_second",
        ],
    ),
    ("feed", &["stdout"]),
    ("server", &["listen"]),
    ("log", &["level"]),
];

/// Where the key of a provider's account is searched last, unless configured.
pub fn default_key_file(provider: &ProviderKind) -> String {
    format!("/etc/payrecond/{}.key", provider.name)
}

/// A commented configuration with one account at `provider`.
pub fn starter(provider: &ProviderKind) -> String {
    let name = provider.name;
    let mut text = comment(&format!(
        "payrecond configuration with one account at {name}.\n\nSettings that are left out have their defaults. \
         config.example.toml and docs/configuration.md describe all of them; docs/providers/{name}.md describes {name}.",
    ));
    for (section, keys) in FIRST {
        let known = SECTIONS.iter().find(|known| known.name == *section);
        if let Some(known) = known {
            text.push('\n');
            text.push_str(&section_text(known, keys, provider));
        }
    }
    text
}

fn section_text(section: &SectionText, keys: &[&str], provider: &ProviderKind) -> String {
    // Writing to a String cannot fail.
    let mut text = String::new();
    let _ = writeln!(text, "{}", section.header());
    for setting in section.settings {
        if keys.contains(&setting.key) {
            let value = value(section.name, setting.key, setting.default, provider);
            text.push_str(&setting.commented(&value));
        }
    }
    if section.name == "account" && !provider.settings.is_empty() {
        text.push_str("\n[account.settings]\n");
        for setting in provider.settings {
            text.push_str(&provider_setting(setting));
        }
    }
    text
}

/// The value in force for `provider` where it depends on the provider, else the default.
fn value(section: &str, key: &str, default: &str, provider: &ProviderKind) -> String {
    match (section, key) {
        ("account", "provider") => format!("{:?}", provider.name),
        ("account", "api_key_file") => format!("{:?}", default_key_file(provider)),
        ("account", "requests_per_second") => format!("{:?}", provider.requests_per_second),
        _ => default.to_owned(),
    }
}

fn provider_setting(setting: &Setting) -> String {
    let default = setting.default.unwrap_or_default();
    let mut text = comment(setting.help);
    let _ = match setting.kind {
        SettingKind::Text { .. } => writeln!(text, "{} = {default:?}", setting.key),
        SettingKind::Decimal { .. } => writeln!(text, "{} = {default}", setting.key),
    };
    text
}
