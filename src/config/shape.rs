//! Which keys exist: the tree of all defaults, and the search for keys that are not in it.

use ::config::{Value, ValueKind};

use super::error::{Problem, shown, suggests_secret};
use super::provider_settings;
use super::table::SettingsTable;
use crate::provider::registry::PROVIDERS;
use crate::provider::setting::Setting;

/// The list of tables among the settings.
const ACCOUNTS: &str = "account";

/// The table of an account's settings that only its provider has.
pub(super) const SETTINGS: &str = "settings";

/// Maximum number of accounts: limits the index in a variable's name.
const MAX_ACCOUNTS: usize = 1000;

/// A path at which there is no setting.
pub(super) struct Unknown {
    path: String,
    message: String,
}

impl Unknown {
    pub(super) fn with_value(self, value: &Value) -> Problem {
        let value_text = if suggests_secret(&self.path) {
            "(not shown)".to_owned()
        } else {
            shown(value)
        };
        Problem {
            path: self.path,
            value: value_text,
            origin: value.origin().map(str::to_owned),
            message: self.message,
        }
    }
}

/// The table of defaults for one account: the example's first.
pub(super) fn account_template(template: &SettingsTable) -> Option<&SettingsTable> {
    match template.get(ACCOUNTS).map(|accounts| &accounts.kind) {
        Some(ValueKind::Array(accounts)) => match accounts.first().map(|first| &first.kind) {
            Some(ValueKind::Table(table)) => Some(table),
            _ => None,
        },
        _ => None,
    }
}

/// The paths of all settings, in the form that `locate` takes.
pub(super) fn paths(template: &SettingsTable) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    let path = |parts: &[&str]| parts.iter().map(|&part| part.to_owned()).collect();
    for (section, value) in sorted(template) {
        if let ValueKind::Table(table) = &value.kind {
            paths.extend(sorted(table).iter().map(|(key, _)| path(&[section, key])));
        }
    }
    let account = account_template(template).map(sorted).unwrap_or_default();
    paths.extend(account.iter().map(|(key, _)| path(&[ACCOUNTS, "0", key])));
    paths.extend(all_provider_settings().map(|one| path(&[ACCOUNTS, "0", SETTINGS, one.key])));
    paths
}

/// The settings of all providers.
fn all_provider_settings() -> impl Iterator<Item = &'static Setting> {
    PROVIDERS.iter().flat_map(|kind| kind.settings)
}

/// The setting at `segments` (`polling`, `jitter`; `account`, `0`, `name`): its path as written in
/// messages, and its default.
pub(super) fn locate(
    template: &SettingsTable,
    segments: &[&str],
) -> Result<(String, ValueKind), Unknown> {
    match segments {
        [ACCOUNTS, index, key] => match (account_index(index), account_template(template)) {
            (Some(index), Some(account)) => leaf(account, &format!("account[{index}]"), key),
            _ => Err(not_an_account(segments)),
        },
        // The account's provider is not known here: a setting of any provider is accepted.
        [ACCOUNTS, index, SETTINGS, key] => match account_index(index) {
            Some(index) => {
                let known = provider_settings::template(all_provider_settings());
                leaf(&known, &format!("account[{index}].{SETTINGS}"), key)
            }
            None => Err(not_an_account(segments)),
        },
        [ACCOUNTS, ..] => Err(not_an_account(segments)),
        [section, key] => match template.get(*section).map(|value| &value.kind) {
            Some(ValueKind::Table(table)) => leaf(table, section, key),
            _ => Err(unknown("", section, template, template)),
        },
        [section] if template.contains_key(*section) => Err(Unknown {
            path: (*section).to_owned(),
            message: format!(
                "this is a section, not a setting; its keys: {}",
                match &template[*section].kind {
                    ValueKind::Table(table) => names(table),
                    _ => String::new(),
                }
            ),
        }),
        [section, ..] if !template.contains_key(*section) => {
            Err(unknown("", section, template, template))
        }
        _ => Err(Unknown {
            path: segments.join("."),
            message: "unknown key; expected two levels, such as polling.jitter".into(),
        }),
    }
}

fn account_index(text: &str) -> Option<usize> {
    text.parse().ok().filter(|index| *index < MAX_ACCOUNTS)
}

fn not_an_account(segments: &[&str]) -> Unknown {
    Unknown {
        path: segments.join("."),
        message:
            "not a setting of an account; expected account, its number from 0 on, and a key, such \
                  as PAYRECOND__ACCOUNT__0__BASE_URL"
                .into(),
    }
}

fn leaf(table: &SettingsTable, section: &str, key: &str) -> Result<(String, ValueKind), Unknown> {
    match table.get(key) {
        Some(default) => Ok((format!("{section}.{key}"), default.kind.clone())),
        None => Err(unknown(section, key, table, table)),
    }
}

/// Reports every key of `tree` that the template does not have, and every section or list of accounts
/// of another type.
pub(super) fn check(tree: &SettingsTable, template: &SettingsTable, problems: &mut Vec<Problem>) {
    for (key, value) in sorted(tree) {
        match (template.get(key).map(|value| &value.kind), &value.kind) {
            (Some(ValueKind::Table(known)), ValueKind::Table(table)) => {
                check_keys(key, table, known, template, problems);
            }
            (Some(ValueKind::Table(_)), _) => problems.push(problem(
                key,
                value,
                format!("expected a section: [{key}] on a line of its own"),
            )),
            (Some(_), ValueKind::Array(accounts)) => {
                check_accounts(value, accounts, template, problems);
            }
            (Some(_), _) => problems.push(problem(
                key,
                value,
                "expected a list: [[account]] in double brackets, once for each store".into(),
            )),
            (None, _) => {
                problems.push(unknown("", key, template, template).with_value(value));
            }
        }
    }
}

/// Reports every key of an account's `settings` that its provider does not have.
pub(super) fn check_settings(
    path: &str,
    value: &Value,
    known: &SettingsTable,
    problems: &mut Vec<Problem>,
) {
    match &value.kind {
        ValueKind::Table(table) => check_keys(path, table, known, &SettingsTable::new(), problems),
        _ => problems.push(problem(
            path,
            value,
            "expected a table: [account.settings] on a line of its own".into(),
        )),
    }
}

fn check_accounts(
    list: &Value,
    accounts: &[Value],
    template: &SettingsTable,
    problems: &mut Vec<Problem>,
) {
    if accounts.is_empty() || accounts.len() > MAX_ACCOUNTS {
        let message = format!("expected 1 to {MAX_ACCOUNTS} accounts");
        problems.push(problem(ACCOUNTS, list, message));
    }
    let Some(mut known) = account_template(template).cloned() else {
        return;
    };
    known.insert(SETTINGS.to_owned(), Value::from(SettingsTable::new()));
    for (index, account) in accounts.iter().enumerate() {
        let path = format!("{ACCOUNTS}[{index}]");
        match &account.kind {
            ValueKind::Table(table) => check_keys(&path, table, &known, template, problems),
            ValueKind::Nil => problems.push(problem(
                &path,
                account,
                "not set, but an account with a higher number is; expected numbers without a gap"
                    .into(),
            )),
            _ => problems.push(problem(
                &path,
                account,
                "expected a table of settings".into(),
            )),
        }
    }
}

fn check_keys(
    path: &str,
    table: &SettingsTable,
    known: &SettingsTable,
    template: &SettingsTable,
    problems: &mut Vec<Problem>,
) {
    for (key, value) in sorted(table) {
        if !known.contains_key(key) {
            problems.push(unknown(path, key, known, template).with_value(value));
        }
    }
}

/// A key that is not in `known`, with the nearest one that is, there or in another section.
fn unknown(section: &str, key: &str, known: &SettingsTable, template: &SettingsTable) -> Unknown {
    let path = if section.is_empty() {
        key.to_owned()
    } else {
        format!("{section}.{key}")
    };
    let nearest = nearest(key, known)
        .map(str::to_owned)
        .or_else(|| elsewhere(key, template));
    let hint = nearest
        .map(|name| format!("did you mean {name}? "))
        .unwrap_or_default();
    let label = if section.is_empty() {
        "sections".to_owned()
    } else {
        format!("keys of {section}")
    };
    let secret = if suggests_secret(key) && section.starts_with(ACCOUNTS) {
        "; an API key is never written in the configuration, see api_key_file"
    } else {
        ""
    };
    Unknown {
        path,
        message: format!("unknown key; {hint}{label}: {}{secret}", names(known)),
    }
}

fn nearest<'t>(key: &str, known: &'t SettingsTable) -> Option<&'t str> {
    known
        .keys()
        .map(|name| (strsim::damerau_levenshtein(key, name), name.as_str()))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 5)
        .min()
        .map(|(_, name)| name)
}

/// The same key in another section.
fn elsewhere(key: &str, template: &SettingsTable) -> Option<String> {
    sorted(template)
        .into_iter()
        .find_map(|(section, value)| match &value.kind {
            ValueKind::Table(table) if table.contains_key(key) => Some(format!("{section}.{key}")),
            _ => None,
        })
}

fn names(table: &SettingsTable) -> String {
    if table.is_empty() {
        return "none".to_owned();
    }
    sorted(table)
        .into_iter()
        .map(|(name, _)| name)
        .collect::<Vec<_>>()
        .join(", ")
}

fn problem(path: &str, value: &Value, message: String) -> Problem {
    Problem {
        path: path.to_owned(),
        value: shown(value),
        origin: value.origin().map(str::to_owned),
        message,
    }
}

/// Sorted by name: a map has no order, and messages should not change their order from run to run.
fn sorted(table: &SettingsTable) -> Vec<(&str, &Value)> {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| (key.as_str(), value))
        .collect();
    entries.sort_by_key(|(key, _)| *key);
    entries
}
