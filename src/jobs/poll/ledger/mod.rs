//! What the ledger of an account whose provider keeps no orders means for its invoices.
//!
//! One reading covers every open invoice. A page's transactions are matched to invoices by label, or by
//! the payment that they return, and written with the decisions that they lead to; those of no invoice
//! are kept with the place where reading goes on, once all decisions of the page are written. So a crash
//! at any point reads a page again and nothing else. An invoice that comes later is compared with what
//! was kept.
//!
//! Payments of one reading are one sum, whatever their pages: a payment that pays its invoice on a page
//! before the last is kept like those of no invoice, and the invoice is compared with all that was kept
//! once the reading ends. If a request fails, payments kept so far are decided at once.

mod check;
mod comparisons;
mod pace;
mod reader;
mod request;
mod taken;

use std::collections::BTreeMap;
use std::time::Duration;

use self::pace::READ_EVERY;
pub(super) use self::reader::{LedgerAnswer, LedgerReader};
use self::reader::{MatchedPage, PageInHand};
use self::taken::Matches;
use super::page::lock;
use super::poller::Poller;
use super::schedule::{Entry, EntryKind, Tick, tick};
use crate::domain::invoice::{Invoice, InvoiceId};
use crate::domain::ledger::LedgerStep;
use crate::domain::observation::{
    LedgerCoverage, LedgerObservation, Observation, ObservedMoney, OrderState, Sums,
};
use crate::domain::state::Status;
use crate::domain::transaction::Transaction;
use crate::provider::LedgerJudgement;
use crate::store::StoreError;

/// How often the cursor is saved between complete readings while nothing else is written; a crash repeats at most
/// this much reading.
const SAVE_EVERY: Duration = Duration::from_secs(10);
/// The delay before the ledger is read again if the last reading began after a deadline but its data ends
/// before it.
const PROOF_AGAIN: Duration = Duration::from_secs(10);

impl Poller {
    /// Works on what the ledger brought, as far as the database allows it.
    pub(super) async fn work_on_ledger(&mut self) -> Result<(), StoreError> {
        self.match_transactions().await?;
        self.keep_page().await?;
        self.check_kept().await
    }

    /// From a page's transactions to decisions.
    async fn match_transactions(&mut self) -> Result<(), StoreError> {
        let reader = self.requests.ledger.as_ref();
        let Some(PageInHand::Unmatched(page)) = reader.map(|reader| &reader.page) else {
            return Ok(());
        };
        let page = page.clone();
        let (store, account) = (&self.setup.store, &self.setup.account);
        let matched = store
            .match_transactions(account, &page.transactions)
            .await?;
        let sorted = Matches::of(matched, &page.transactions);
        if sorted
            .claimants
            .iter()
            .any(|(_, invoice)| self.is_in_hand(invoice))
        {
            return Ok(());
        }
        let is_free = |place: usize| !sorted.taken.contains(&place);
        let transactions = page.transactions.iter().enumerate();
        let mut without_invoice: Vec<Option<Transaction>> = transactions
            .map(|(place, one)| is_free(place).then(|| one.clone()))
            .collect();
        let mut of_invoices: BTreeMap<InvoiceId, (Invoice, Vec<Transaction>)> = BTreeMap::new();
        for (place, invoice) in sorted.of_invoices {
            let taken = without_invoice.get_mut(place).and_then(Option::take);
            let (_, transactions) = of_invoices
                .entry(invoice.id)
                .or_insert_with(|| (invoice, Vec::new()));
            transactions.extend(taken);
        }
        if of_invoices
            .values()
            .any(|(invoice, transactions)| self.must_wait(invoice, transactions))
        {
            // The page is matched again once their decisions are written.
            return Ok(());
        }
        self.judge_claimants(sorted.claimants, &page.transactions);
        let mut without_invoice: Vec<Transaction> = without_invoice.into_iter().flatten().collect();
        let is_last = matches!(page.step, LedgerStep::End { .. });
        for (invoice, transactions) in of_invoices.into_values() {
            without_invoice.extend(self.judge_transactions(invoice, transactions, is_last));
        }
        let Some(reader) = &mut self.requests.ledger else {
            return Ok(());
        };
        let coverage = reader.ledger.learn(page.step, page.answered_at);
        without_invoice.retain(|transaction| reader.is_unknown(transaction));
        reader.page = PageInHand::Matched(MatchedPage {
            without_invoice,
            is_end: !reader.ledger.is_reading(),
            coverage,
        });
        Ok(())
    }

    /// Whether an invoice is being worked on while one of its own transactions changes: kept apart, the
    /// change would be written without a decision.
    fn must_wait(&self, invoice: &Invoice, transactions: &[Transaction]) -> bool {
        self.is_in_hand(invoice) && has_changed_own(invoice, transactions)
    }

    /// Decides what transactions of a page mean for their invoice. Returns those that no decision writes
    /// now: the invoice is being worked on, or waits for the end of the reading.
    fn judge_transactions(
        &mut self,
        invoice: Invoice,
        transactions: Vec<Transaction>,
        is_last: bool,
    ) -> Vec<Transaction> {
        let is_known = |one: &Transaction| invoice.transactions.contains(one);
        if transactions.iter().all(is_known) {
            return Vec::new();
        }
        let observed = self.observe(&invoice, transactions);
        let pays = observed.state == OrderState::Paid && invoice.facts.status != Status::Paid;
        let has_own = has_changed_own(&invoice, &observed.money.transactions);
        // One that is never polled again would not be compared after a crash.
        let may_wait = !is_last && !has_own && invoice.schedule.next_poll_at.is_some();
        let now = tick(self.setup.clock.monotonic());
        let Some(reader) = &mut self.requests.ledger else {
            return Vec::new();
        };
        if reader.comparisons.is_held(invoice.id) && !has_own || pays && may_wait {
            reader.comparisons.hold(invoice.id);
            return observed.money.transactions;
        }
        if !lock(&self.shared).schedule.take_in_hand(&invoice, now) {
            reader.comparisons.check_new(invoice.id);
            return observed.money.transactions;
        }
        self.decide_invoice(Box::new(invoice), Observation::Ledger(observed));
        Vec::new()
    }

    /// What `transactions`, with those that are known, come to.
    fn observe(&self, invoice: &Invoice, transactions: Vec<Transaction>) -> LedgerObservation {
        let mut all = invoice.transactions.clone();
        for one in &transactions {
            all.retain(|known| !known.is_same_as(one));
            all.push(one.clone());
        }
        let judgement = match self.setup.provider.ledger() {
            Some(ledger) => ledger.judge(invoice, &all),
            None => LedgerJudgement {
                state: OrderState::Unknown,
                provider_status: String::new(),
                paid_at: None,
                payment: None,
            },
        };
        LedgerObservation {
            state: judgement.state,
            provider_status: judgement.provider_status,
            observed_at: self.setup.clock.now(),
            paid_at: judgement.paid_at,
            payment: judgement.payment,
            money: ObservedMoney {
                sums: Sums::default(),
                is_test: false,
                transactions,
            },
        }
    }

    /// Once the decisions of a page are written: keeps the others with the place where reading goes on.
    async fn keep_page(&mut self) -> Result<(), StoreError> {
        if !self.writer.is_idle() {
            return Ok(());
        }
        let now = self.setup.clock.monotonic();
        let Some(reader) = &mut self.requests.ledger else {
            return Ok(());
        };
        let PageInHand::Matched(page) = &reader.page else {
            return Ok(());
        };
        let is_new = |at: Duration| now.saturating_sub(at) < SAVE_EVERY;
        let is_saved = page.is_end && reader.end_saved_at.is_some_and(is_new);
        if !page.without_invoice.is_empty() || !is_saved {
            let text = reader.ledger.to_text().unwrap_or_default();
            let (store, account) = (&self.setup.store, &self.setup.account);
            let name = self.setup.provider.name();
            let at = self.setup.clock.now();
            store
                .keep_ledger(account, name, &page.without_invoice, &text, at)
                .await?;
            reader.end_saved_at = page.is_end.then_some(now);
        }
        let Some(page) = reader.take_matched() else {
            return Ok(());
        };
        reader.remember(&page.without_invoice);
        if page.is_end {
            self.end_reading(page.coverage);
        }
        Ok(())
    }

    /// A reading is complete.
    fn end_reading(&mut self, coverage: Option<LedgerCoverage>) {
        let now = self.setup.clock.monotonic();
        let Some(reader) = &mut self.requests.ledger else {
            return;
        };
        let is_behind =
            coverage.is_none_or(|coverage| coverage.through < coverage.began_at.minus(READ_EVERY));
        let rate = self.setup.limiter.lock().rate();
        reader.pace.end_reading(is_behind, rate, now);
        // One that another process began shows nothing of what happened since its first pages.
        if let Some(began_at) = reader.pace.began_at() {
            self.count_as_poll(began_at, coverage);
        }
        if let Some(reader) = &mut self.requests.ledger {
            reader.comparisons.release_held();
        }
        self.plan_ledger_watch();
    }

    /// A complete reading that began at `began_at` polled every invoice that it covers: those whose time is
    /// over are judged, the others rest, and nothing of them is written.
    fn count_as_poll(&mut self, began_at: Duration, coverage: Option<LedgerCoverage>) {
        let now = self.setup.clock.monotonic();
        let wall = self.setup.clock.now();
        let roll = self.rng.f64();
        let grace = self.setup.settings.rules.deadline_grace;
        let Some(reader) = &mut self.requests.ledger else {
            return;
        };
        let begun = wall.minus(now.saturating_sub(began_at));
        self.recorder.note_reading(begun, wall);
        let mut shared = lock(&self.shared);
        let schedule = &mut shared.schedule;
        for slot in schedule.due_slots(tick(now)).to_vec() {
            let waits = |entry: &&Entry| {
                entry.kind != EntryKind::Create && entry.is_answered_by(reader.number)
            };
            let Some(entry) = schedule.entry(slot).filter(waits) else {
                continue;
            };
            let end = entry.expiry().plus(grace);
            let began_after = coverage.filter(|coverage| coverage.began_at > end);
            let is_over = began_after.is_some() || wall > end;
            let is_proof_late = began_after.is_some_and(|coverage| coverage.through <= end);
            if entry.nudged_for > 0 || is_over && !is_proof_late {
                for turn in schedule.take_turns(&[slot]) {
                    reader.comparisons.check_unpaid(turn, coverage);
                }
                continue;
            }
            let (created_at, expiry) = (entry.created_at(), entry.expiry());
            let next = self
                .setup
                .settings
                .cadence
                .next_poll_while_open(created_at, expiry, wall, roll);
            let due = match self.pass.once {
                Some(_) => Tick::MAX - 1,
                None if is_proof_late => tick(now + PROOF_AGAIN),
                None => tick(now + next.since(wall)),
            };
            schedule.postpone(slot, due);
        }
    }
}

/// Whether a transaction already recorded for the invoice has changed, such as a payment that was in
/// progress.
fn has_changed_own(invoice: &Invoice, transactions: &[Transaction]) -> bool {
    let own = &invoice.transactions;
    let has_changed =
        |one: &&Transaction| own.iter().any(|known| known.is_same_as(one)) && !own.contains(one);
    transactions.iter().any(|one| has_changed(&one))
}
