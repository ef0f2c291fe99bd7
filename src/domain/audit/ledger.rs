//! A ledger beside our invoices: there are no orders, so what the transactions of a label come to is
//! compared with what its invoice says.

use super::{Discrepancy, DiscrepancyKind, Side, Sum};
use crate::domain::invoice::{AccountName, Invoice};
use crate::domain::money::Money;
use crate::domain::observation::{OrderState, Sums};
use crate::domain::state::Status;
use crate::domain::transaction::Transaction;

/// What a ledger says of one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRecord {
    /// What the transactions come to.
    pub state: OrderState,
    /// In the provider's own word.
    pub provider_status: String,
    /// What came and what was returned, in the invoice's currency.
    pub sums: Sums,
    /// Money that came in another currency than the invoice asks for.
    pub other_currency: Option<Money>,
    /// Transactions that we know, and that the ledger should show and does not.
    pub missing: Vec<Transaction>,
}

/// Compares an invoice with what the ledger says of its label. Where a transaction is missing, that is
/// the finding: sums and states follow from it. States of an invoice in `review` are not compared.
pub fn compare_ledger(
    account: &AccountName,
    ours: &Invoice,
    theirs: &LedgerRecord,
) -> Vec<Discrepancy> {
    if !theirs.missing.is_empty() {
        let missing = theirs.missing.iter();
        return missing
            .map(|one| missing_payment(account, ours, one))
            .collect();
    }
    let kinds = kinds(ours, theirs).into_iter();
    let their_side = || Side {
        status: theirs.provider_status.clone(),
        amount: theirs.other_currency.as_ref().map(Sum::from),
        external_id: Some(ours.external_id.0.clone()),
        ..Side::of_sums(&theirs.sums)
    };
    kinds
        .map(|kind| Discrepancy {
            theirs: Some(their_side()),
            is_paid: theirs.state == OrderState::Paid,
            ..finding(kind, account, ours)
        })
        .collect()
}

fn kinds(ours: &Invoice, theirs: &LedgerRecord) -> Vec<DiscrepancyKind> {
    let status = ours.facts.status;
    let mut kinds = Vec::new();
    if theirs.other_currency.is_some() {
        kinds.push(DiscrepancyKind::Amount);
    }
    let (our_sums, their_sums) = (&ours.facts.sums, &theirs.sums);
    if !agrees(status, theirs.state) {
        kinds.push(DiscrepancyKind::Status);
    } else if differ(our_sums.received.as_ref(), their_sums.received.as_ref()) {
        kinds.push(DiscrepancyKind::Received);
    }
    // Of an invoice without a link nothing is written but its status.
    let has_sums = !matches!(status, Status::Requested | Status::Rejected);
    if has_sums && differ(our_sums.refunded.as_ref(), their_sums.refunded.as_ref()) {
        kinds.push(DiscrepancyKind::Refund);
    }
    kinds
}

/// What is not told came to nothing.
fn differ(ours: Option<&Money>, theirs: Option<&Money>) -> bool {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => !ours.agrees_with(theirs),
        (Some(one), None) | (None, Some(one)) => one.is_positive(),
        (None, None) => false,
    }
}

/// A ledger ends nothing: it agrees with each end that lacks the money.
fn agrees(ours: Status, theirs: OrderState) -> bool {
    match theirs {
        OrderState::Open => ours != Status::Paid,
        OrderState::Partial | OrderState::Authorized => {
            !matches!(ours, Status::Paid | Status::Requested | Status::Rejected)
        }
        OrderState::Paid => matches!(ours, Status::Paid | Status::Review),
        // No ledger says so.
        OrderState::Expired | OrderState::Cancelled | OrderState::Unknown => true,
    }
}

/// Money whose label no invoice has.
pub fn unknown_payment(account: &AccountName, theirs: &Transaction) -> Discrepancy {
    let label = theirs.external_id.as_ref().map(|id| id.0.clone());
    Discrepancy {
        kind: DiscrepancyKind::UnknownPayment,
        account: account.0.clone(),
        external_id: label,
        order_id: None,
        transaction_id: Some(theirs.id.0.clone()),
        ours: None,
        theirs: Some(transaction_side(theirs)),
        invoice: None,
        is_paid: false,
    }
}

fn missing_payment(account: &AccountName, ours: &Invoice, known: &Transaction) -> Discrepancy {
    Discrepancy {
        transaction_id: Some(known.id.0.clone()),
        ..finding(DiscrepancyKind::MissingOrder, account, ours)
    }
}

fn finding(kind: DiscrepancyKind, account: &AccountName, ours: &Invoice) -> Discrepancy {
    Discrepancy {
        kind,
        account: account.0.clone(),
        external_id: Some(ours.external_id.0.clone()),
        order_id: None,
        transaction_id: None,
        ours: Some(Side {
            status: ours.facts.status.as_str().to_owned(),
            amount: ours.facts.amount.as_ref().map(Sum::from),
            external_id: Some(ours.external_id.0.clone()),
            ..Side::of_sums(&ours.facts.sums)
        }),
        theirs: None,
        invoice: Some(ours.id),
        is_paid: false,
    }
}

fn transaction_side(transaction: &Transaction) -> Side {
    Side {
        status: transaction.status.as_str().to_owned(),
        amount: Some(Sum::from(&transaction.amount)),
        external_id: transaction.external_id.as_ref().map(|id| id.0.clone()),
        ..Side::of_sums(&Sums::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_that_only_the_ledger_shows_is_found_whatever_the_invoice_says() {
        for ours in Status::ALL {
            let knows = matches!(ours, Status::Paid | Status::Review);
            assert_eq!(agrees(ours, OrderState::Paid), knows, "{ours}");
            assert_eq!(
                agrees(ours, OrderState::Open),
                ours != Status::Paid,
                "{ours}"
            );
        }
        assert!(agrees(Status::Expired, OrderState::Partial));
        assert!(!agrees(Status::Paid, OrderState::Partial));
        assert!(!agrees(Status::Rejected, OrderState::Partial));
    }

    #[test]
    fn a_sum_that_is_not_told_is_nothing() {
        let money = |value: &str| Money {
            value: value.into(),
            currency: "XTR".into(),
        };
        let (none, five) = (money("0"), money("5"));
        assert!(differ(None, Some(&five)));
        assert!(differ(Some(&five), None));
        assert!(differ(Some(&five), Some(&money("5.01"))));
        assert!(!differ(Some(&five), Some(&money("5.00"))));
        assert!(!differ(None, Some(&none)));
        assert!(!differ(None, None));
    }
}
