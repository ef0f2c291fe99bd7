//! The cases of the table at providers that keep a ledger and no orders. A payment is an entry with the
//! invoice's label, and all invoices end together: the provider's clock passes their deadline.

use std::process::Stdio;
use std::time::Duration;

use futures::future::join_all;
use payrecond::sandbox::{FaultTarget, NewTransaction};

use super::cases::{CASES, Case, NEVER, Table, end_well, late, outcome};
use super::ledgers::{LEDGERS, LedgerSubject};
use super::{Fault, FaultKind, SimulatedProvider, field};
use crate::faults::program::{self, Program, Stdout};
use crate::shop::Shop;

#[tokio::test(flavor = "multi_thread")]
async fn every_case_comes_out_as_the_table_says_at_telegram_stars() {
    play_all(SimulatedProvider::TelegramStars).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_comes_out_as_the_table_says_at_yoomoney() {
    play_all(SimulatedProvider::YooMoney).await;
}

async fn play_all(provider: SimulatedProvider) {
    let table = Table::read(provider);
    let expected = CASES
        .iter()
        .map(|(case, name)| (*case, table.expected(name)));
    let (first, others): (Vec<_>, Vec<_>) = expected
        .filter(|(_, expected)| expected != NEVER)
        // Before all others, since it spoils creations.
        .partition(|(case, _)| *case == Case::LostCreation);
    let scene = LedgerScene::open(provider).await;
    for (case, expected) in &first {
        scene.play(*case, expected).await;
    }
    let in_time = others.iter();
    join_all(in_time.map(|(case, expected)| scene.play(*case, expected))).await;
    scene.shop.world.advance(Duration::from_hours(48));
    let at_the_end = others.iter().filter(|(case, _)| ends_by_deadline(*case));
    join_all(at_the_end.map(|(case, expected)| scene.play_end(*case, expected))).await;
    end_well(scene.shop, scene.program).await;
}

fn ends_by_deadline(case: Case) -> bool {
    matches!(
        case,
        Case::Expired | Case::Late | Case::PartAtTheEnd | Case::RestAfterTheEnd
    )
}

/// One provider, with the built daemon at work.
struct LedgerScene {
    subject: &'static LedgerSubject,
    shop: Shop,
    program: Program,
}

impl LedgerScene {
    async fn open(provider: SimulatedProvider) -> Self {
        let mut subjects = LEDGERS.iter();
        let subject = subjects.find(|one| one.provider == provider).unwrap();
        let shop = subject.shop().await;
        let mut command = program::command(&shop);
        command.env("PAYRECOND_API_KEY_DEFAULT", subject.key);
        let program = Program::spawn(&shop, command, Stdout::Read, Stdio::piped());
        Self {
            subject,
            program: program.until_ready().await,
            shop,
        }
    }

    /// Plays what happens before the deadline, and compares where nothing happens after it.
    async fn play(&self, case: Case, expected: &str) {
        let name = format!("{case:?}");
        self.begin(case, &name).await;
        self.go_on(case, &name).await;
        if !ends_by_deadline(case) {
            self.compare(case, &name, expected).await;
        }
    }

    /// Plays what happens once the deadline is over.
    async fn play_end(&self, case: Case, expected: &str) {
        let name = format!("{case:?}");
        match case {
            Case::Late => {
                self.shop.until(&field("status", &name), "expired").await;
                self.pay(&name, self.subject.price.0);
            }
            Case::RestAfterTheEnd => {
                self.shop.until(&field("status", &name), "review").await;
                self.pay(&name, self.subject.rest);
            }
            _ => {}
        }
        self.compare(case, &name, expected).await;
    }

    async fn compare(&self, case: Case, name: &str, expected: &str) {
        self.shop.until(&outcome(name), expected).await;
        let holds = match case {
            Case::Overpaid => field("received_amount * 1 > amount * 1", name),
            Case::RefundedWhole => field("refunded_amount * 1 = amount * 1", name),
            Case::Late => late(name),
            _ => return,
        };
        assert_eq!(self.shop.ask(&holds).await, "1", "{case:?}");
    }

    /// To the moment when the payer could pay.
    async fn begin(&self, case: Case, name: &str) {
        match case {
            Case::BeforeItsInvoice => {}
            Case::Rejected => {
                let options = r#"{"nonsense":1}"#;
                self.subject.request(&self.shop, name, options).await;
            }
            Case::LostCreation => {
                let creation = FaultTarget::Named(self.subject.create.unwrap());
                let lost = Fault::new(FaultKind::LostAnswer).on(creation).times(1);
                self.shop.world.set_faults(vec![lost]);
                self.subject.create(&self.shop, name).await;
            }
            _ => self.subject.create(&self.shop, name).await,
        }
    }

    /// What the payer and the provider do then.
    async fn go_on(&self, case: Case, name: &str) {
        let price = self.subject.price.0;
        match case {
            Case::Paid => self.pay(name, price),
            Case::Overpaid => self.pay(name, self.subject.double),
            Case::Part | Case::Parts | Case::PartAtTheEnd | Case::RestAfterTheEnd => {
                self.pay(name, self.subject.half);
                let reason = field("coalesce(reason, '-')", name);
                self.shop.until(&reason, "partially_paid").await;
                if case == Case::Parts {
                    self.pay(name, self.subject.rest);
                }
            }
            Case::PaidTwice | Case::RefundedWhole => {
                self.pay(name, price);
                self.shop.until(&field("status", name), "paid").await;
                match case {
                    Case::PaidTwice => self.pay(name, price),
                    _ => self.give_back(name),
                }
            }
            Case::BeforeItsInvoice => self.pay_before_its_invoice(name).await,
            Case::InProgress | Case::ThenRefused => self.pay_slowly(case, name).await,
            Case::Expired | Case::Late | Case::LostCreation | Case::Rejected => {}
            other => panic!("{other:?} cannot happen in a ledger"),
        }
    }

    async fn pay_before_its_invoice(&self, name: &str) {
        let (value, currency) = self.subject.price;
        self.pay(name, value);
        self.until_kept(name, "succeeded").await;
        let row = format!(
            "INSERT INTO invoices (external_id, amount, currency, status)
             VALUES ('{name}', '{value}', '{currency}', 'pending')"
        );
        self.shop.execute(&row).await;
    }

    async fn pay_slowly(&self, case: Case, name: &str) {
        let (id, end) = match case {
            Case::InProgress => ("790000000000900001", "success"),
            _ => ("790000000000900002", "refused"),
        };
        let step = |status: &str| NewTransaction {
            transaction_id: Some(id.to_owned()),
            status: Some(status.to_owned()),
            ..payment(name, self.subject.price.0)
        };
        self.move_money(&step("in_progress"));
        self.until_kept(name, "in_progress").await;
        self.move_money(&step(end));
        if case == Case::ThenRefused {
            self.until_kept(name, "refused").await;
        }
    }

    /// Until a transaction with this label and status is kept.
    async fn until_kept(&self, name: &str, status: &str) {
        let kept = format!(
            "SELECT count(*) FROM transactions WHERE external_id = '{name}' AND status = '{status}'"
        );
        self.shop.until(&kept, "1").await;
    }

    fn pay(&self, name: &str, amount: &str) {
        self.move_money(&payment(name, amount));
    }

    /// Returns the payment of an invoice.
    fn give_back(&self, name: &str) {
        let all = self.shop.world.transactions();
        let payment = all.iter().find(|one| one.external_id == name).unwrap();
        self.move_money(&NewTransaction {
            is_out: true,
            transaction_id: Some(payment.transaction_id.clone()),
            ..NewTransaction::default()
        });
    }

    fn move_money(&self, entry: &NewTransaction) {
        let world = &self.shop.world;
        world.add_transaction(self.subject.provider, entry).unwrap();
    }
}

fn payment(name: &str, amount: &str) -> NewTransaction {
    NewTransaction {
        external_id: Some(name.to_owned()),
        amount: Some(amount.to_owned()),
        ..NewTransaction::default()
    }
}
