//! The API key of an account, and the credential of the NATS server.

use std::path::PathBuf;
use std::sync::Arc;

use super::error::ConfigError;
use super::secret::{SecretLadder, SecretPlace};
use super::{AccountConfig, Environment, NatsConfig};
use crate::jetstream::{Credential, CredentialReader};
use crate::provider::{ApiKey, KeyReader};

/// Longest content of a key file, in bytes: a header holds no more.
const MAX_KEY_BYTES: u64 = 8192;
/// Longest content of a file with a NATS credential, in bytes.
const MAX_CREDENTIAL_BYTES: u64 = 65_536;

/// The API key of `account`, read again at every call; the first place that has one wins:
/// `$CREDENTIALS_DIRECTORY/<name>.key`, the variable [`key_variable`], `api_key_file`.
pub fn api_key(account: &AccountConfig, env: &Environment) -> Result<ApiKey, ConfigError> {
    let (place, bytes) = find(account, env)?;
    let key = ApiKey::from_bytes(&bytes).map_err(|why| unusable(account, &place, why))?;
    match (account.provider.check_key)(key.expose()) {
        Ok(()) => Ok(key),
        Err(why) => Err(unusable(account, &place, why)),
    }
}

/// The `api_key_file` of `account`, by its real path, where the key comes from there.
pub(super) fn key_file(account: &AccountConfig, env: &Environment) -> Option<PathBuf> {
    match find(account, env).ok()?.0 {
        SecretPlace::File(path, _) => Some(path.canonicalize().unwrap_or(path)),
        SecretPlace::Credential(..) | SecretPlace::Variable(_) => None,
    }
}

/// The place that the key of `account` comes from, in words; None if none has one.
pub fn api_key_place(account: &AccountConfig, env: &Environment) -> Option<String> {
    let (place, _) = find(account, env).ok()?;
    Some(place.to_string())
}

fn find(account: &AccountConfig, env: &Environment) -> Result<(SecretPlace, Vec<u8>), ConfigError> {
    let ladder = SecretLadder {
        credential: format!("{}.key", account.name),
        variable: key_variable(&account.name),
        setting: "api_key_file",
        file: Some(account.api_key_file.clone()),
        max_bytes: MAX_KEY_BYTES,
    };
    let found = ladder
        .find(env)
        .map_err(|error| unusable(account, &error.place, &error.why))?;
    found.ok_or_else(|| {
        ConfigError::one(format!(
            "no API key for account {:?}; searched {}; put the key into one of them and run `payrecond check`",
            account.name,
            ladder.searched(env)
        ))
    })
}

/// [`api_key`] as a function to call later: a replaced key is found without a restart.
pub fn key_reader(account: &AccountConfig, env: &Environment) -> KeyReader {
    let (account, env) = (account.clone(), env.clone());
    Arc::new(move || api_key(&account, &env).map_err(|error| error.to_string()))
}

/// The environment variable that may hold the key of the account `name`.
pub fn key_variable(name: &str) -> String {
    format!(
        "PAYRECOND_API_KEY_{}",
        name.to_ascii_uppercase().replace('-', "_")
    )
}

fn unusable(account: &AccountConfig, place: &SecretPlace, why: &str) -> ConfigError {
    ConfigError::one(format!(
        "the API key of account {:?} cannot be used: {place}: {why}",
        account.name
    ))
}

/// The credential of the NATS server, read again at every call: `$CREDENTIALS_DIRECTORY/nats.creds`, the
/// variable `PAYRECOND_NATS_CREDS`, `nats.credentials_file`. None where none is configured: the server
/// asks for none.
pub fn nats_credential(
    nats: &NatsConfig,
    env: &Environment,
) -> Result<Option<Credential>, ConfigError> {
    let ladder = SecretLadder {
        credential: "nats.creds".to_owned(),
        variable: "PAYRECOND_NATS_CREDS".to_owned(),
        setting: "nats.credentials_file",
        file: nats.credentials_file.clone(),
        max_bytes: MAX_CREDENTIAL_BYTES,
    };
    let refused = |place: &SecretPlace, why: &str| {
        ConfigError::one(format!(
            "the NATS credential cannot be used: {place}: {why}"
        ))
    };
    let found = ladder
        .find(env)
        .map_err(|error| refused(&error.place, &error.why))?;
    match found {
        Some((place, bytes)) => Credential::from_bytes(&bytes)
            .map(Some)
            .map_err(|why| refused(&place, why)),
        None if nats.credentials_file.is_none() => Ok(None),
        None => Err(ConfigError::one(format!(
            "no NATS credential; searched {}; put it into one of them, or leave nats.credentials_file empty",
            ladder.searched(env)
        ))),
    }
}

/// [`nats_credential`] as a function to call later: a credential that was replaced is found without a
/// restart.
pub fn credential_reader(nats: &NatsConfig, env: &Environment) -> CredentialReader {
    let (nats, env) = (nats.clone(), env.clone());
    Arc::new(move || nats_credential(&nats, &env).map_err(|error| error.to_string()))
}
