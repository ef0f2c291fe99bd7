//! Every state and money case, end to end: the built daemon beside the sandbox.
//!
//! The table in TESTING.md says what comes of each case at each provider: the invoice's status and reason,
//! and its events in their order. The cases of providers that keep orders are played here, those of
//! ledgers in `ledger_cases`.

use std::process::Stdio;

use futures::future::join_all;
use payrecond::sandbox::{
    FaultTarget, OrderAction, OrderBatch, OrderEnding, SandboxOptions, Variant,
};

use super::{Fault, FaultKind, SUBJECTS, SimulatedPayment, SimulatedProvider, Subject, field};
use crate::docs::page::Page;
use crate::faults::program::{self, Program, Stdout};
use crate::shop::Shop;

const HEADING: &str = "Every state and money case, end to end";
/// The cell of a case that cannot happen at a provider.
pub(super) const NEVER: &str = "–";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Paid,
    OtherCurrency,
    OtherThanExpected,
    OtherCurrencyThanExpected,
    Part,
    Parts,
    PartAtTheEnd,
    RestAfterTheEnd,
    PartAccepted,
    Overpaid,
    PaidTwice,
    BeforeItsInvoice,
    InProgress,
    ThenRefused,
    RefundedWhole,
    RefundedInPart,
    Refunded,
    Held,
    Captured,
    HeldToTheEnd,
    Expired,
    Late,
    Cancelled,
    LateAfterCancel,
    UnknownId,
    LostCreation,
    Rejected,
}

/// As the rows of the table are called.
pub(super) const CASES: &[(Case, &str)] = &[
    (Case::Paid, "paid"),
    (
        Case::OtherCurrency,
        "paid in another currency than the price's",
    ),
    (
        Case::OtherThanExpected,
        "made for another sum than the invoice expects",
    ),
    (
        Case::OtherCurrencyThanExpected,
        "made in another currency than the invoice expects",
    ),
    (Case::Part, "a part paid"),
    (Case::Parts, "a part paid, then the rest"),
    (Case::PartAtTheEnd, "a part paid at the end"),
    (
        Case::RestAfterTheEnd,
        "a part paid at the end, then the rest",
    ),
    (Case::PartAccepted, "a part paid, accepted by the shop"),
    (Case::Overpaid, "overpaid"),
    (Case::PaidTwice, "paid, then paid again"),
    (
        Case::BeforeItsInvoice,
        "paid before its invoice is inserted",
    ),
    (Case::InProgress, "in progress, then received"),
    (Case::ThenRefused, "in progress, then refused"),
    (Case::RefundedWhole, "refunded"),
    (Case::RefundedInPart, "a part refunded"),
    (Case::Refunded, "refunded in two parts"),
    (Case::Held, "held"),
    (Case::Captured, "held, then captured"),
    (Case::HeldToTheEnd, "held and never captured"),
    (Case::Expired, "expired"),
    (Case::Late, "expired, then paid"),
    (Case::Cancelled, "cancelled or deleted"),
    (Case::LateAfterCancel, "cancelled, then paid"),
    (Case::UnknownId, "an id that nobody has"),
    (Case::LostCreation, "the answer to the creation lost"),
    (Case::Rejected, "refused by the provider's rules"),
];
const TEST_PAYMENT: &str = "a test payment";
const TEST_ACCEPTED: &str = "a test payment, accepted by the account";

#[tokio::test(flavor = "multi_thread")]
async fn every_case_comes_out_as_the_table_says_at_wallet_pay() {
    play_all(SimulatedProvider::WalletPay).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_comes_out_as_the_table_says_at_crypto_pay() {
    play_all(SimulatedProvider::CryptoPay).await;
}

/// Takes a minute: refunds are noticed within half a minute.
#[tokio::test(flavor = "multi_thread")]
async fn every_case_comes_out_as_the_table_says_at_yookassa() {
    play_all(SimulatedProvider::YooKassa).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_comes_out_as_the_table_says_at_cryptocloud() {
    play_all(SimulatedProvider::CryptoCloud).await;
}

async fn play_all(provider: SimulatedProvider) {
    let subject = SUBJECTS
        .iter()
        .find(|one| one.provider == provider)
        .unwrap();
    let table = Table::read(provider);
    let scene = Scene::open(subject, &[], subject.account).await;
    // Before all others, since it spoils creations.
    let (first, others): (Vec<_>, Vec<_>) = CASES
        .iter()
        .partition(|(case, _)| *case == Case::LostCreation);
    for (case, name) in first {
        scene.play(case, &table.expected(name)).await;
    }
    let expected: Vec<_> = others
        .iter()
        .map(|(_, name)| table.expected(name))
        .collect();
    let played = others.iter().zip(&expected);
    join_all(played.map(|((case, _), expected)| scene.play(*case, expected))).await;
    scene.end().await;
    for (name, accepted) in [(TEST_PAYMENT, false), (TEST_ACCEPTED, true)] {
        play_test_payment(subject, accepted, &table.expected(name)).await;
    }
}

/// The column of a provider.
pub(super) struct Table(Vec<(String, String)>);

impl Table {
    pub(super) fn read(provider: SimulatedProvider) -> Self {
        let page = Page::read("TESTING.md");
        let under = page.text.split(&format!("\n## {HEADING}\n")).nth(1);
        let mut lines = under
            .expect(HEADING)
            .lines()
            .skip_while(|line| !line.starts_with('|'));
        let cells = |line: &str| -> Vec<String> {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().to_owned()).collect()
        };
        let head = cells(lines.next().unwrap());
        let column = head
            .iter()
            .position(|cell| *cell == format!("`{provider}`"));
        let column = column.unwrap_or_else(|| panic!("{provider} has no column"));
        let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
        Self(
            rows.map(cells)
                .map(|row| (row[0].clone(), row[column].clone()))
                .collect(),
        )
    }

    pub(super) fn expected(&self, name: &str) -> String {
        let row = self.0.iter().find(|(row, _)| row == name);
        row.unwrap_or_else(|| panic!("{name}: no such row"))
            .1
            .clone()
    }
}

/// One provider, with the built daemon at work.
struct Scene {
    subject: &'static Subject,
    shop: Shop,
    program: Program,
}

impl Scene {
    async fn open(subject: &'static Subject, variants: &[Variant], account: &str) -> Self {
        let mut shop = Shop::with(SandboxOptions {
            listen: ([127, 0, 0, 1], 0).into(),
            variants: variants.to_vec(),
            ..SandboxOptions::default()
        })
        .await;
        shop.settings = subject.settings(account);
        Self::run(subject, shop, subject.key).await
    }

    async fn run(subject: &'static Subject, shop: Shop, key: &str) -> Self {
        let mut command = program::command(&shop);
        command.env("PAYRECOND_API_KEY_DEFAULT", key);
        let program = Program::spawn(&shop, command, Stdout::Read, Stdio::piped());
        Self {
            subject,
            program: program.until_ready().await,
            shop,
        }
    }

    async fn end(self) {
        end_well(self.shop, self.program).await;
    }

    /// Plays a case, unless it cannot happen here, and waits until it has come out as expected.
    async fn play(&self, case: Case, expected: &str) {
        if expected == NEVER {
            return;
        }
        let name = format!("{case:?}");
        self.begin(case, &name).await;
        self.go_on(case, &name).await;
        self.shop.until(&outcome(&name), expected).await;
        if let Some(holds) = self.holds(case, &name) {
            self.shop.until(&holds, "1").await;
        }
    }

    /// To the moment when the payer could pay.
    async fn begin(&self, case: Case, name: &str) {
        let (value, currency) = self.subject.price;
        match case {
            Case::OtherThanExpected => self.insert_made(name, "1.50", None).await,
            Case::OtherCurrencyThanExpected => self.insert_made(name, "2.00", Some("GEL")).await,
            Case::UnknownId => {
                let id = self.subject.unknown_id;
                let row = format!(
                    "INSERT INTO invoices (external_id, order_id) VALUES ('{name}', '{id}')"
                );
                self.shop.execute(&row).await;
            }
            Case::Rejected => {
                self.shop
                    .execute(&format!(
                        "INSERT INTO invoices (external_id, amount, currency, description, options)
                         VALUES ('{name}', '{value}', '{currency}', 'Six eggs', '{{\"nonsense\":1}}')"
                    ))
                    .await;
            }
            Case::LostCreation => {
                let creation = FaultTarget::Named(self.subject.create);
                let lost = Fault::new(FaultKind::LostAnswer).on(creation).times(1);
                self.shop.world.set_faults(vec![lost]);
                self.subject.request(&self.shop, name, value).await;
            }
            Case::OtherCurrency if self.subject.fiat_price.is_some() => {
                let (value, currency) = self.subject.fiat_price.unwrap();
                self.insert(name, value, currency).await;
            }
            _ => self.insert(name, value, currency).await,
        }
    }

    async fn insert(&self, name: &str, value: &str, currency: &str) {
        let options = self.subject.options;
        self.shop
            .execute(&format!(
                "INSERT INTO invoices (external_id, amount, currency, description, options)
                 VALUES ('{name}', '{value}', '{currency}', 'Six eggs', '{options}')"
            ))
            .await;
        self.until_status(name, "pending").await;
    }

    /// An order that somebody made for 2.00, as an invoice that expects something else.
    async fn insert_made(&self, name: &str, value: &str, currency: Option<&str>) {
        let batch = OrderBatch {
            provider: self.subject.provider,
            external_id_prefix: format!("{name}-"),
            amount: "2.00".into(),
            ..OrderBatch::default()
        };
        self.shop.world.seed(&batch).unwrap();
        let made = self.shop.world.orders();
        let made = made
            .iter()
            .find(|order| order.external_id.starts_with(&batch.external_id_prefix));
        let made = made.unwrap();
        let currency = currency.unwrap_or(&made.amount.currency_code);
        let (external_id, id) = (&made.external_id, &made.id);
        self.shop
            .execute(&format!(
                "INSERT INTO invoices (external_id, order_id, amount, currency)
                 VALUES ('{external_id}', '{id}', '{value}', '{currency}')"
            ))
            .await;
    }

    /// What payer, shop and provider do then.
    async fn go_on(&self, case: Case, name: &str) {
        match case {
            Case::Paid | Case::OtherCurrency => self.pay(name, None),
            Case::Overpaid => self.pay(name, Some(self.subject.double)),
            Case::Part
            | Case::Parts
            | Case::PartAtTheEnd
            | Case::RestAfterTheEnd
            | Case::PartAccepted => self.go_on_in_parts(case, name).await,
            Case::RefundedWhole | Case::RefundedInPart | Case::Refunded => {
                self.refund(case, name).await;
            }
            Case::Held | Case::Captured | Case::HeldToTheEnd => self.hold(case, name).await,
            Case::Expired => self.expire(name),
            Case::Late => {
                self.expire(name);
                self.until_status(name, "expired").await;
                self.pay_late(name);
            }
            Case::Cancelled => self.act(name, &OrderAction::Cancel(OrderEnding::default())),
            Case::LateAfterCancel => {
                self.act(name, &OrderAction::Cancel(OrderEnding::default()));
                self.until_status(name, "cancelled").await;
                self.pay_late(name);
            }
            Case::OtherThanExpected
            | Case::OtherCurrencyThanExpected
            | Case::UnknownId
            | Case::LostCreation
            | Case::Rejected => {}
            Case::PaidTwice | Case::BeforeItsInvoice | Case::InProgress | Case::ThenRefused => {
                panic!("{case:?} is a case of ledgers");
            }
        }
    }

    async fn go_on_in_parts(&self, case: Case, name: &str) {
        self.pay(name, Some(self.subject.half));
        self.until_reason(name, "partially_paid").await;
        match case {
            Case::Parts => self.pay(name, None),
            Case::PartAtTheEnd => self.expire(name),
            Case::RestAfterTheEnd => {
                self.expire(name);
                self.until_status(name, "review").await;
                self.pay_late(name);
            }
            Case::PartAccepted => {
                let accepted = SimulatedPayment {
                    confirm: true,
                    ..SimulatedPayment::default()
                };
                self.act(name, &OrderAction::Pay(accepted));
            }
            _ => {}
        }
    }

    async fn refund(&self, case: Case, name: &str) {
        self.pay(name, None);
        self.until_status(name, "paid").await;
        let world = &self.shop.world;
        if case == Case::RefundedWhole {
            world.refund(name, None).unwrap();
            return;
        }
        world.refund(name, Some(self.subject.half)).unwrap();
        if case == Case::Refunded {
            self.until(&field("refunded_amount > ''", name), "1").await;
            world.refund(name, None).unwrap();
        }
    }

    async fn hold(&self, case: Case, name: &str) {
        let held = SimulatedPayment {
            capture: Some(false),
            ..SimulatedPayment::default()
        };
        self.act(name, &OrderAction::Pay(held));
        self.until_reason(name, "authorized").await;
        match case {
            Case::Captured => self.pay(name, None),
            Case::HeldToTheEnd => self.expire(name),
            _ => {}
        }
    }

    /// What must be so beside status and events: SQL that answers 1.
    fn holds(&self, case: Case, name: &str) -> Option<String> {
        let of = |condition: &str| {
            Some(format!(
                "SELECT {condition} FROM invoices WHERE external_id = '{name}'"
            ))
        };
        let half = self.subject.half;
        match case {
            Case::OtherCurrency => of("paid_currency <> currency"),
            Case::Overpaid => of("received_amount * 1 > amount * 1"),
            Case::RefundedInPart => of(&format!("refunded_amount * 1 = {half} * 1")),
            Case::Refunded | Case::RefundedWhole => of("refunded_amount * 1 = amount * 1"),
            Case::Late | Case::LateAfterCancel => Some(late(name)),
            Case::LostCreation => {
                let orders = self.shop.world.orders();
                let made = orders
                    .iter()
                    .filter(|order| &*order.external_id == name)
                    .count();
                of(&format!("{made} = 1"))
            }
            _ => None,
        }
    }

    fn act(&self, name: &str, action: &OrderAction) {
        let done = self
            .shop
            .world
            .act(Some(self.subject.provider), name, action);
        done.unwrap_or_else(|error| panic!("{} {name}: {error}", self.subject.provider));
    }

    fn pay(&self, name: &str, amount: Option<&str>) {
        let payment = SimulatedPayment {
            amount: amount.map(str::to_owned),
            ..SimulatedPayment::default()
        };
        self.act(name, &OrderAction::Pay(payment));
    }

    fn pay_late(&self, name: &str) {
        let payment = SimulatedPayment {
            late: true,
            ..SimulatedPayment::default()
        };
        self.act(name, &OrderAction::Pay(payment));
    }

    fn expire(&self, name: &str) {
        self.act(name, &OrderAction::Expire(OrderEnding::default()));
    }

    async fn until(&self, sql: &str, expected: &str) {
        self.shop.until(sql, expected).await;
    }

    async fn until_reason(&self, name: &str, reason: &str) {
        self.until(&field("coalesce(reason, '-')", name), reason)
            .await;
    }

    async fn until_status(&self, name: &str, status: &str) {
        self.until(&field("status", name), status).await;
    }
}

/// The program ends well, and its feed had each event.
pub(super) async fn end_well(shop: Shop, program: Program) {
    let events = "SELECT count(*) FROM outbox";
    let all = shop.ask(events).await;
    let acknowledged =
        "SELECT acked_seq = (SELECT max(seq) FROM outbox) FROM consumers WHERE name = 'stdout'";
    shop.until(acknowledged, "1").await;
    let left = program.stop().await;
    let feed = String::from_utf8(left.stdout).unwrap();
    let frames = feed.lines().filter(|line| line.starts_with("MSG "));
    assert_eq!(frames.count().to_string(), all);
}

/// Whether the last payment came late.
pub(super) fn late(name: &str) -> String {
    format!(
        "SELECT json_extract(payload, '$.data.late') FROM outbox
         WHERE external_id = '{name}' AND type = 'payment.paid'"
    )
}

/// Status, reason and events of an invoice, as the cells of the table hold them. Whether the amounts of a
/// payment come with it or after it depends on the request that showed it first.
pub(super) fn outcome(name: &str) -> String {
    format!(
        "SELECT coalesce((SELECT status || CASE status WHEN 'rejected' THEN '' ELSE coalesce(' ' || reason, '') END || ': ' ||
            (SELECT coalesce(group_concat(told, ', '), '') FROM (SELECT substr(type, 9) AS told FROM outbox
             WHERE outbox.external_id = invoices.external_id AND type <> 'payment.detailed' ORDER BY seq))
         FROM invoices WHERE external_id = '{name}' OR external_id LIKE '{name}-%'), '')"
    )
}

async fn play_test_payment(subject: &'static Subject, accepted: bool, expected: &str) {
    let Some(test) = subject.test.filter(|_| expected != NEVER) else {
        assert_eq!(expected, NEVER, "{}", subject.provider);
        return;
    };
    let account = format!("accept_test_payments = {accepted}\n{}", subject.account);
    let mut shop = Shop::with(SandboxOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        variants: test.variant.into_iter().collect(),
        ..SandboxOptions::default()
    })
    .await;
    shop.settings = subject.settings(&account);
    let scene = Scene::run(subject, shop, test.key).await;
    let (value, currency) = subject.price;
    scene.insert("Test", value, currency).await;
    scene.pay("Test", None);
    scene.until(&outcome("Test"), expected).await;
    let told = "SELECT json_extract(payload, '$.data.test') FROM outbox ORDER BY seq DESC LIMIT 1";
    assert_eq!(scene.shop.ask(told).await, "1");
    scene.end().await;
}
