//! What an audit finds: orders and invoices that do not agree.
//!
//! Pure: compares our row with the provider's order and returns the discrepancies.

use std::time::Duration;

use super::invoice::{AccountName, ExternalId, InvoiceId, OrderId};
use super::money::Money;
use super::observation::{ObservedOrder, OrderState, Sums};
use super::rules::Rules;
use super::state::Status;
use super::time::UnixMillis;

mod discrepancy;
mod ledger;

pub use self::discrepancy::{Discrepancy, DiscrepancyKind, Side, Sum};
pub use self::ledger::{LedgerRecord, compare_ledger, unknown_payment};

/// The type of the event that reports a discrepancy.
pub const EVENT_TYPE: &str = "audit.discrepancy";

/// An order that changed at the provider less than this long before it was observed is fresh.
const FRESH: Duration = Duration::from_mins(1);

/// What an audit needs of an invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Row id.
    pub id: InvoiceId,
    /// The shop's id.
    pub external_id: ExternalId,
    /// The provider's order, once there is one.
    pub order_id: Option<OrderId>,
    /// Our status.
    pub status: Status,
    /// The provider's status text that our status follows; None where a later one contradicts it.
    pub provider_status: Option<String>,
    /// Expected amount.
    pub amount: Option<Money>,
    /// Sums received and returned, where they are known.
    pub sums: Sums,
    /// Paid, and the amounts of the payment are not known.
    pub lacks_details: bool,
    /// When it was inserted.
    pub created_at: UnixMillis,
    /// When its facts last changed; at first, when it was inserted.
    pub updated_at: UnixMillis,
}

/// Compares an invoice with its order. States are not compared for an invoice in `review`: it
/// already waits for a person.
pub fn compare(
    rules: &Rules,
    account: &AccountName,
    ours: &AuditRow,
    theirs: &ObservedOrder,
) -> Vec<Discrepancy> {
    let mut kinds = Vec::new();
    let other_id = theirs
        .external_id
        .as_ref()
        .is_some_and(|id| *id != ours.external_id);
    if other_id {
        kinds.push(DiscrepancyKind::ExternalId);
    }
    let has_another_amount = ours
        .amount
        .as_ref()
        .is_some_and(|ours| match &theirs.amount {
            Some(amount) => !ours.agrees_where(amount, rules.one_currency),
            None => theirs.has_another_value(ours),
        });
    if has_another_amount {
        kinds.push(DiscrepancyKind::Amount);
    }
    kinds.extend(sums_differ(&ours.sums, &theirs.money.sums));
    if !states_agree(ours.status, theirs.state) && !is_the_recorded_end(ours, theirs) {
        kinds.push(DiscrepancyKind::Status);
    }
    let order_id = Some(theirs.order_id.0.clone());
    kinds
        .into_iter()
        .map(|kind| Discrepancy {
            kind,
            account: account.0.clone(),
            external_id: Some(ours.external_id.0.clone()),
            order_id: order_id.clone(),
            transaction_id: None,
            ours: Some(our_side(ours)),
            theirs: Some(their_side(theirs)),
            invoice: Some(ours.id),
            is_paid: theirs.state == OrderState::Paid,
        })
        .collect()
}

/// A sum that one side leaves out counts as equal; a refund must be reported by both.
fn sums_differ(ours: &Sums, theirs: &Sums) -> Vec<DiscrepancyKind> {
    let mut kinds = Vec::new();
    if let (Some(our_sum), Some(their_sum)) = (&ours.received, &theirs.received)
        && !our_sum.agrees_with(their_sum)
    {
        kinds.push(DiscrepancyKind::Received);
    }
    if let Some(their_sum) = theirs.refunded.as_ref().filter(|sum| sum.is_positive())
        && !ours
            .refunded
            .as_ref()
            .is_some_and(|sum| sum.agrees_with(their_sum))
    {
        kinds.push(DiscrepancyKind::Refund);
    }
    kinds
}

/// Whether the order was created, paid or ended so shortly before the observation that the poller
/// may be about to record it, or a program about to insert its invoice. A provider clock ahead of
/// ours makes the order look fresh.
pub fn is_fresh(order: &ObservedOrder) -> bool {
    let expired_at = match order.state {
        OrderState::Expired => order.expires_at,
        OrderState::Open
        | OrderState::Partial
        | OrderState::Authorized
        | OrderState::Paid
        | OrderState::Cancelled
        | OrderState::Unknown => None,
    };
    [order.created_at, order.paid_at, expired_at]
        .into_iter()
        .flatten()
        .any(|moment| is_recent(moment, order.observed_at))
}

/// Whether `moment` lies so shortly before `now`.
pub fn is_recent(moment: UnixMillis, now: UnixMillis) -> bool {
    moment.plus(FRESH) > now
}

/// An order that no invoice follows.
pub fn unknown(account: &AccountName, theirs: &ObservedOrder) -> Discrepancy {
    Discrepancy {
        kind: DiscrepancyKind::UnknownOrder,
        account: account.0.clone(),
        external_id: theirs.external_id.as_ref().map(|id| id.0.clone()),
        order_id: Some(theirs.order_id.0.clone()),
        transaction_id: None,
        ours: None,
        theirs: Some(their_side(theirs)),
        invoice: None,
        is_paid: theirs.state == OrderState::Paid,
    }
}

/// An invoice whose order the provider does not have.
pub fn missing(account: &AccountName, ours: &AuditRow) -> Discrepancy {
    Discrepancy {
        kind: DiscrepancyKind::MissingOrder,
        account: account.0.clone(),
        external_id: Some(ours.external_id.0.clone()),
        order_id: ours.order_id.as_ref().map(|id| id.0.clone()),
        transaction_id: None,
        ours: Some(our_side(ours)),
        theirs: None,
        invoice: Some(ours.id),
        is_paid: false,
    }
}

#[expect(
    clippy::unnested_or_patterns,
    reason = "one pair a line reads as the table it is"
)]
fn states_agree(ours: Status, theirs: OrderState) -> bool {
    match (ours, theirs) {
        (_, OrderState::Unknown)
        | (Status::Review, _)
        | (Status::Pending, OrderState::Open | OrderState::Partial | OrderState::Authorized)
        | (Status::Paid, OrderState::Paid)
        | (Status::Expired, OrderState::Expired)
        | (Status::Cancelled, OrderState::Cancelled)
        // The creation is in progress; its answer will settle the status.
        | (Status::Requested, OrderState::Open | OrderState::Partial | OrderState::Authorized)
        // The order can no longer be paid.
        | (Status::Rejected, OrderState::Expired | OrderState::Cancelled) => true,
        (
            Status::Requested
            | Status::Pending
            | Status::Paid
            | Status::Expired
            | Status::Cancelled
            | Status::Rejected,
            OrderState::Open
            | OrderState::Partial
            | OrderState::Authorized
            | OrderState::Paid
            | OrderState::Expired
            | OrderState::Cancelled,
        ) => false,
    }
}

/// Whether the order ended and the provider still reports the status text that we recorded. Where
/// one text covers both ends, a cancellation looks like an expiry after the order has expired.
fn is_the_recorded_end(ours: &AuditRow, theirs: &ObservedOrder) -> bool {
    let ended = matches!(ours.status, Status::Expired | Status::Cancelled)
        && matches!(theirs.state, OrderState::Expired | OrderState::Cancelled);
    ended && ours.provider_status.as_deref() == Some(theirs.provider_status.as_str())
}

fn our_side(row: &AuditRow) -> Side {
    Side {
        status: row.status.as_str().to_owned(),
        amount: row.amount.as_ref().map(Sum::from),
        external_id: Some(row.external_id.0.clone()),
        ..Side::of_sums(&row.sums)
    }
}

fn their_side(seen: &ObservedOrder) -> Side {
    let bare = || {
        seen.bare_amount.clone().map(|value| Sum {
            value,
            currency: String::new(),
        })
    };
    Side {
        status: seen.provider_status.clone(),
        amount: seen.amount.as_ref().map(Sum::from).or_else(bare),
        external_id: seen.external_id.as_ref().map(|id| id.0.clone()),
        ..Side::of_sums(&seen.money.sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::transaction::{Direction, Transaction, TransactionStatus};

    #[test]
    fn each_pair_of_states_agrees_or_is_found() {
        let fine = |ours, theirs| states_agree(ours, theirs);
        for ours in Status::ALL {
            assert!(fine(ours, OrderState::Unknown), "{ours}");
        }
        assert!(!fine(Status::Pending, OrderState::Paid));
        assert!(!fine(Status::Expired, OrderState::Paid));
        assert!(!fine(Status::Paid, OrderState::Open));
        assert!(!fine(Status::Rejected, OrderState::Paid));
        assert!(!fine(Status::Requested, OrderState::Paid));
        assert!(fine(Status::Review, OrderState::Paid));
        assert!(fine(Status::Pending, OrderState::Partial));
        assert!(!fine(Status::Paid, OrderState::Authorized));
    }

    fn money(value: &str) -> Money {
        Money {
            value: value.into(),
            currency: "USD".into(),
        }
    }

    fn sums(received: Option<&str>, refunded: Option<&str>) -> Sums {
        Sums {
            received: received.map(money),
            refunded: refunded.map(money),
            refunded_at: None,
        }
    }

    #[test]
    fn sums_are_compared_where_both_are_known_and_refunds_where_theirs_is() {
        let none = sums(None, None);
        for (ours, theirs, found) in [
            (none.clone(), sums(Some("1"), None), vec![]),
            (sums(Some("1.0"), None), sums(Some("1"), None), vec![]),
            (sums(Some("1"), None), none.clone(), vec![]),
            (
                sums(Some("1"), None),
                sums(Some("0.9"), None),
                vec![DiscrepancyKind::Received],
            ),
            (
                none.clone(),
                sums(None, Some("1")),
                vec![DiscrepancyKind::Refund],
            ),
            (none.clone(), sums(None, Some("0.00")), vec![]),
            (
                sums(None, Some("0.4")),
                sums(None, Some("1")),
                vec![DiscrepancyKind::Refund],
            ),
            (sums(None, Some("1.00")), sums(None, Some("1")), vec![]),
            (sums(None, Some("1")), none, vec![]),
        ] {
            assert_eq!(sums_differ(&ours, &theirs), found, "{ours:?} {theirs:?}");
        }
    }

    #[test]
    fn a_payment_without_an_invoice_is_reported_by_its_transaction() {
        let payment = Transaction {
            id: "T-9".into(),
            direction: Direction::In,
            external_id: Some("OLD-1".into()),
            amount: Money {
                value: "1.00".into(),
                currency: "RUB".into(),
            },
            is_net: true,
            status: TransactionStatus::Succeeded,
            happened_at: UnixMillis(1),
        };
        let finding = unknown_payment(&"default".into(), &payment);
        // Computed with Python's uuid5.
        let id = "6a727f47-359c-538a-b292-fb8ae8ee5ee7";
        assert_eq!(finding.event_id().to_string(), id);
        let json = serde_json::to_string(&finding).unwrap_or_default();
        let expected = concat!(
            r#"{"kind":"unknown_payment","account":"default","external_id":"OLD-1","#,
            r#""order_id":null,"transaction_id":"T-9","ours":null,"#,
            r#""theirs":{"status":"succeeded","amount":{"value":"1.00","currency":"RUB"},"#,
            r#""external_id":"OLD-1"}}"#,
        );
        assert_eq!(json, expected);
    }
}
