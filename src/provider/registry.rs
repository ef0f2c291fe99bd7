//! The list of all providers.
//!
//! To add one: write its directory with a `pub const KIND: ProviderKind` in its `mod.rs`, declare
//! the module in `provider/mod.rs`, add its `KIND` to [`PROVIDERS`], and describe it in
//! `docs/providers`. Configuration, key files, rate limits, settings and the transport follow from
//! the [`ProviderKind`]; no other code knows a provider's name.

use super::kind::ProviderKind;

/// All providers, in display order.
pub const PROVIDERS: &[&ProviderKind] = &[
    &super::walletpay::KIND,
    &super::crypto_pay::KIND,
    &super::yookassa::KIND,
    &super::cryptocloud::KIND,
    &super::telegram_stars::KIND,
    &super::yoomoney::KIND,
];

/// The provider with this name.
pub fn provider_kind(name: &str) -> Option<&'static ProviderKind> {
    PROVIDERS.iter().copied().find(|kind| kind.name == name)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use url::Url;

    use super::*;
    use crate::clock::SystemClock;
    use crate::provider::http::{Request, Response, Transport};
    use crate::provider::kind::ProviderParts;
    use crate::provider::setting::{Setting, SettingKind, Settings};
    use crate::provider::{ApiKey, ProviderError};

    #[test]
    fn names_are_unique_and_shared_settings_have_one_kind() {
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
                clock: Arc::new(SystemClock::new()),
                base_url: kind.base_url.parse().unwrap(),
                settings: Settings::default(),
            };
            assert_eq!((kind.build)(parts).name(), kind.name);
        }
    }

    struct Silent;

    #[async_trait::async_trait]
    impl Transport for Silent {
        async fn send(&self, _request: Request) -> Result<Response, ProviderError> {
            Err(ProviderError::Unreachable("silent".into()))
        }

        fn set_key(&self, _key: ApiKey) {}
    }
}
