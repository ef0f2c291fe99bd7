//! The database on a server: its address, and the password that goes with it.

use std::path::PathBuf;

use super::Environment;
use super::error::ConfigError;
use super::secret::{SecretLadder, SecretPlace};
use super::text;
use crate::store::ServerLocation;

/// Longest content of a file with a password, in bytes.
const MAX_PASSWORD_BYTES: u64 = 8192;

/// A server that a command names by `flag`, with its password as for the configured one.
///
/// # Errors
/// When the address is none, or the password cannot be read.
pub fn server_at(
    flag: &str,
    url: &str,
    password_file: Option<PathBuf>,
    env: &Environment,
) -> Result<ServerLocation, ConfigError> {
    let url = text::database_server(url).map_err(|why| {
        let why = if why.is_empty() {
            String::new()
        } else {
            format!("{why}; ")
        };
        let expected = text::DATABASE_SERVER;
        ConfigError::one(format!("{flag}: {why}expected {expected}"))
    })?;
    server(url, password_file, env)
}

/// The server at `url`, and its password: `$CREDENTIALS_DIRECTORY/database.password`, the variable
/// `PAYRECOND_DATABASE_PASSWORD`, `database.password_file`. None is needed where the server asks for none.
pub(super) fn server(
    url: String,
    password_file: Option<PathBuf>,
    env: &Environment,
) -> Result<ServerLocation, ConfigError> {
    let is_named = password_file.is_some();
    let ladder = SecretLadder {
        credential: "database.password".to_owned(),
        variable: "PAYRECOND_DATABASE_PASSWORD".to_owned(),
        setting: "database.password_file",
        file: password_file,
        max_bytes: MAX_PASSWORD_BYTES,
    };
    let refused = |place: &SecretPlace, why: &str| {
        ConfigError::one(format!(
            "the password of the database cannot be used: {place}: {why}"
        ))
    };
    let found = ladder
        .find(env)
        .map_err(|error| refused(&error.place, &error.why))?;
    let password = match found {
        Some((place, bytes)) => {
            let text = String::from_utf8(bytes).map_err(|_| refused(&place, "not UTF-8 text"))?;
            Some(text.trim_end_matches(['\r', '\n']).to_owned())
        }
        None if is_named => {
            return Err(ConfigError::one(format!(
                "no password of the database; searched {}; put it into one of them, or leave database.password_file empty",
                ladder.searched(env)
            )));
        }
        None => None,
    };
    Ok(ServerLocation::new(url, password))
}
