//! The contract of a provider that keeps a ledger and no orders: the same scenes as for the others. A
//! payment is an entry with the invoice's label, and time passes by the provider's clock.

use std::time::Duration;

use payrecond::domain::money::same_value;
use payrecond::sandbox::{FaultTarget, NewTransaction, Operation, SandboxOptions, Variant};

use super::{Fault, FaultKind, SimulatedProvider, events, field, told};
use crate::PATIENCE;
use crate::faults::program;
use crate::shop::{Daemon, Shop};
use crate::until::eventually;

/// A provider, as far as the scenes differ.
pub(super) struct LedgerSubject {
    pub(super) provider: SimulatedProvider,
    /// Has the form of its keys.
    pub(super) key: &'static str,
    /// Further lines of its account.
    account: &'static str,
    /// Value and currency of an invoice, and what is received of it.
    pub(super) price: (&'static str, &'static str),
    received: &'static str,
    /// Two parts of the price, and more than it.
    pub(super) half: &'static str,
    pub(super) rest: &'static str,
    pub(super) double: &'static str,
    /// The operation that reads the ledger, and the one that makes links, if there is one.
    reading: Operation,
    pub(super) create: Option<&'static str>,
    /// What is kept for people of a failure in its envelope.
    word_of_trouble: &'static str,
}

pub(super) const LEDGERS: &[LedgerSubject] = &[
    LedgerSubject {
        provider: SimulatedProvider::TelegramStars,
        key: "123456:canary-key-0123456789",
        account: "",
        price: ("100", "XTR"),
        received: "100",
        half: "40",
        rest: "60",
        double: "200",
        reading: Operation::StarsGetTransactions,
        create: Some("createInvoiceLink"),
        word_of_trouble: "SOMETHING_INVALID",
    },
    LedgerSubject {
        provider: SimulatedProvider::YooMoney,
        key: "canary-key-0123456789",
        account: "[account.settings]\nreceiver = \"410011234567890\"",
        price: ("10.10", "RUB"),
        // From a wallet, less a commission of 1 %.
        received: "10",
        half: "4.10",
        rest: "6.00",
        double: "20.20",
        reading: Operation::YooMoneyHistory,
        create: None,
        word_of_trouble: "technical_error",
    },
];

/// Every way of not answering. Behind the end of a ledger nothing is shown that could have a wrong type.
const FAILURES: [FaultKind; 9] = [
    FaultKind::Status429,
    FaultKind::Status500,
    FaultKind::Status502Html,
    FaultKind::EnvelopeError,
    FaultKind::Timeout,
    FaultKind::Reset,
    FaultKind::TruncatedBody,
    FaultKind::HugeBody,
    FaultKind::SlowBody,
];

impl LedgerSubject {
    pub(super) async fn shop(&self) -> Shop {
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
             intake_interval = \"50ms\"\n\
             checks_after_expiry = [\"100ms\", \"200ms\", \"400ms\", \"800ms\", \"2s\", \"5s\", \"30s\"]\n\
             [http]\nrequest_timeout = \"500ms\"\n",
            self.provider, self.account
        );
        shop
    }

    fn start(&self, shop: &Shop) -> Daemon {
        let environment = [("PAYRECOND_API_KEY_DEFAULT", self.key)];
        Daemon::start_in(shop.config(), environment.into_iter().collect())
    }

    /// Asks for a link.
    pub(super) async fn request(&self, shop: &Shop, label: &str, options: &str) {
        let (value, currency) = self.price;
        shop.execute(&format!(
            "INSERT INTO invoices (external_id, amount, currency, description, options)
             VALUES ('{label}', '{value}', '{currency}', 'Six eggs', '{options}')"
        ))
        .await;
    }

    pub(super) async fn create(&self, shop: &Shop, label: &str) {
        self.request(shop, label, "{}").await;
        shop.until(&field("status", label), "pending").await;
    }

    fn pay(&self, shop: &Shop, label: &str) {
        let entry = NewTransaction {
            external_id: Some(label.to_owned()),
            amount: Some(self.price.0.to_owned()),
            ..NewTransaction::default()
        };
        shop.world.add_transaction(self.provider, &entry).unwrap();
    }

    /// Waits until the ledger was read again.
    async fn until_read(&self, shop: &Shop) {
        let before = shop.asked(self.reading);
        eventually(async || (shop.asked(self.reading) > before).then_some(())).await;
    }

    /// Waits until a fault was played again.
    async fn until_failed(&self, shop: &Shop, kind: FaultKind) {
        let played = || shop.world.stats().faults.get(&kind).copied();
        let before = played();
        let waiting = async {
            while played() == before {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(in_time.is_ok(), "{} {kind}", self.provider);
    }
}

async fn follow(shop: &Shop) {
    shop.execute("INSERT INTO invoices (external_id, status) VALUES ('ORD-1', 'pending')")
        .await;
}

/// Plays a scene for each provider.
macro_rules! for_each_ledger {
    ($subject:ident, $shop:ident, $daemon:ident => $scene:block) => {
        for $subject in LEDGERS {
            let $shop = $subject.shop().await;
            let $daemon: Daemon = $subject.start(&$shop);
            $scene
            $daemon.stop().await;
        }
    };
}

#[tokio::test]
async fn a_link_is_made_and_its_payment_is_found_with_exact_sums() {
    for_each_ledger!(subject, shop, daemon => {
        subject.create(&shop, "ORD-1").await;
        let link = shop.ask(&field("pay_link", "ORD-1")).await;
        assert!(link.contains("://"), "{}: {link}", subject.provider);
        subject.pay(&shop, "ORD-1");
        shop.until(&field("status", "ORD-1"), "paid").await;
        assert_eq!(shop.ask(&events("ORD-1")).await, "payment.pending,payment.paid");
        assert_eq!(shop.ask(&told("provider", "ORD-1")).await, subject.provider.name());
        assert_eq!(shop.ask(&told("late", "ORD-1")).await, "0");
        assert_eq!(shop.ask(&field("amount", "ORD-1")).await, subject.price.0);
        for path in ["received.value", "received.currency"] {
            let said = shop.ask(&told(path, "ORD-1")).await;
            let is_exact = said == subject.price.1 || same_value(&said, subject.received);
            assert!(is_exact, "{}: {said}", subject.provider);
        }
    });
}

#[tokio::test]
async fn an_invoice_expires_by_its_deadline_and_is_paid_late_all_the_same() {
    for_each_ledger!(subject, shop, daemon => {
        subject.create(&shop, "ORD-1").await;
        // A ledger is read from a day before its first page on.
        shop.until_asked(subject.reading, 1).await;
        shop.world.advance(Duration::from_hours(48));
        shop.until(&field("status", "ORD-1"), "expired").await;
        subject.pay(&shop, "ORD-1");
        shop.until(&field("status", "ORD-1"), "paid").await;
        assert_eq!(shop.ask(&told("late", "ORD-1")).await, "1");
        let all = shop.ask(&events("ORD-1")).await;
        assert_eq!(all, "payment.pending,payment.expired,payment.paid");
    });
}

/// The first passes end in the middle of the ledger, as seen from the next one.
#[tokio::test]
async fn single_passes_find_every_payment_of_a_long_ledger() {
    for subject in LEDGERS {
        let shop = subject.shop().await;
        for n in 0..150 {
            subject.pay(&shop, &format!("OLD-{n}"));
        }
        follow(&shop).await;
        program::run_once(&shop, subject.key).await;
        assert_eq!(shop.ask(&field("status", "ORD-1")).await, "pending");
        subject.pay(&shop, "ORD-1");
        shop.execute("UPDATE invoices SET next_poll_at = 0").await;
        program::run_once(&shop, subject.key).await;
        assert_eq!(
            shop.ask(&field("status", "ORD-1")).await,
            "paid",
            "{}",
            subject.provider
        );
        for n in 0..120 {
            subject.pay(&shop, &format!("NEW-{n}"));
        }
        shop.execute("INSERT INTO invoices (external_id, status) VALUES ('ORD-2', 'pending')")
            .await;
        subject.pay(&shop, "ORD-2");
        program::run_once(&shop, subject.key).await;
        assert_eq!(
            shop.ask(&field("status", "ORD-2")).await,
            "paid",
            "{}",
            subject.provider
        );
    }
}

#[tokio::test]
async fn an_invoice_of_which_a_ledger_shows_nothing_waits() {
    for_each_ledger!(subject, shop, daemon => {
        follow(&shop).await;
        shop.until_asked(subject.reading, 5).await;
        assert_eq!(shop.ask(&field("status", "ORD-1")).await, "pending");
        assert_eq!(shop.ask("SELECT count(*) FROM outbox").await, "0");
    });
}

#[tokio::test]
async fn what_can_never_have_a_link_is_rejected_with_its_rule() {
    for_each_ledger!(subject, shop, daemon => {
        subject.request(&shop, "ORD-1", "{\"nonsense\":1}").await;
        shop.until(&field("status", "ORD-1"), "rejected").await;
        let reason = shop.ask(&field("reason", "ORD-1")).await;
        assert!(reason.contains("nonsense"), "{}: {reason}", subject.provider);
    });
}

#[tokio::test]
async fn no_failure_of_a_ledger_moves_a_status_and_each_passes() {
    for_each_ledger!(subject, shop, daemon => {
        subject.create(&shop, "ORD-1").await;
        let before = "SELECT status || version || coalesce(reason, '-') FROM invoices";
        let was = shop.ask(before).await;
        for kind in FAILURES {
            shop.world.set_faults(vec![Fault::new(kind)]);
            subject.until_failed(&shop, kind).await;
            assert_eq!(shop.ask(before).await, was, "{} {kind}", subject.provider);
            shop.answer_again();
            subject.until_read(&shop).await;
        }
        subject.pay(&shop, "ORD-1");
        shop.until(&field("status", "ORD-1"), "paid").await;
    });
}

#[tokio::test]
async fn a_word_in_the_envelope_of_a_ledger_is_kept_for_people() {
    for_each_ledger!(subject, shop, daemon => {
        subject.create(&shop, "ORD-1").await;
        shop.world.set_faults(vec![Fault::new(FaultKind::EnvelopeError)]);
        let word = format!("%{}%", subject.word_of_trouble);
        let told = format!("SELECT last_error LIKE '{word}' FROM accounts");
        shop.until(&told, "1").await;
        shop.answer_again();
    });
}

#[tokio::test]
async fn an_entry_in_a_state_that_nobody_knows_pays_nothing() {
    for_each_ledger!(subject, shop, daemon => {
        subject.create(&shop, "ORD-1").await;
        shop.world.set_faults(vec![Fault::new(FaultKind::UnknownStatus)]);
        subject.pay(&shop, "ORD-1");
        subject.until_failed(&shop, FaultKind::UnknownStatus).await;
        assert_eq!(shop.ask(&field("status", "ORD-1")).await, "pending");
        shop.answer_again();
        shop.until(&field("status", "ORD-1"), "paid").await;
    });
}

#[tokio::test]
async fn a_refused_key_stops_the_account_of_a_ledger_and_says_nothing_of_its_invoices() {
    for subject in LEDGERS {
        let shop = subject.shop_with(Some("another-key")).await;
        follow(&shop).await;
        let daemon = subject.start(&shop);
        shop.until("SELECT state FROM accounts", "key_refused")
            .await;
        assert_eq!(shop.ask(&field("status", "ORD-1")).await, "pending");
        assert_eq!(shop.ask("SELECT count(*) FROM outbox").await, "0");
        let said = shop.ask("SELECT last_error FROM accounts").await;
        assert!(!said.contains("canary-key"), "{}: {said}", subject.provider);
        daemon.stop().await;
    }
}

#[tokio::test]
async fn a_lost_answer_to_the_creation_of_a_link_leads_to_one_link() {
    for subject in LEDGERS {
        let Some(create) = subject.create else {
            continue;
        };
        let shop = subject.shop().await;
        let lost = Fault::new(FaultKind::LostAnswer).on(FaultTarget::Named(create));
        shop.world.set_faults(vec![lost.times(2)]);
        let daemon = subject.start(&shop);
        subject.create(&shop, "ORD-1").await;
        assert_eq!(shop.ask(&events("ORD-1")).await, "payment.pending");
        subject.pay(&shop, "ORD-1");
        shop.until(&field("status", "ORD-1"), "paid").await;
        daemon.stop().await;
    }
}

/// A shop whose invoices are polled once within the test.
async fn patient_shop(subject: &LedgerSubject) -> Shop {
    let mut shop = subject.shop().await;
    let provider = format!("\"{}\"\n", subject.provider);
    let alone = format!("{provider}list_bytes_per_second = 0\n");
    shop.settings = shop
        .settings
        .replace(&provider, &alone)
        .replace("min_interval = \"100ms\"", "min_interval = \"10m\"")
        .replace("max_interval = \"200ms\"", "max_interval = \"10m\"");
    shop
}

/// Requests that one round over so many open invoices takes; the last of them is paid.
async fn requests_of_a_round(subject: &LedgerSubject, count: usize) -> u64 {
    let shop = patient_shop(subject).await;
    shop.execute(&format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         INSERT INTO invoices (external_id, status) SELECT 'ORD-' || i, 'pending' FROM n"
    ))
    .await;
    let name = format!("ORD-{count}");
    subject.pay(&shop, &name);
    let daemon = subject.start(&shop);
    shop.until(&field("status", &name), "paid").await;
    daemon.stop().await;
    let others = "SELECT count(*) FROM invoices WHERE status = 'pending'";
    assert_eq!(shop.ask(others).await, (count - 1).to_string());
    shop.asked(subject.reading)
}

#[tokio::test]
async fn a_reading_of_a_ledger_costs_the_same_for_one_open_invoice_and_for_500() {
    for (subject, most) in LEDGERS.iter().zip([5, 1]) {
        let of_one = requests_of_a_round(subject, 1).await;
        let of_many = requests_of_a_round(subject, 500).await;
        assert_eq!(of_one, of_many, "{}", subject.provider);
        assert!(of_many <= most, "{}: {of_many}", subject.provider);
    }
}

#[tokio::test]
async fn behind_10000_old_transactions_of_stars_the_first_payment_is_found_by_20_requests() {
    let subject = &LEDGERS[0];
    let shop = patient_shop(subject).await;
    for number in 0..10_000 {
        let old = NewTransaction {
            external_id: Some(format!("OLD-{number}")),
            ..NewTransaction::default()
        };
        shop.world.add_transaction(subject.provider, &old).unwrap();
    }
    shop.world.advance(Duration::from_hours(48));
    follow(&shop).await;
    subject.pay(&shop, "ORD-1");
    let daemon = subject.start(&shop);
    shop.until(&field("status", "ORD-1"), "paid").await;
    daemon.stop().await;
    let requests = shop.asked(subject.reading);
    assert!(requests <= 20, "{requests}");
    assert_eq!(shop.ask("SELECT count(*) FROM transactions").await, "1");
}

/// As where the token was replaced by one of another bot. Its ledger is shorter, or longer.
#[tokio::test]
async fn the_ledger_of_another_bot_is_read_from_its_beginning_and_ends_no_earlier_invoice() {
    let subject = &LEDGERS[0];
    for theirs in [1, 9] {
        let mut shop = subject.shop().await;
        let daemon = subject.start(&shop);
        for name in ["OLD-1", "OLD-2", "OPEN"] {
            subject.create(&shop, name).await;
        }
        for name in ["OLD-1", "OLD-2"] {
            subject.pay(&shop, name);
            shop.until(&field("status", name), "paid").await;
        }
        subject.until_read(&shop).await;
        daemon.stop().await;
        // Of another seed, so that its transactions have other ids.
        let other = Shop::with(SandboxOptions {
            listen: ([127, 0, 0, 1], 0).into(),
            seed: 77,
            ..SandboxOptions::default()
        })
        .await;
        for number in 0..theirs {
            subject.pay(&other, &format!("NEW-{number}"));
        }
        shop.base_url.clone_from(&other.base_url);
        let daemon = subject.start(&shop);
        subject.create(&shop, "NEW-0").await;
        shop.until(&field("status", "NEW-0"), "paid").await;
        // Nothing is known of the second in which that ledger was noticed.
        tokio::time::sleep(Duration::from_secs(2)).await;
        subject.create(&shop, "UNPAID").await;
        other.world.advance(Duration::from_hours(48));
        shop.until(&field("status", "UNPAID"), "expired").await;
        assert_eq!(
            shop.ask(&field("status", "OPEN")).await,
            "pending",
            "{theirs}"
        );
        daemon.stop().await;
    }
}

#[tokio::test]
async fn a_token_for_the_history_alone_is_enough_at_yoomoney() {
    let subject = &LEDGERS[1];
    let mut shop = Shop::with(SandboxOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        variants: vec![Variant::YooMoneyHistoryScope],
        ..SandboxOptions::default()
    })
    .await;
    shop.settings = format!("provider = \"{}\"\n{}\n", subject.provider, subject.account);
    let mut check = program::program(shop.folder.path());
    program::write_config(&shop);
    check.env("PAYRECOND_API_KEY_DEFAULT", subject.key);
    let said = check.arg("check").output().await.unwrap();
    let words = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success(), "{words}");
    assert_eq!(shop.asked(Operation::YooMoneyHistory), 1, "{words}");
}
