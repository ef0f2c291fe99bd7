//! What is known of a provider before an account of it exists; `registry` explains how to add one.
//!
//! - `settings`: the keys under `[account.settings]`. They are checked at the start (unknown key,
//!   wrong type, value out of range: exit 78) and passed to `build` completely, with defaults
//!   filled in.
//! - `check_key`: the form of a key (`shopId:secret`), checked before the first request and at
//!   every reload.
//! - `key_place`: where the transport sends the key. The provider itself uses it only to remove it
//!   from the service's messages, which [`ServiceClient`](super::service::ServiceClient) does.
//! - `build`: creates the account's `Provider` over a transport that receives its key by `set_key`.

use std::fmt;
use std::sync::Arc;

use url::Url;

use super::Provider;
use super::http::{KeyPlace, Transport};
use super::setting::{Setting, Settings};
use crate::clock::Clock;

/// The registration of a provider.
pub struct ProviderKind {
    /// Its name in configuration and events: `crypto-pay`.
    pub name: &'static str,
    /// The address of its service: scheme and host.
    pub base_url: &'static str,
    /// How the path of each request to its API begins: `/api`. It is no part of an account's `base_url`.
    pub api_path: &'static str,
    /// The default rate limit of an account.
    pub requests_per_second: f64,
    /// The settings of its accounts.
    pub settings: &'static [Setting],
    /// Checks the form of a key; the error explains what is wrong without showing it: "must be …".
    pub check_key: fn(&str) -> Result<(), &'static str>,
    /// Where a request carries the key.
    pub key_place: KeyPlace,
    /// Creates the provider of one account. It has no key yet.
    pub build: fn(ProviderParts) -> Arc<dyn Provider>,
}

/// The parts from which an account's provider is built.
pub struct ProviderParts {
    /// Sends its requests with its key.
    pub transport: Arc<dyn Transport>,
    /// Gives the time of an answer.
    pub clock: Arc<dyn Clock>,
    /// The configured address of the service.
    pub base_url: Url,
    /// All settings of the provider.
    pub settings: Settings,
}

/// For providers whose keys have no particular form.
pub fn any_key(_key: &str) -> Result<(), &'static str> {
    Ok(())
}

/// The name identifies a provider.
impl PartialEq for ProviderKind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProviderKind({})", self.name)
    }
}
