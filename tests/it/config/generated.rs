//! `config.example.toml` and `docs/configuration.md` are generated from the table of settings:
//! `RENEW=1 cargo test --test it config::generated` writes them.

use std::fmt::Write as _;
use std::fs;

use payrecond::config::settings::{PREFACE, SECTIONS, SectionText, SettingText, example};

use payrecond::config::{Config, Environment, default_key_file, starter};
use payrecond::provider::kind::ProviderKind;
use payrecond::provider::registry::PROVIDERS;
use payrecond::provider::setting::SettingKind;

use super::refusal;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What a setting accepts, taken from the message that refuses a value of the wrong type.
fn expected(section: &SectionText, setting: &SettingText) -> String {
    let text = format!("{}\n{} = [{{}}]", section.header(), setting.key);
    let message = refusal(&text, &[]);
    let (_, expected) = message.split_once("expected ").unwrap();
    expected.trim_end_matches(" (units: ms, s, m, h, d)").into()
}

fn documentation() -> String {
    let mut text = "# Configuration\n\n".to_owned();
    text += "<!-- generated from src/config/settings.rs: RENEW=1 cargo test --test it config::generated -->\n\n";
    writeln!(text, "{PREFACE}").unwrap();
    for section in SECTIONS {
        write!(text, "\n## `{}`\n\n", section.header()).unwrap();
        if !section.about.is_empty() {
            write!(text, "{}\n\n", section.about).unwrap();
        }
        text += "| key | default | expected | meaning |\n|---|---|---|---|\n";
        for setting in section.settings {
            let (key, default) = (setting.key, setting.default);
            let (expected, about) = (expected(section, setting), setting.about);
            writeln!(text, "| `{key}` | `{default}` | {expected} | {about} |").unwrap();
        }
    }
    text + &providers()
}

/// The table of a provider's settings.
fn provider_settings(kind: &ProviderKind) -> String {
    let mut text = String::from("| key | default | expected | meaning |\n|---|---|---|---|\n");
    for setting in kind.settings {
        let key = setting.key;
        let default = match (setting.default, &setting.kind) {
            (None, _) => "required".to_owned(),
            (Some(default), SettingKind::Text { .. }) => format!("`{default:?}`"),
            (Some(default), SettingKind::Decimal { .. }) => format!("`{default}`"),
        };
        let wrong = format!(
            "[[account]]\nprovider = {:?}\n[account.settings]\n{key} = [{{}}]",
            kind.name
        );
        let message = refusal(&wrong, &[]);
        let problem = format!("account[0].settings.{key} = ");
        let line = message
            .lines()
            .find(|line| line.starts_with(&problem))
            .unwrap();
        let (_, expected) = line.split_once("expected ").unwrap();
        let help = setting.help;
        let expected = expected.trim_end_matches(&format!(" ({help})"));
        writeln!(text, "| `{key}` | {default} | {expected} | {help} |").unwrap();
    }
    text
}

/// The defaults that differ between providers.
fn providers() -> String {
    let mut text = String::from(
        "\n## Providers\n\nThe defaults that depend on the provider:\n\n\
         | provider | base_url | api_key_file | requests_per_second |\n|---|---|---|---|\n",
    );
    for kind in PROVIDERS {
        let (name, url, rate) = (kind.name, kind.base_url, kind.requests_per_second);
        let key_file = default_key_file(kind);
        writeln!(text, "| `{name}` | `{url}` | `{key_file}` | `{rate:?}` |").unwrap();
    }
    for kind in PROVIDERS.iter().filter(|kind| !kind.settings.is_empty()) {
        let table = provider_settings(kind);
        write!(
            text,
            "\n### `[account.settings]` of `{}`\n\n{table}",
            kind.name
        )
        .unwrap();
    }
    text
}

fn assert_generated(name: &str, text: &str) {
    let path = format!("{ROOT}/{name}");
    if std::env::var_os("RENEW").is_some() {
        fs::write(&path, text).unwrap();
    }
    assert!(
        fs::read_to_string(&path).is_ok_and(|kept| kept == text),
        "{name} is not what the table of settings gives: RENEW=1 cargo test --test it config::generated"
    );
}

#[test]
fn the_example_is_generated_from_the_table_of_settings() {
    assert_generated("config.example.toml", &example());
}

#[test]
fn the_documentation_is_generated_from_the_table_of_settings() {
    assert_generated("docs/configuration.md", &documentation());
}

#[test]
fn the_first_file_is_accepted_for_every_provider() {
    for kind in PROVIDERS {
        let text = starter(kind);
        let config = Config::parse(&text, &Environment::default());
        let config = config.unwrap_or_else(|error| panic!("{}: {error}", kind.name));
        let account = &config.accounts[0];
        assert_eq!(account.provider.name, kind.name);
        assert_eq!(
            account.api_key_file.to_str(),
            Some(&*default_key_file(kind))
        );
        for setting in kind.settings {
            assert!(text.contains(&format!("\n{} = ", setting.key)), "{text}");
        }
    }
}

#[test]
fn every_setting_of_a_provider_is_described() {
    for setting in PROVIDERS.iter().flat_map(|kind| kind.settings) {
        assert!(setting.help.len() > 10, "{}", setting.key);
    }
}

#[test]
fn every_setting_is_described() {
    for section in SECTIONS {
        for setting in section.settings {
            let (name, key, about) = (section.name, setting.key, setting.about);
            assert!(about.len() > 10 && about.ends_with('.'), "{name}.{key}");
            assert!(
                !about.contains('|') && !about.contains('\n'),
                "{name}.{key}"
            );
        }
    }
}
