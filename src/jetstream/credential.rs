//! The credential for a NATS server. It is never shown.

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
    /// The name and the password of a user.
    Password { user: String, password: String },
    /// A token.
    Token(String),
}

/// Reads the credential again; None where none is configured.
pub type CredentialReader = Arc<dyn Fn() -> Result<Option<Credential>, String> + Send + Sync>;

impl Credential {
    /// Parses a credential. As in the address of a server, a text with a colon is a user and a password, and
    /// one without is a token.
    ///
    /// # Errors
    /// The reason, without the text, where it is none of the four kinds.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8")?.trim();
        if text.is_empty() {
            return Err("empty");
        }
        if text.contains("-----BEGIN") {
            // The library requires the end of the last line.
            let text = format!("{text}\n");
            return match ConnectOptions::with_credentials(&text) {
                Ok(_) => Ok(Self::Creds(text)),
                Err(_) => Err("not a complete .creds file; expected a user's JWT and its seed"),
            };
        }
        if !text.bytes().all(|byte| matches!(byte, b'!'..=b'~')) {
            return Err(
                "contains white space, a control character or a letter outside ASCII; expected a .creds file, \
                 the seed of an nkey, user:password, or a token",
            );
        }
        if is_seed(text) {
            return Ok(Self::Seed(text.to_owned()));
        }
        match text.split_once(':') {
            Some(("", _) | (_, "")) => Err("a user or a password is empty; expected user:password"),
            Some((user, password)) => Ok(Self::Password {
                user: user.to_owned(),
                password: password.to_owned(),
            }),
            None => Ok(Self::Token(text.to_owned())),
        }
    }

    /// Adds the credential to the options of a connection.
    pub(super) fn apply(&self, options: ConnectOptions) -> std::io::Result<ConnectOptions> {
        match self {
            Self::Creds(text) => options.credentials(text),
            Self::Seed(seed) => Ok(options.nkey(seed.clone())),
            Self::Password { user, password } => {
                Ok(options.user_and_password(user.clone(), password.clone()))
            }
            Self::Token(token) => Ok(options.token(token.clone())),
        }
    }
}

/// Whether a text is the seed of a user's nkey: 58 characters of base 32, the first of them `SU`.
fn is_seed(text: &str) -> bool {
    let base_32 = |byte: u8| matches!(byte, b'A'..=b'Z' | b'2'..=b'7');
    text.len() == 58 && text.starts_with("SU") && text.bytes().all(base_32)
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Result<&'static str, &'static str> {
        Credential::from_bytes(text.as_bytes()).map(|credential| match credential {
            Credential::Creds(_) => "creds",
            Credential::Seed(_) => "seed",
            Credential::Password { .. } => "password",
            Credential::Token(_) => "token",
        })
    }

    #[test]
    fn the_kind_of_a_credential_is_recognised_by_its_text() {
        let seed = format!("SU{}\n", "A".repeat(56));
        assert_eq!(kind(&seed), Ok("seed"));
        assert_eq!(kind("shop:pass:word"), Ok("password"));
        assert_eq!(kind("s3cr3t-token\n"), Ok("token"));
    }

    #[test]
    fn text_of_no_kind_is_refused_without_being_quoted() {
        for text in [
            "",
            " \n",
            ":canary",
            "canary:",
            "canary canary",
            "-----BEGIN canary",
        ] {
            assert!(!kind(text).unwrap_err().contains("canary"));
        }
        assert!(Credential::from_bytes(b"\xff").is_err());
    }
}
