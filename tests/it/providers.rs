//! The contract of a provider: the same scenes for each, against its simulator, by the daemon as it ships.
//!
//! A provider joins with a [`Subject`] in [`SUBJECTS`]. What only one of them does is tested beside it.
//! Where a provider keeps no orders but a ledger, a payment is an entry with the invoice's label, and
//! time passes by the provider's clock.

mod ends;
mod failures;
mod money;
mod scale;

use std::time::Duration;

use payrecond::sandbox::{
    Fault, FaultKind, NewTransaction, Operation, SandboxOptions, SimulatedPayment,
    SimulatedProvider,
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
    /// What an invoice to be created needs beside it.
    options: &'static str,
    /// What is received of it.
    received: &'static str,
    keeps: Books,
    /// The operation that makes orders or links.
    create: &'static str,
    /// What is kept for people of a failure in its envelope.
    word_of_trouble: &'static str,
}

/// What a provider keeps.
#[derive(Clone, Copy)]
enum Books {
    Orders {
        /// An order id that has the right form, and that nobody has.
        unknown_id: &'static str,
        /// Status and reason after the sandbox cancelled an order.
        cancelled: (&'static str, &'static str),
    },
    Ledger {
        /// The operation that reads it.
        reading: Operation,
    },
}

/// What can be paid for an invoice.
struct Payable {
    /// The order, or the label.
    id: String,
}

const KEY: &str = "canary-key-0123456789";

const SUBJECTS: &[Subject] = &[
    Subject {
        provider: SimulatedProvider::WalletPay,
        key: KEY,
        account: "",
        price: ("1.10", "USD"),
        received: "1.10",
        options: r#"{"customerTelegramUserId":7}"#,
        keeps: Books::Orders {
            unknown_id: "10030467668508673",
            cancelled: ("cancelled", ""),
        },
        create: "create",
        word_of_trouble: "INTERNAL_ERROR",
    },
    Subject {
        provider: SimulatedProvider::CryptoPay,
        key: KEY,
        account: "",
        price: ("1.00000010", "USDT"),
        received: "1.00000010",
        options: "{}",
        keeps: Books::Orders {
            unknown_id: "999999999",
            // A deleted invoice is gone, and nobody says why.
            cancelled: ("review", "order_not_found"),
        },
        create: "createInvoice",
        word_of_trouble: "APP_ERROR",
    },
    Subject {
        provider: SimulatedProvider::YooKassa,
        key: "123456:canary-key-0123456789",
        account: "[account.settings]\nreturn_url = \"https://shop.example/back\"",
        price: ("10.10", "RUB"),
        received: "10.10",
        options: "{}",
        keeps: Books::Orders {
            unknown_id: "2c5b1f4e-000f-5000-8000-18db351245c7",
            cancelled: ("cancelled", ""),
        },
        create: "create_payment",
        word_of_trouble: "internal_server_error",
    },
    Subject {
        provider: SimulatedProvider::CryptoCloud,
        key: KEY,
        account: "[account.settings]\nshop_id = \"shop-1\"",
        price: ("10.10", "USD"),
        // Less a commission.
        received: "9.91",
        options: "{}",
        keeps: Books::Orders {
            unknown_id: "INV-ZZZZZZZZ",
            cancelled: ("cancelled", ""),
        },
        create: "create",
        word_of_trouble: "Something went wrong",
    },
    Subject {
        provider: SimulatedProvider::TelegramStars,
        key: "123456:canary-key-0123456789",
        account: "",
        price: ("100", "XTR"),
        received: "100",
        options: "{}",
        keeps: Books::Ledger {
            reading: Operation::StarsGetTransactions,
        },
        create: "createInvoiceLink",
        word_of_trouble: "SOMETHING_INVALID",
    },
    Subject {
        provider: SimulatedProvider::YooMoney,
        key: KEY,
        account: "[account.settings]\nreceiver = \"410011234567890\"",
        price: ("10.10", "RUB"),
        // From a wallet, less a commission of 1 %.
        received: "10",
        options: "{}",
        keeps: Books::Ledger {
            reading: Operation::YooMoneyHistory,
        },
        // Links are made without a request.
        create: "account-info",
        word_of_trouble: "technical_error",
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
        shop.settings = format!(
            "provider = \"{}\"\n{}\n[polling]\nmin_interval = \"100ms\"\nmax_interval = \"200ms\"\n\
             intake_interval = \"50ms\"\nnot_found_grace = \"500ms\"\n\
             checks_after_expiry = [\"100ms\", \"200ms\", \"400ms\", \"800ms\", \"2s\", \"5s\", \"30s\"]\n\
             [http]\nrequest_timeout = \"500ms\"\n",
            self.provider, self.account
        );
        shop
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

    /// What the running daemon has created for an invoice.
    async fn create(&self, shop: &Shop, external_id: &str) -> Payable {
        self.request(shop, external_id, self.price.0).await;
        self.created(shop, external_id).await
    }

    /// The same for one that was asked for.
    async fn created(&self, shop: &Shop, external_id: &str) -> Payable {
        shop.until(&field("status", external_id), "pending").await;
        let id = match self.keeps {
            Books::Ledger { .. } => external_id.to_owned(),
            Books::Orders { .. } => {
                let id = shop.ask(&field("order_id", external_id)).await;
                let order = shop.world.order_at(Some(self.provider), &id).unwrap();
                assert_eq!(&*order.external_id, external_id, "{}", self.provider);
                id
            }
        };
        Payable { id }
    }

    /// An invoice of which the provider shows nothing.
    async fn follow_nothing(&self, shop: &Shop) {
        shop.execute(&match self.keeps {
            Books::Orders { unknown_id, .. } => {
                format!(
                    "INSERT INTO invoices (external_id, order_id) VALUES ('ORD-1', '{unknown_id}')"
                )
            }
            Books::Ledger { .. } => {
                "INSERT INTO invoices (external_id, status) VALUES ('ORD-1', 'pending')".to_owned()
            }
        })
        .await;
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

    fn pay(&self, shop: &Shop, payable: &Payable, late: bool) {
        match self.keeps {
            Books::Orders { .. } => {
                let payment = SimulatedPayment {
                    late,
                    ..SimulatedPayment::default()
                };
                shop.world.pay(&payable.id, &payment).unwrap();
            }
            Books::Ledger { .. } => {
                let entry = NewTransaction {
                    external_id: Some(payable.id.clone()),
                    amount: Some(self.price.0.to_owned()),
                    ..NewTransaction::default()
                };
                shop.world.add_transaction(self.provider, &entry).unwrap();
            }
        }
    }

    /// The time to pay ends.
    async fn expire(&self, shop: &Shop, payable: &Payable) {
        match self.keeps {
            Books::Orders { .. } => {
                shop.world.expire(&payable.id, false).unwrap();
            }
            Books::Ledger { reading } => {
                // A ledger is read from a day before its first page on.
                shop.until_asked(reading, 1).await;
                shop.world.advance(Duration::from_hours(48));
            }
        }
    }

    /// Waits until requests have failed: where orders are polled, the invoice or the account tells it.
    async fn until_failed(&self, shop: &Shop, kind: FaultKind) {
        match self.keeps {
            Books::Orders { .. } => {
                let failed = "SELECT failures > 0 OR last_error IS NOT NULL OR (SELECT state <> 'working' FROM accounts) FROM invoices";
                shop.until(failed, "1").await;
            }
            Books::Ledger { .. } => {
                let played = || shop.world.stats().faults.get(&kind).copied();
                let before = played().unwrap_or_default();
                let waiting = async {
                    while played().unwrap_or_default() == before {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                };
                let in_time = tokio::time::timeout(crate::PATIENCE, waiting).await;
                assert!(in_time.is_ok(), "{} {kind}", self.provider);
            }
        }
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

/// The same where the provider keeps orders.
macro_rules! for_each_with_orders {
    ($subject:ident, $shop:ident, $daemon:ident => $scene:block) => {
        for $subject in $crate::providers::SUBJECTS {
            if matches!($subject.keeps, $crate::providers::Books::Ledger { .. }) {
                continue;
            }
            let $shop = $subject.shop().await;
            let $daemon: $crate::shop::Daemon = $subject.start(&$shop);
            $scene
            $daemon.stop().await;
        }
    };
}
use for_each_with_orders;
