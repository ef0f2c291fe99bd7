//! Where settings come from: the file, the environment, flags; merged with the `config` crate over
//! the defaults.
//!
//! Each value carries its origin (file and line, or variable) for the messages.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use ::config::{Map, Source, Value, ValueKind};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Environment;
use super::error::{ConfigError, Problem, suggests_secret};
use super::shape;
use super::table::SettingsTable;

/// Longest configuration file, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Maximum number of syntax errors shown for a file: later ones usually follow from the first.
const MAX_SYNTAX_ERRORS: usize = 5;

/// The prefix of variables that set a setting.
pub(super) const VARIABLE_PREFIX: &str = "PAYRECOND__";

/// The configuration file in force and its text; `None` when none is named and none exists at the
/// default paths.
pub(super) fn find_file(
    flag: Option<&Path>,
    env: &Environment,
) -> Result<Option<(PathBuf, String)>, ConfigError> {
    let variable = env.get("PAYRECOND_CONFIG").filter(|path| !path.is_empty());
    let named = flag
        .map(|path| (path, "--config"))
        .or_else(|| variable.map(|path| (Path::new(path), "$PAYRECOND_CONFIG")));
    if let Some((path, by)) = named {
        let text = read_file(path)?.ok_or_else(|| {
            ConfigError::one(format!(
                "configuration file {} (named by {by}): no such file; correct the path, or \
                 write one with `payrecond init --output {}`",
                path.display(),
                path.display()
            ))
        })?;
        return Ok(Some((path.to_owned(), text)));
    }
    for path in ["./payrecond.toml", "/etc/payrecond/payrecond.toml"].map(Path::new) {
        if let Some(text) = read_file(path)? {
            return Ok(Some((path.to_owned(), text)));
        }
    }
    Ok(None)
}

/// The text of a file; `None` when there is no such file.
fn read_file(path: &Path) -> Result<Option<String>, ConfigError> {
    let cannot =
        |why: &str| ConfigError::one(format!("configuration file {}: {why}", path.display()));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(&error.to_string())),
    };
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| cannot(&error.to_string()))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(cannot("longer than 1 MiB"));
    }
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| cannot("not UTF-8 text"))
}

/// Settings of one origin, in the form the `config` crate merges.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer(pub SettingsTable);

impl Layer {
    /// Whether it has a value for a setting.
    pub(super) fn sets(&self, section: &str, key: &str) -> bool {
        let table = self
            .0
            .get(section)
            .and_then(|value| value.clone().into_table().ok());
        table.is_some_and(|table| table.contains_key(key))
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ::config::ConfigError> {
        Ok(self.0.clone())
    }
}

/// The layers as one tree, a later one winning over those before it.
pub(super) fn merge(layers: Vec<Layer>) -> Result<SettingsTable, ConfigError> {
    let mut builder = ::config::Config::builder();
    for layer in layers {
        builder = builder.add_source(layer);
    }
    let merged = builder
        .build()
        .map_err(|error| ConfigError::one(error.to_string()))?;
    match merged.cache.kind {
        ValueKind::Table(table) => Ok(table),
        _ => Ok(SettingsTable::new()),
    }
}

/// Parses TOML. `name` is what messages call the text; `None` leaves values without an origin.
pub(super) fn parse_toml(name: Option<&str>, text: &str) -> Result<Layer, ConfigError> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let file = name.unwrap_or("configuration");
        let lines = errors.iter().take(MAX_SYNTAX_ERRORS).map(|error| {
            let at = error.span().map_or(text.len(), |span| span.start);
            format!(
                "{file} line {}: {}{}",
                line(text, at),
                error.message(),
                quoted(text, at)
            )
        });
        return Err(ConfigError::many(lines));
    }
    Ok(Layer(TomlText { name, text }.table(table.get_ref())))
}

/// The number of the line that contains the byte `at`, from 1.
fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// The line with the error, unless it may hold a secret.
fn quoted(text: &str, at: usize) -> String {
    let found = text
        .lines()
        .nth(line(text, at) - 1)
        .unwrap_or_default()
        .trim();
    if found.is_empty() || suggests_secret(found) {
        return String::new();
    }
    format!(", in {:?}", found.chars().take(120).collect::<String>())
}

struct TomlText<'a> {
    name: Option<&'a str>,
    text: &'a str,
}

impl TomlText<'_> {
    fn table(&self, table: &DeTable<'_>) -> SettingsTable {
        table
            .iter()
            .map(|(key, value)| (key.get_ref().to_string(), self.value(value)))
            .collect()
    }

    fn value(&self, value: &Spanned<DeValue<'_>>) -> Value {
        let line = line(self.text, value.span().start);
        let origin = self.name.map(|name| format!("{name} line {line}"));
        let kind = match value.get_ref() {
            DeValue::String(text) => ValueKind::String(text.to_string()),
            // An integer too large for the type becomes a float, which no range accepts.
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| too_large(number.as_str()), ValueKind::I64),
            DeValue::Float(number) => too_large(number.as_str()),
            DeValue::Boolean(value) => ValueKind::Boolean(*value),
            // No setting is a date. A list is what no setting with a text default accepts.
            DeValue::Datetime(date) => {
                ValueKind::Array(vec![Value::new(None, ValueKind::String(date.to_string()))])
            }
            DeValue::Array(items) => {
                ValueKind::Array(items.iter().map(|item| self.value(item)).collect())
            }
            DeValue::Table(table) => ValueKind::Table(self.table(table)),
        };
        Value::new(origin.as_ref(), kind)
    }
}

fn too_large(number: &str) -> ValueKind {
    ValueKind::Float(number.parse().unwrap_or(f64::NAN))
}

/// The settings in variables `PAYRECOND__…`. Each text is converted to the type of the default at
/// its path; a text that does not fit stays a text, and is refused by the type check.
pub(super) fn from_environment(
    env: &Environment,
    template: &SettingsTable,
    problems: &mut Vec<Problem>,
) -> Layer {
    let mut layer = Layer::default();
    for (rest, value) in env.with_prefix(VARIABLE_PREFIX) {
        let origin = format!("variable {VARIABLE_PREFIX}{rest}");
        let path = rest.to_lowercase();
        let segments: Vec<&str> = path.split("__").collect();
        add_text(&mut layer, &segments, value, &origin, template, problems);
    }
    layer
}

/// The settings in flags, as pairs of path (`database.path`, `account[0].base_url`) and text.
pub(super) fn from_flags(
    flags: &[(&str, &str)],
    template: &SettingsTable,
    problems: &mut Vec<Problem>,
) -> Layer {
    let mut layer = Layer::default();
    for (path, text) in flags {
        let dotted = path.replace('[', ".").replace(']', "");
        let segments: Vec<&str> = dotted.split('.').collect();
        add_text(
            &mut layer,
            &segments,
            OsStr::new(text),
            "a flag",
            template,
            problems,
        );
    }
    layer
}

fn add_text(
    layer: &mut Layer,
    segments: &[&str],
    text: &OsStr,
    origin: &str,
    template: &SettingsTable,
    problems: &mut Vec<Problem>,
) {
    let shown = Value::new(
        Some(&origin.to_owned()),
        ValueKind::String(text.to_string_lossy().into_owned()),
    );
    match shape::locate(template, segments) {
        Ok((path, default)) => {
            let kind = match text.to_str() {
                Some(text) => typed(text, &default),
                None => ValueKind::Nil,
            };
            layer
                .0
                .insert(path, Value::new(Some(&origin.to_owned()), kind));
        }
        Err(unknown) => problems.push(unknown.with_value(&shown)),
    }
}

/// The text as the type of `default`.
fn typed(text: &str, default: &ValueKind) -> ValueKind {
    let parsed = match default {
        ValueKind::Boolean(_) => text.parse().ok().map(ValueKind::Boolean),
        ValueKind::I64(_) => text.parse().ok().map(ValueKind::I64),
        ValueKind::Float(_) => text.parse().ok().map(ValueKind::Float),
        ValueKind::Array(_) => {
            let items = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            Some(ValueKind::Array(items.map(Value::from).collect()))
        }
        _ => None,
    };
    parsed.unwrap_or_else(|| ValueKind::String(text.to_owned()))
}
