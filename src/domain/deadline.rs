//! The end of an invoice whose provider keeps no orders: its ledger shows no payment before the
//! deadline.
//!
//! The local clock decides when to poll, never what is true. Only a complete reading that began
//! after the deadline, by the provider's clock, proves that no payment came.

use std::time::Duration;

use super::invoice::Invoice;
use super::observation::LedgerCoverage;
use super::time::UnixMillis;
use super::transaction::TransactionStatus;

/// Whether a reading proves that the time to pay is over: it began after the deadline plus the
/// grace, and covers everything from the invoice's creation to beyond that moment.
pub fn is_over(invoice: &Invoice, reading: LedgerCoverage, grace: Duration) -> bool {
    let end = deadline(invoice).plus(grace);
    reading.began_at > end && reading.from <= invoice.created_at && reading.through > end
}

/// Whether a payment is in progress, so that nothing may be recorded yet.
pub fn is_payment_under_way(invoice: &Invoice) -> bool {
    let mut transactions = invoice.transactions.iter();
    transactions.any(|one| one.status == TransactionStatus::InProgress)
}

/// When the time to pay ends. Only the shop sets it where the provider keeps no orders.
fn deadline(invoice: &Invoice) -> UnixMillis {
    let timeout_s = u64::try_from(invoice.wish.timeout_s).unwrap_or_default();
    invoice.created_at.plus(Duration::from_secs(timeout_s))
}
