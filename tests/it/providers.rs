//! The contract of a provider: the same scenes for each, against its simulator, by the daemon as it ships.
//!
//! A provider joins with a [`Subject`] in [`SUBJECTS`]. What only one of them does is tested beside it.

pub mod audits;
mod cases;
mod ends;
mod failures;
mod ledger_cases;
mod ledgers;
mod money;
mod scale;

use payrecond::sandbox::{
    Fault, FaultKind, OrderView, SandboxOptions, SimulatedPayment, SimulatedProvider, Variant,
};

use crate::shop::{Daemon, Shop};

/// A provider, as far as the scenes differ.
struct Subject {
    provider: SimulatedProvider,
    /// Has the form of its keys.
    key: &'static str,
    /// Further lines of its account.
    account: &'static str,
    /// What an invoice to be created asks for: value and currency.
    price: (&'static str, &'static str),
    /// Less than the price, and more, where that can be paid, held back or refunded.
    half: &'static str,
    double: &'static str,
    /// A price that is paid in another currency, where the usual one is not.
    fiat_price: Option<(&'static str, &'static str)>,
    /// How payments become tests.
    test: Option<TestMode>,
    /// What an invoice to be created needs beside it.
    options: &'static str,
    /// An order id that has the right form, and that nobody has.
    unknown_id: &'static str,
    /// Status and reason after the sandbox cancelled an order.
    cancelled: (&'static str, &'static str),
    /// The operation that makes orders.
    create: &'static str,
    /// What is kept for people of a failure in its envelope.
    word_of_trouble: &'static str,
}

/// What makes payments tests.
#[derive(Clone, Copy)]
struct TestMode {
    key: &'static str,
    variant: Option<Variant>,
}

const KEY: &str = "canary-key-0123456789";

const SUBJECTS: &[Subject] = &[
    Subject {
        provider: SimulatedProvider::WalletPay,
        key: KEY,
        account: "",
        price: ("1.10", "USD"),
        half: "0.50",
        double: "2.20",
        fiat_price: None,
        test: None,
        options: r#"{"customerTelegramUserId":7}"#,
        unknown_id: "10030467668508673",
        cancelled: ("cancelled", ""),
        create: "create",
        word_of_trouble: "INTERNAL_ERROR",
    },
    Subject {
        provider: SimulatedProvider::CryptoPay,
        key: KEY,
        account: "",
        price: ("1.00000010", "USDT"),
        half: "0.5",
        double: "2",
        fiat_price: Some(("2.50", "EUR")),
        // Told by the name of the test network's host.
        test: None,
        options: "{}",
        unknown_id: "999999999",
        // A deleted invoice is gone, and nobody says why.
        cancelled: ("review", "order_not_found"),
        create: "createInvoice",
        word_of_trouble: "APP_ERROR",
    },
    Subject {
        provider: SimulatedProvider::YooKassa,
        key: "123456:canary-key-0123456789",
        account: "[account.settings]\nreturn_url = \"https://shop.example/back\"",
        price: ("10.10", "RUB"),
        half: "4.10",
        double: "20.20",
        fiat_price: None,
        test: Some(TestMode {
            key: "123456:test_canary-key-0123456789",
            variant: None,
        }),
        options: "{}",
        unknown_id: "2c5b1f4e-000f-5000-8000-18db351245c7",
        cancelled: ("cancelled", ""),
        create: "create_payment",
        word_of_trouble: "internal_server_error",
    },
    Subject {
        provider: SimulatedProvider::CryptoCloud,
        key: KEY,
        account: "[account.settings]\nshop_id = \"shop-1\"",
        price: ("10.10", "USD"),
        half: "4.10",
        double: "20.20",
        fiat_price: None,
        test: Some(TestMode {
            key: KEY,
            variant: Some(Variant::CryptoCloudTestMode),
        }),
        options: "{}",
        unknown_id: "INV-ZZZZZZZZ",
        cancelled: ("cancelled", ""),
        create: "create",
        word_of_trouble: "Something went wrong",
    },
];

impl Subject {
    /// A shop at the provider, in a hurry.
    async fn shop(&self) -> Shop {
        self.shop_with(None).await
    }

    async fn shop_with(&self, api_key: Option<&str>) -> Shop {
        let mut shop = Shop::with(SandboxOptions {
            listen: ([127, 0, 0, 1], 0).into(),
            api_key: api_key.map(str::to_owned),
            ..SandboxOptions::default()
        })
        .await;
        shop.settings = self.settings(self.account);
        shop
    }

    /// The rest of a configuration whose account has these further lines.
    fn settings(&self, account: &str) -> String {
        format!(
            "provider = \"{}\"\n{account}\n[polling]\nmin_interval = \"100ms\"\nmax_interval = \"200ms\"\n\
             intake_interval = \"50ms\"\nnot_found_grace = \"500ms\"\n\
             checks_after_expiry = [\"100ms\", \"200ms\", \"400ms\", \"800ms\", \"2s\", \"5s\", \"30s\"]\n\
             [http]\nrequest_timeout = \"500ms\"\n",
            self.provider
        )
    }

    /// Asks for an order.
    async fn request(&self, shop: &Shop, external_id: &str, value: &str) {
        let (currency, options) = (self.price.1, self.options);
        shop.execute(&format!(
            "INSERT INTO invoices (external_id, amount, currency, description, options)
             VALUES ('{external_id}', '{value}', '{currency}', 'Six eggs', '{options}')"
        ))
        .await;
    }

    /// The order of an invoice that the running daemon has created.
    async fn create(&self, shop: &Shop, external_id: &str) -> OrderView {
        self.request(shop, external_id, self.price.0).await;
        shop.until(&field("status", external_id), "pending").await;
        let id = shop.ask(&field("order_id", external_id)).await;
        let order = shop.world.order_at(Some(self.provider), &id).unwrap();
        assert_eq!(&*order.external_id, external_id, "{}", self.provider);
        order
    }

    fn start(&self, shop: &Shop) -> Daemon {
        let environment = [("PAYRECOND_API_KEY_DEFAULT", self.key)];
        Daemon::start_in(shop.config(), environment.into_iter().collect())
    }

    /// Another shop's books beside the same simulator.
    async fn shop_beside(&self, shop: &Shop) -> Shop {
        let mut other = Shop::open().await;
        other.base_url.clone_from(&shop.base_url);
        other.settings.clone_from(&shop.settings);
        other
    }

    #[expect(clippy::unused_self, reason = "reads as what a subject's payers do")]
    fn pay(&self, shop: &Shop, order: &OrderView, late: bool) {
        let payment = SimulatedPayment {
            late,
            ..SimulatedPayment::default()
        };
        shop.world.pay(&order.id, &payment).unwrap();
    }
}

/// A column of an invoice.
fn field(column: &str, external_id: &str) -> String {
    format!("SELECT {column} FROM invoices WHERE external_id = '{external_id}'")
}

/// The kinds of all events about an invoice, in their order.
fn events(external_id: &str) -> String {
    format!(
        "SELECT group_concat(type) FROM (SELECT type FROM outbox WHERE external_id = '{external_id}' ORDER BY seq)"
    )
}

/// A part of the payload of an invoice's last event.
fn told(path: &str, external_id: &str) -> String {
    format!(
        "SELECT json_extract(payload, '$.data.{path}') FROM outbox WHERE external_id = '{external_id}' ORDER BY seq DESC LIMIT 1"
    )
}

/// Plays a scene for each provider.
macro_rules! for_each_provider {
    ($subject:ident, $shop:ident, $daemon:ident => $scene:block) => {
        for $subject in $crate::providers::SUBJECTS {
            let $shop = $subject.shop().await;
            let $daemon: $crate::shop::Daemon = $subject.start(&$shop);
            $scene
            $daemon.stop().await;
        }
    };
}
use for_each_provider;
