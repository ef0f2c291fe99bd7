//! The shape "ledger": money moves, and a label tells whose it is; there are no orders to ask for.
//!
//! One page is one request. How a place in the ledger is told (a count, a window of time) is the
//! provider's own affair and stays within `LedgerCursor`, so that a reading can go on after a restart.
//! A page may show what an earlier one showed: only what no page of a complete reading shows would be
//! missing.

use async_trait::async_trait;

use super::ProviderError;
use crate::domain::invoice::{ExternalId, Invoice};
use crate::domain::ledger::{LedgerCursor, LedgerStep};
use crate::domain::observation::{OrderState, Payment};
use crate::domain::time::UnixMillis;
use crate::domain::transaction::Transaction;

/// Reads an account's ledger, and judges what was paid.
#[async_trait]
pub trait ReadLedger: Send + Sync {
    /// Reads the page that `cursor` leads to; the first one without. What happened before `from`, if
    /// that is known, need not be shown.
    async fn ledger_page(
        &self,
        cursor: Option<&LedgerCursor>,
        from: Option<UnixMillis>,
    ) -> Result<LedgerPage, ProviderError>;

    /// Whether a payment can bear this external id as its label; else the rule, on one line.
    fn check_label(&self, external_id: &ExternalId) -> Result<(), String>;

    /// What these transactions of `invoice` come to. Pure.
    fn judge(&self, invoice: &Invoice, transactions: &[Transaction]) -> LedgerJudgement;
}

/// One page of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerPage {
    /// Movements of money, in the order of the provider.
    pub transactions: Vec<Transaction>,
    /// Where it goes on.
    pub step: LedgerStep,
    /// When it was answered, by the provider's clock.
    pub answered_at: Option<UnixMillis>,
}

/// What the transactions of an invoice come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerJudgement {
    /// `Open` (nothing came, or it is under way), `Partial` or `Paid`.
    pub state: OrderState,
    /// In the provider's own word.
    pub provider_status: String,
    /// When the last payment that was needed came, by the provider's clock. None unless paid.
    pub paid_at: Option<UnixMillis>,
    /// What was paid. None unless paid.
    pub payment: Option<Payment>,
}
