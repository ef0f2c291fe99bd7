//! What proves to a server who we are: a type that never shows itself.

use std::fmt;
use std::sync::Arc;

use async_nats::ConnectOptions;

/// A credential, as a server's operator hands it out.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// The content of a `.creds` file: a JWT and a seed.
    Creds(String),
    /// The seed of a user's nkey.
    Seed(String),
    /// A token.
    Token(String),
}

/// Reads the credential again; None where none is configured.
pub type CredentialReader = Arc<dyn Fn() -> Result<Option<Credential>, String> + Send + Sync>;

impl Credential {
    /// A credential as read. Refused, with the reason, when it is none of the three kinds.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8")?.trim();
        if text.is_empty() {
            return Err("empty");
        }
        if text.contains("-----BEGIN") {
            return match ConnectOptions::with_credentials(text) {
                Ok(_) => Ok(Self::Creds(text.to_owned())),
                Err(_) => Err("not a complete .creds file; expected a user's JWT and its seed"),
            };
        }
        if !text.bytes().all(|byte| matches!(byte, b'!'..=b'~')) {
            return Err(
                "contains white space, a control character or a letter outside ASCII; expected a .creds file, \
                 the seed of an nkey, or a token",
            );
        }
        Ok(if is_seed(text) {
            Self::Seed(text.to_owned())
        } else {
            Self::Token(text.to_owned())
        })
    }

    pub(super) fn apply(&self, options: ConnectOptions) -> std::io::Result<ConnectOptions> {
        match self {
            Self::Creds(text) => options.credentials(text),
            Self::Seed(seed) => Ok(options.nkey(seed.clone())),
            Self::Token(token) => Ok(options.token(token.clone())),
        }
    }
}

/// A user's seed: 58 characters of base 32, beginning with `SU`.
fn is_seed(text: &str) -> bool {
    let base_32 = |byte: u8| matches!(byte, b'A'..=b'Z' | b'2'..=b'7');
    text.len() == 58 && text.starts_with("SU") && text.bytes().all(base_32)
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(hidden)")
    }
}
