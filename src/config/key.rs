//! The API key of an account: where it is searched, and errors that never show it.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::ConfigError;
use super::{AccountConfig, Environment};
use crate::provider::{ApiKey, KeyReader};

/// Longest content of a key file, in bytes: a header holds no more.
const MAX_KEY_BYTES: u64 = 8192;

/// The API key of `account`, read again at every call; the first place that has one wins:
/// `$CREDENTIALS_DIRECTORY/<name>.key`, the variable [`key_variable`], `api_key_file`.
///
/// An empty credential counts as none: the unit file sets it as a substitute for a missing file,
/// since systemd would otherwise refuse to start the service before we could report the cause.
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
        KeySource::File(path) => Some(path.canonicalize().unwrap_or(path)),
        KeySource::Credential(..) | KeySource::Variable(_) => None,
    }
}

fn find(account: &AccountConfig, env: &Environment) -> Result<(KeySource, Vec<u8>), ConfigError> {
    let mut searched = Vec::new();
    for place in places(account, env) {
        let found = match place.read(env) {
            Ok(bytes) if bytes.trim_ascii().is_empty() && place.empty_means_none() => None,
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(unusable(account, &place, &error.to_string())),
        };
        match found {
            Some(bytes) => return Ok((place, bytes)),
            None => searched.push(place.to_string()),
        }
    }
    Err(ConfigError::one(format!(
        "no API key for account {:?}; searched {}; put the key into one of them and run `payrecond check`",
        account.name,
        searched.join(", ")
    )))
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

fn unusable(account: &AccountConfig, place: &KeySource, why: &str) -> ConfigError {
    ConfigError::one(format!(
        "the API key of account {:?} cannot be used: {place}: {why}",
        account.name
    ))
}

fn places(account: &AccountConfig, env: &Environment) -> [KeySource; 3] {
    let file = format!("{}.key", account.name);
    let directory = env
        .get("CREDENTIALS_DIRECTORY")
        .filter(|path| !path.is_empty());
    [
        KeySource::Credential(
            directory.map(|directory| Path::new(directory).join(&file)),
            file,
        ),
        KeySource::Variable(key_variable(&account.name)),
        KeySource::File(account.api_key_file.clone()),
    ]
}

enum KeySource {
    /// The credential file, if systemd provides one, and the name of the credential.
    Credential(Option<PathBuf>, String),
    Variable(String),
    File(PathBuf),
}

impl KeySource {
    fn read(&self, env: &Environment) -> io::Result<Vec<u8>> {
        match self {
            Self::Credential(Some(path), _) | Self::File(path) => read_file(path),
            Self::Credential(None, _) => Err(io::ErrorKind::NotFound.into()),
            Self::Variable(name) => {
                let value = env.get(name).ok_or(io::ErrorKind::NotFound)?;
                Ok(OsStr::as_bytes(value).to_vec())
            }
        }
    }

    fn empty_means_none(&self) -> bool {
        matches!(self, Self::Credential(..))
    }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_KEY_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_KEY_BYTES {
        return Err(io::Error::other(format!(
            "longer than {MAX_KEY_BYTES} bytes"
        )));
    }
    Ok(bytes)
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credential(Some(path), _) => write!(f, "credential {}", path.display()),
            Self::Credential(None, file) => write!(f, "$CREDENTIALS_DIRECTORY/{file}"),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::File(path) if looks_like_a_key(path) => {
                write!(
                    f,
                    "api_key_file (not shown: it resembles a key; expected a path)"
                )
            }
            Self::File(path) => write!(f, "api_key_file {}", path.display()),
        }
    }
}

/// Whether the setting seems to be the key itself instead of a path: a long text without `/` or
/// `.`.
fn looks_like_a_key(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    bytes.len() >= 16 && !bytes.iter().any(|byte| matches!(byte, b'/' | b'.'))
}
