//! Where a request carries the key. No other part of a request, answer, error or log contains it.

use reqwest::RequestBuilder;
use reqwest::header::{HeaderName, HeaderValue};

use crate::provider::{ApiKey, ProviderError};

/// Where a provider wants the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// In this header (name in lower case) after a prefix such as `"Token "`, which may be empty.
    Header {
        /// The header.
        name: &'static str,
        /// The text before the key.
        prefix: &'static str,
    },
    /// HTTP Basic: the key is user and password, separated by a colon.
    Basic,
    /// At the start of the path, after a prefix such as `/bot`. The key must consist of letters,
    /// digits, `-`, `_` and `:`.
    Path {
        /// The text before the key.
        prefix: &'static str,
    },
}

impl KeyPlace {
    /// The path between the base address and a request's own path.
    pub(super) fn path_prefix(self, key: &ApiKey) -> Result<String, ProviderError> {
        let Self::Path { prefix } = self else {
            return Ok(String::new());
        };
        let key = key.expose();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':');
        if key.bytes().all(fits) {
            return Ok(format!("{prefix}{key}"));
        }
        let what = "the key holds more than letters, digits, -, _ and :";
        Err(ProviderError::KeyRefused(what.into()))
    }

    /// Adds the key to the request's headers, if it belongs there.
    pub(super) fn apply(
        self,
        builder: RequestBuilder,
        key: &ApiKey,
    ) -> Result<RequestBuilder, ProviderError> {
        match self {
            Self::Header { name, prefix } => {
                // An `ApiKey` is printable ASCII, which is valid in every header.
                let mut value = HeaderValue::try_from(format!("{prefix}{}", key.expose()))
                    .map_err(|_| {
                        ProviderError::KeyRefused("the API key does not fit in a header".into())
                    })?;
                value.set_sensitive(true);
                Ok(builder.header(HeaderName::from_static(name), value))
            }
            Self::Basic => {
                let (user, password) = key.expose().split_once(':').unwrap_or((key.expose(), ""));
                Ok(builder.basic_auth(user, Some(password)))
            }
            Self::Path { .. } => Ok(builder),
        }
    }
}
