//! Where a secret is looked for: a credential of systemd, a variable of the environment, a file. The first
//! place that has one wins, and the secret is read anew at every call.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Environment;

/// The places of one secret.
pub(super) struct SecretLadder {
    /// Name of the credential: `default.key`.
    pub(super) credential: String,
    /// Name of the variable: `PAYRECOND_API_KEY_DEFAULT`.
    pub(super) variable: String,
    /// Name of the setting that names the file: `api_key_file`.
    pub(super) setting: &'static str,
    /// The file, where one is configured.
    pub(super) file: Option<PathBuf>,
    /// Longest content of a file, in bytes.
    pub(super) max_bytes: u64,
}

/// A place that cannot be read, and why.
pub(super) struct UnreadableSecret {
    pub(super) place: SecretPlace,
    pub(super) why: String,
}

/// One place.
pub(super) enum SecretPlace {
    /// The file systemd offers, if it offers any, and the name of the credential.
    Credential(Option<PathBuf>, String),
    /// A variable of the environment.
    Variable(String),
    /// A file, and the setting that names it.
    File(PathBuf, &'static str),
}

impl SecretLadder {
    /// The first place that has a secret, and what it holds.
    ///
    /// An empty credential counts as none: the unit file sets it as a substitute for a missing file,
    /// since systemd would otherwise refuse to start the service before we could report the cause.
    pub(super) fn find(
        &self,
        env: &Environment,
    ) -> Result<Option<(SecretPlace, Vec<u8>)>, UnreadableSecret> {
        for place in self.places(env) {
            match place.read(env, self.max_bytes) {
                Ok(bytes) if bytes.trim_ascii().is_empty() && place.empty_means_none() => {}
                Ok(bytes) => return Ok(Some((place, bytes))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let why = error.to_string();
                    return Err(UnreadableSecret { place, why });
                }
            }
        }
        Ok(None)
    }

    /// The places in words, for the message that none has a secret.
    pub(super) fn searched(&self, env: &Environment) -> String {
        let places = self.places(env);
        let words: Vec<String> = places.iter().map(ToString::to_string).collect();
        words.join(", ")
    }

    fn places(&self, env: &Environment) -> Vec<SecretPlace> {
        let directory = env
            .get("CREDENTIALS_DIRECTORY")
            .filter(|path| !path.is_empty());
        let offered = directory.map(|directory| Path::new(directory).join(&self.credential));
        let file = self.file.clone();
        let file = file.map(|file| SecretPlace::File(file, self.setting));
        [
            SecretPlace::Credential(offered, self.credential.clone()),
            SecretPlace::Variable(self.variable.clone()),
        ]
        .into_iter()
        .chain(file)
        .collect()
    }
}

impl SecretPlace {
    fn read(&self, env: &Environment, max_bytes: u64) -> io::Result<Vec<u8>> {
        match self {
            Self::Credential(None, _) => Err(io::ErrorKind::NotFound.into()),
            Self::Credential(Some(path), _) | Self::File(path, _) => read_file(path, max_bytes),
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

fn read_file(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(max_bytes + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(io::Error::other(format!("longer than {max_bytes} bytes")));
    }
    Ok(bytes)
}

impl fmt::Display for SecretPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credential(Some(path), _) => write!(f, "credential {}", path.display()),
            Self::Credential(None, file) => write!(f, "$CREDENTIALS_DIRECTORY/{file}"),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::File(path, setting) if looks_like_a_key(path) => {
                write!(
                    f,
                    "{setting} (not shown: it resembles a key; expected a path)"
                )
            }
            Self::File(path, setting) => write!(f, "{setting} {}", path.display()),
        }
    }
}

/// Whether the setting seems to be the key itself instead of a path: a long text without `/` or
/// `.`.
fn looks_like_a_key(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    bytes.len() >= 16 && !bytes.iter().any(|byte| matches!(byte, b'/' | b'.'))
}
