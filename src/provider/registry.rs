//! The providers there are.
//!
//! To add one: write its folder with a `pub const KIND: ProviderKind` in its `mod.rs`, declare the module in
//! `provider/mod.rs`, name its `KIND` in [`PROVIDERS`], and describe it in `docs/providers`. Configuration,
//! key files, budgets, settings and the transport follow from the [`ProviderKind`]; nothing else knows a
//! provider's name.
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

use super::http::{KeyPlace, Transport};
use super::setting::{Setting, Settings};
use super::{Provider, walletpay, yookassa};
use crate::clock::Clock;

/// Every provider, in the order in which they are shown to people.
pub const PROVIDERS: &[&ProviderKind] = &[&walletpay::KIND, &yookassa::KIND];

/// What is known of a provider before an account of it exists.
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

/// The provider of that name.
pub fn provider_kind(name: &str) -> Option<&'static ProviderKind> {
    PROVIDERS.iter().copied().find(|kind| kind.name == name)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::setting::SettingKind;

    #[test]
    fn a_name_and_a_setting_are_one_thing_everywhere() {
        for (index, kind) in PROVIDERS.iter().enumerate() {
            assert!(
                PROVIDERS[..index]
                    .iter()
                    .all(|other| other.name != kind.name)
            );
            let base: Url = kind.base_url.parse().unwrap();
            assert_eq!((base.scheme(), base.path()), ("https", "/"), "{kind:?}");
            assert!(kind.requests_per_second > 0.0, "{kind:?}");
        }
        let settings: Vec<&Setting> = PROVIDERS.iter().flat_map(|kind| kind.settings).collect();
        for one in &settings {
            let is_text = |setting: &Setting| matches!(setting.kind, SettingKind::Text { .. });
            let same = settings.iter().filter(|other| other.key == one.key);
            assert!(
                same.clone().all(|other| is_text(other) == is_text(one)),
                "{}",
                one.key
            );
        }
    }

    #[test]
    fn every_provider_is_built_and_named_as_registered() {
        for kind in PROVIDERS {
            let parts = ProviderParts {
                transport: Arc::new(Silent),
                clock: Arc::new(crate::clock::SystemClock::new()),
                base_url: kind.base_url.parse().unwrap(),
                settings: Settings::default(),
            };
            assert_eq!((kind.build)(parts).name(), kind.name);
        }
    }

    struct Silent;

    #[async_trait::async_trait]
    impl Transport for Silent {
        async fn send(
            &self,
            _request: crate::provider::http::Request,
        ) -> Result<crate::provider::http::Response, crate::provider::ProviderError> {
            Err(crate::provider::ProviderError::Unreachable("silent".into()))
        }

        fn set_key(&self, _key: crate::provider::ApiKey) {}
    }
}
