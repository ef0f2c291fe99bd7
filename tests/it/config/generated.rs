//! `config.example.toml` and `docs/configuration.md` are what the table of settings in the code gives:
//! `RENEW=1 cargo test --test it config::generated` writes them.

use std::fmt::Write as _;
use std::fs;

use payrecond::config::settings::{PREFACE, SECTIONS, SectionText, SettingText, example};

use super::refusal;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What a setting accepts, in the words of the message that refuses a value of the wrong type.
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
