//! A ledger, read whole since the account's first start, beside the invoices whose labels it shows and
//! those that received money.
//!
//! What happened after the reading began may be known to us alone, and so may what is older than the
//! ledger is read: both count as we have them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use super::again::ROWS;
use super::{Audit, AuditError, AuditReport, FINDINGS, count_missing, urgency};
use crate::domain::audit::{
    AuditRow, Discrepancy, DiscrepancyKind, LedgerRecord, compare_ledger, is_recent,
    unknown_payment,
};
use crate::domain::invoice::{ExternalId, Invoice, InvoiceId, TransactionId};
use crate::domain::ledger::Ledger;
use crate::domain::money::Money;
use crate::domain::observation::Sums;
use crate::domain::time::UnixMillis;
use crate::domain::transaction::{Direction, Transaction, TransactionStatus, by_label, moved_sum};
use crate::jobs::unreadable::UnreadableEntries;
use crate::provider::ReadLedger;
use crate::store::StoreError;

/// So many ends of a ledger are read that prove nothing; then it counts as far as it was shown.
const MOST_ENDS: u32 = 40;

/// A ledger, as it was read.
struct LedgerBooks {
    /// From when on it was read, and when that began, by the provider's clock.
    from: UnixMillis,
    began_at: UnixMillis,
    /// Whether all that happened before it began is in it.
    is_complete: bool,
    count: u64,
    shown: HashSet<(TransactionId, Direction)>,
    by_label: HashMap<ExternalId, Vec<Transaction>>,
}

impl Audit {
    pub(super) async fn audit_ledger(
        &self,
        ledger: &dyn ReadLedger,
    ) -> Result<AuditReport, AuditError> {
        let books = self.read_books(ledger).await?;
        let mut findings = self.compare_books(ledger, &books).await?;
        if findings.iter().any(|one| books.is_fresh(one)) && self.wait_a_moment().await? {
            findings = self.compare_books(ledger, &books).await?;
        }
        findings.sort_by_key(urgency);
        let adopted = if self.adopt {
            self.adopt_unknown(ledger, &findings).await?
        } else {
            HashSet::new()
        };
        let is_left = |one: &&Discrepancy| {
            one.kind != DiscrepancyKind::UnknownPayment
                || !one
                    .external_id
                    .as_ref()
                    .is_some_and(|label| adopted.contains(label))
        };
        let left: Vec<Discrepancy> = findings.iter().filter(is_left).cloned().collect();
        Ok(AuditReport {
            checked: books.count + count_missing(&findings),
            transactions: books.count,
            adopted: adopted.len() as u64,
            said: self.say(&left).await?,
            discrepancies: findings,
        })
    }

    /// Reads page by page to an end that is proved: what the ledger does not show is missing only then.
    /// Overlapping pages show some transactions twice.
    async fn read_books(&self, ledger: &dyn ReadLedger) -> Result<LedgerBooks, AuditError> {
        let beginning = self.store.list_beginning(&self.account).await?;
        let known = Ledger::parse(&beginning.positions.unwrap_or_default());
        let mut reading = Ledger::unread(known.from());
        let mut began_at = None;
        let mut ends = 0;
        let unreadable = Mutex::new(UnreadableEntries::default());
        let mut all: BTreeMap<(TransactionId, &str), Transaction> = BTreeMap::new();
        let is_complete = loop {
            let (cursor, from) = (reading.cursor(), reading.from());
            let ask = || async {
                let page = ledger.ledger_page(cursor, from).await?;
                let mut unreadable = unreadable.lock().unwrap_or_else(PoisonError::into_inner);
                unreadable.judge(&self.account, page).result
            };
            let page = self.request(ask).await?;
            let answered_at = page.answered_at;
            began_at = began_at.or(answered_at);
            let keyed = |one: Transaction| ((one.id.clone(), one.direction.as_str()), one);
            all.extend(page.transactions.into_iter().map(keyed));
            let coverage = reading.learn(page.step, answered_at);
            if reading.is_reading() {
                continue;
            }
            ends += 1;
            // An end that does not reach beyond the beginning is none: more may stand behind it.
            let covers = |began_at| coverage.is_some_and(|read| read.through >= began_at);
            let is_proved = began_at.is_some_and(covers);
            if is_proved || began_at.is_none() || ends == MOST_ENDS {
                break is_proved;
            }
        };
        let all: Vec<Transaction> = all.into_values().collect();
        Ok(LedgerBooks {
            from: reading.from().unwrap_or_default(),
            began_at: began_at.unwrap_or_else(|| self.clock.now()),
            is_complete,
            count: all.len() as u64,
            shown: all
                .iter()
                .map(|one| (one.id.clone(), one.direction))
                .collect(),
            by_label: by_label(all),
        })
    }

    /// All that does not agree now: in our invoices, and in what is left of the ledger.
    async fn compare_books(
        &self,
        ledger: &dyn ReadLedger,
        books: &LedgerBooks,
    ) -> Result<Vec<Discrepancy>, StoreError> {
        let mut unknown: HashSet<&ExternalId> = books.by_label.keys().collect();
        let mut findings = Vec::new();
        let mut after = InvoiceId(0);
        loop {
            let (store, account) = (&self.store, &self.account);
            let rows = store.audit_rows_after(account, after, ROWS).await?;
            let Some(last) = rows.last() else { break };
            after = last.id;
            let mut is_concerned = |row: &AuditRow| {
                let has_label = unknown.remove(&row.external_id);
                has_label || row.sums.received.is_some()
            };
            let concerned = rows.iter().filter(|row| is_concerned(row));
            let ids: Vec<InvoiceId> = concerned.map(|row| row.id).collect();
            for batch in ids.chunks(FINDINGS) {
                for invoice in self.store.load(batch).await? {
                    let record = books.record(ledger, &invoice);
                    findings.extend(compare_ledger(&self.account, &invoice, &record));
                }
            }
        }
        let labels = unknown
            .into_iter()
            .filter_map(|label| books.by_label.get(label));
        let payments = labels.flat_map(|transactions| kept_payments(transactions));
        findings.extend(payments.map(|one| unknown_payment(&self.account, one)));
        Ok(findings)
    }

    /// Takes the labels of unknown payments in as invoices, where a payment can bear them. The daemon
    /// settles them from what it has kept.
    async fn adopt_unknown(
        &self,
        ledger: &dyn ReadLedger,
        findings: &[Discrepancy],
    ) -> Result<HashSet<String>, StoreError> {
        let is_unknown = |one: &&Discrepancy| one.kind == DiscrepancyKind::UnknownPayment;
        let labels = findings.iter().filter(is_unknown);
        let mut labels: Vec<ExternalId> = labels
            .filter_map(|one| one.external_id.clone().map(ExternalId))
            .filter(|label| ledger.check_label(label).is_ok())
            .collect();
        labels.dedup();
        let mut adopted = HashSet::new();
        for batch in labels.chunks(FINDINGS) {
            let taken = self.store.adopt_labels(&self.account, batch).await?;
            adopted.extend(taken.into_iter().map(|label| label.0));
        }
        Ok(adopted)
    }
}

impl LedgerBooks {
    /// What the ledger says of an invoice's label.
    fn record(&self, ledger: &dyn ReadLedger, invoice: &Invoice) -> LedgerRecord {
        let is_covered = |one: &Transaction| {
            self.is_complete && one.happened_at >= self.from && one.happened_at < self.began_at
        };
        let is_shown = |one: &Transaction| self.shown.contains(&(one.id.clone(), one.direction));
        let told = self.by_label.get(&invoice.external_id);
        let mut all = told.cloned().unwrap_or_default();
        let mut missing = Vec::new();
        for one in &invoice.transactions {
            if all.iter().any(|told| told.is_same_as(one)) {
                continue;
            }
            if is_shown(one) || !is_covered(one) {
                all.push(one.clone());
            } else if one.status == TransactionStatus::Succeeded {
                missing.push(one.clone());
            }
        }
        let judgement = ledger.judge(invoice, &all);
        let amount = invoice.facts.amount.as_ref();
        LedgerRecord {
            state: judgement.state,
            provider_status: judgement.provider_status,
            sums: Sums {
                received: moved_sum(&all, Direction::In, amount),
                refunded: moved_sum(&all, Direction::Out, amount),
                refunded_at: None,
            },
            other_currency: amount.and_then(|amount| in_another_currency(&all, amount)),
            missing,
        }
    }

    /// Whether the daemon may be about to record what differs.
    fn is_fresh(&self, finding: &Discrepancy) -> bool {
        let label = finding.external_id.clone().map(ExternalId);
        let told = label.and_then(|label| self.by_label.get(&label));
        let mut told = told.into_iter().flatten();
        told.any(|one| is_recent(one.happened_at, self.began_at))
    }
}

/// Payments that were not returned.
fn kept_payments(transactions: &[Transaction]) -> impl Iterator<Item = &Transaction> {
    let is_returned = |payment: &Transaction| {
        let mut refunds = transactions
            .iter()
            .filter(|one| one.has_moved(Direction::Out));
        refunds.any(|one| one.id == payment.id && !payment.amount.exceeds(&one.amount))
    };
    transactions.iter().filter(move |one| {
        one.has_moved(Direction::In) && one.amount.is_positive() && !is_returned(one)
    })
}

/// The first money that came in another currency than `asked`.
fn in_another_currency(transactions: &[Transaction], asked: &Money) -> Option<Money> {
    let mut came = transactions
        .iter()
        .filter(|one| one.has_moved(Direction::In));
    let other = came.find(|one| one.amount.currency != asked.currency)?;
    Some(other.amount.clone())
}
