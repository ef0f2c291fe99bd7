//! The table of all settings: key, default and description. The defaults in force,
//! `config.example.toml`, `docs/configuration.md` and what `payrecond init` writes all come from it.
//!
//! Ranges are not here: `rules` checks them, and the documentation quotes its messages.

mod sections;

use std::fmt::Write as _;

pub use self::sections::SECTIONS;

/// Width of a comment line, in columns.
const WIDTH: usize = 110;

/// One section of the configuration.
#[derive(Debug)]
pub struct SectionText {
    /// The name between brackets.
    pub name: &'static str,
    /// Whether the section may occur several times, in double brackets.
    pub repeats: bool,
    /// What the section is about; may be empty.
    pub about: &'static str,
    /// Its settings, in the order of the documentation.
    pub settings: &'static [SettingText],
}

/// One setting.
#[derive(Debug)]
pub struct SettingText {
    /// The key within its section.
    pub key: &'static str,
    /// The default, written as in the file.
    pub default: &'static str,
    /// What the setting does. One paragraph.
    pub about: &'static str,
}

impl SectionText {
    /// The line that begins the section: `[polling]`, `[[account]]`.
    pub fn header(&self) -> String {
        if self.repeats {
            format!("[[{}]]", self.name)
        } else {
            format!("[{}]", self.name)
        }
    }
}

/// How the configuration is found and written. The introduction of both generated files.
pub const PREFACE: &str = "\
Every setting of payrecond, with its default.

A file needs only the settings that differ from the defaults; payrecond also runs without a file. It reads the first of these: --config FILE, \
$PAYRECOND_CONFIG, ./payrecond.toml, /etc/payrecond/payrecond.toml. `payrecond init` writes a first one.

An environment variable overrides the file: PAYRECOND__ and the path in capitals, with two underscores between levels, such as \
PAYRECOND__POLLING__MIN_INTERVAL=5s or PAYRECOND__ACCOUNT__0__BASE_URL=https://pay.example. Lists are separated by commas: \
PAYRECOND__POLLING__CHECKS_AFTER_EXPIRY=1s,30s,2m.

Durations are text, a whole number and one unit: 250ms, 3s, 10m, 24h, 10d.

An unknown key or a value out of range is an error with exit code 78. `payrecond check` finds it without starting the daemon.";

/// The text of `config.example.toml`: every setting at its default.
pub fn example() -> String {
    let mut text = comment(PREFACE);
    for section in SECTIONS {
        text.push('\n');
        text.push_str(&comment(section.about));
        let _ = writeln!(text, "{}", section.header());
        for setting in section.settings {
            text.push_str(&setting.commented(setting.default));
        }
    }
    text
}

impl SettingText {
    /// The setting with `value`, below its description.
    pub fn commented(&self, value: &str) -> String {
        // Writing to a String cannot fail.
        let mut text = comment(self.about);
        let _ = writeln!(text, "{} = {value}", self.key);
        text
    }
}

/// Paragraphs as lines of a comment in TOML.
pub fn comment(about: &str) -> String {
    let mut text = String::new();
    for paragraph in about.lines() {
        let mut line = "#".to_owned();
        for word in paragraph.split(' ').filter(|word| !word.is_empty()) {
            if line.len() + 1 + word.len() > WIDTH {
                text.push_str(&line);
                text.push('\n');
                "#".clone_into(&mut line);
            }
            line.push(' ');
            line.push_str(word);
        }
        text.push_str(&line);
        text.push('\n');
    }
    text
}
