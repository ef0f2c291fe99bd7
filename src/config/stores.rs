//! Accounts that are probably the same store: a second `[[account]]` silently takes the default key
//! file of the first.

use std::path::{Path, PathBuf};

use super::key::{key_file, key_variable};
use super::{AccountConfig, Config, Environment};

/// One warning for each key file that several enabled accounts read for the same base URL. They are
/// not refused: each of their invoices is polled, at the price of double requests.
pub fn shared_stores(config: &Config, env: &Environment) -> Vec<String> {
    let mut stores: Vec<(PathBuf, Vec<&AccountConfig>)> = Vec::new();
    for account in config.accounts.iter().filter(|account| account.enabled) {
        let Some(file) = key_file(account, env) else {
            continue;
        };
        let known = stores.iter_mut().find(|(other, accounts)| {
            let theirs = |one: &&AccountConfig| {
                one.provider == account.provider && one.base_url == account.base_url
            };
            *other == file && accounts.first().is_some_and(theirs)
        });
        match known {
            Some((_, accounts)) => accounts.push(account),
            None => stores.push((file, vec![account])),
        }
    }
    let shared = stores.iter().filter(|(_, accounts)| accounts.len() > 1);
    shared
        .map(|(file, accounts)| words(file, accounts))
        .collect()
}

fn words(file: &Path, accounts: &[&AccountConfig]) -> String {
    let names: Vec<String> = accounts
        .iter()
        .map(|one| format!("{:?}", one.name))
        .collect();
    let last = accounts.last().map_or("", |account| &account.name);
    format!(
        "accounts {} use the same key file {}: it is polled once for each account, and the audit reports the orders of one as unknown to the other; give each account its own api_key_file or a variable such as {}",
        names.join(" and "),
        file.display(),
        key_variable(last)
    )
}
