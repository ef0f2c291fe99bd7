//! The shape "ledger": a list of movements of money with labels that name the invoice; there are no
//! orders.
//!
//! One page is one request. The form of a position in the ledger (a count, a window of time) is
//! internal to the provider and kept in `LedgerCursor`, so that a reading can continue after a
//! restart. A page may repeat what an earlier one showed, but a complete reading must not leave
//! anything out.

use std::hash::{DefaultHasher, Hash, Hasher};

use async_trait::async_trait;

use super::ProviderError;
use crate::domain::invoice::{ExternalId, Invoice};
use crate::domain::ledger::{LedgerCursor, LedgerStep};
use crate::domain::observation::{OrderState, Payment};
use crate::domain::time::UnixMillis;
use crate::domain::transaction::Transaction;

/// Reads an account's ledger, and judges payments.
#[async_trait]
pub trait ReadLedger: Send + Sync {
    /// Reads the page at `cursor`; the first one without a cursor. Transactions before `from`, if
    /// that is known, may be left out.
    async fn ledger_page(
        &self,
        cursor: Option<&LedgerCursor>,
        from: Option<UnixMillis>,
    ) -> Result<LedgerPage, ProviderError>;

    /// Checks whether this external id can be the label of a payment; the error is the rule, on one
    /// line.
    fn check_label(&self, external_id: &ExternalId) -> Result<(), String>;

    /// Judges these transactions of `invoice`. Pure.
    fn judge(&self, invoice: &Invoice, transactions: &[Transaction]) -> LedgerJudgement;
}

/// One page of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerPage {
    /// Movements of money, in the order of the provider.
    pub transactions: Vec<Transaction>,
    /// Where reading continues.
    pub step: LedgerStep,
    /// Entries that are left out of `transactions` since they cannot be read, though each could be a
    /// payment. The caller decides whether the page counts without them.
    pub unreadable: Vec<UnreadableEntry>,
    /// When it was answered, as the answer itself tells by the provider's clock: what our clock makes of
    /// an earlier answer is no proof, since ours may have been set meanwhile.
    pub answered_at: Option<UnixMillis>,
}

/// An entry of a ledger that does not match the documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableEntry {
    /// Where it stands, for people, in the words of the provider's own request.
    pub place: String,
    /// What is wrong with it, without its content.
    pub what: String,
    /// The same for the same entry as long as it is written the same way.
    pub fingerprint: u64,
}

impl UnreadableEntry {
    /// The entry written as `json`, which stands at `place`.
    pub fn new(place: String, what: String, json: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        json.hash(&mut hasher);
        Self {
            place,
            what,
            fingerprint: hasher.finish(),
        }
    }
}

/// The judgement on the transactions of an invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerJudgement {
    /// `Open` (nothing arrived, or it is in progress), `Partial` or `Paid`.
    pub state: OrderState,
    /// The provider's own name of the state.
    pub provider_status: String,
    /// When the last required payment arrived, by the provider's clock. None unless paid.
    pub paid_at: Option<UnixMillis>,
    /// What was paid. None unless paid.
    pub payment: Option<Payment>,
}
