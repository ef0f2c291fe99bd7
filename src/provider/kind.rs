//! What is known of a provider before an account of it exists: see `registry` for how one is added.
//!
//! - `settings`: the keys under `[account.settings]`. They are checked at the start (unknown key, wrong
//!   type, value out of range: exit 78) and reach `build` complete, defaults filled in.
//! - `check_key`: the form of a key (`shopId:secret`), asked before the first request and at every reload.
//! - `key_place`: where the transport shows the key. The provider itself never sees it but to strike it
//!   out of the service's words, which [`ServiceClient`](super::service::ServiceClient) does.
//! - `build`: makes the account's `Provider` over a transport that gets its key by `set_key`.

use std::fmt;
use std::sync::Arc;

use url::Url;

use super::Provider;
use super::http::{KeyPlace, Transport};
use super::setting::{Setting, Settings};
use crate::clock::Clock;

/// A provider, as it is registered.
pub struct ProviderKind {
    /// Its name in configuration and events: `crypto-pay`.
    pub name: &'static str,
    /// Where its service is: scheme and host.
    pub base_url: &'static str,
    /// The budget of an account that sets none.
    pub requests_per_second: f64,
    /// What its accounts may set.
    pub settings: &'static [Setting],
    /// Whether a key can be one, or what is wrong with it, without showing it: "must be …".
    pub check_key: fn(&str) -> Result<(), &'static str>,
    /// Where a request shows the key.
    pub key_place: KeyPlace,
    /// The provider of one account. It has no key yet.
    pub build: fn(ProviderParts) -> Arc<dyn Provider>,
}

/// What an account's provider is made of.
pub struct ProviderParts {
    /// Carries its requests, with its key.
    pub transport: Arc<dyn Transport>,
    /// Tells when an answer came.
    pub clock: Arc<dyn Clock>,
    /// Where the service is, as configured.
    pub base_url: Url,
    /// Every setting of the provider.
    pub settings: Settings,
}

/// For providers whose keys have no form of their own.
pub fn any_key(_key: &str) -> Result<(), &'static str> {
    Ok(())
}

/// One provider is one name.
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
