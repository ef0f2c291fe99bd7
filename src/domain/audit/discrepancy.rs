//! A finding of an audit, as reports and events show it.

use serde::Serialize;
use uuid::Uuid;

use super::EVENT_TYPE;
use crate::domain::event_id;
use crate::domain::invoice::InvoiceId;
use crate::domain::money::Money;
use crate::domain::observation::Sums;

/// What does not agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiscrepancyKind {
    /// The provider has an order that no invoice follows.
    UnknownOrder,
    /// An invoice follows an order that the provider does not have.
    MissingOrder,
    /// The states differ.
    Status,
    /// The requested amounts differ.
    Amount,
    /// The order bears another external id.
    ExternalId,
    /// A payment arrived whose label belongs to no invoice.
    UnknownPayment,
    /// The sums received differ.
    Received,
    /// The provider refunded money, and the invoice has no record of it.
    Refund,
}

impl DiscrepancyKind {
    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownOrder => "unknown_order",
            Self::MissingOrder => "missing_order",
            Self::Status => "status",
            Self::Amount => "amount",
            Self::ExternalId => "external_id",
            Self::UnknownPayment => "unknown_payment",
            Self::Received => "received",
            Self::Refund => "refund",
        }
    }
}

/// The state of one side, ours or the provider's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Side {
    /// Our status, or the provider's status text.
    pub status: String,
    /// The amount requested.
    pub amount: Option<Sum>,
    /// The shop's id.
    pub external_id: Option<String>,
    /// The sum received, where it is reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<Sum>,
    /// The sum refunded, where it is reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refunded: Option<Sum>,
}

/// A sum, as reports show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// A decimal, as written.
    pub value: String,
    /// Currency code; empty where the provider does not report it.
    pub currency: String,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Discrepancy {
    /// What does not agree.
    pub kind: DiscrepancyKind,
    /// The account.
    pub account: String,
    /// The shop's id: ours where there is an invoice, else theirs.
    pub external_id: Option<String>,
    /// The provider's id.
    pub order_id: Option<String>,
    /// The transaction that matches no invoice.
    pub transaction_id: Option<String>,
    /// Our record; None where there is no invoice.
    pub ours: Option<Side>,
    /// The provider's record; None where it has no order.
    pub theirs: Option<Side>,
    /// The invoice, where there is one.
    #[serde(skip)]
    pub invoice: Option<InvoiceId>,
    /// Whether the provider reports the order as paid.
    #[serde(skip)]
    pub is_paid: bool,
}

impl Side {
    pub(super) fn of_sums(sums: &Sums) -> Self {
        Self {
            status: String::new(),
            amount: None,
            external_id: None,
            received: sums.received.as_ref().map(Sum::from),
            refunded: sums.refunded.as_ref().map(Sum::from),
        }
    }
}

impl From<&Money> for Sum {
    fn from(money: &Money) -> Self {
        Self {
            value: money.value.clone(),
            currency: money.currency.clone(),
        }
    }
}

fn in_words(sum: Option<&Sum>) -> String {
    sum.map_or("none".into(), |s| format!("{} {}", s.value, s.currency))
}

impl Discrepancy {
    /// The event's id, derived from the account, the type, the kind, the subject and the
    /// differences. The same finding always has the same id, so it is recorded only once.
    pub fn event_id(&self) -> Uuid {
        let subject = self.subject();
        let (kind, differs) = (self.kind.as_str(), self.what_differs());
        let name = format!(
            "{}\n{EVENT_TYPE}\n{kind}\n{subject}\n{differs}",
            self.account
        );
        event_id::from_name(&name)
    }

    /// The subject: the order, else the transaction, else the invoice.
    fn subject(&self) -> &str {
        let order = self.order_id.as_deref();
        let transaction = self.transaction_id.as_deref();
        order
            .or(transaction)
            .or(self.external_id.as_deref())
            .unwrap_or_default()
    }

    /// The differences, our value before the provider's.
    pub fn what_differs(&self) -> String {
        let words =
            |side: Option<&Side>| side.map_or("nothing".into(), |side| self.of_interest(side));
        format!(
            "{} / {}",
            words(self.ours.as_ref()),
            words(self.theirs.as_ref())
        )
    }

    fn of_interest(&self, side: &Side) -> String {
        match self.kind {
            DiscrepancyKind::UnknownOrder
            | DiscrepancyKind::MissingOrder
            | DiscrepancyKind::Status => side.status.clone(),
            DiscrepancyKind::Amount | DiscrepancyKind::UnknownPayment => {
                in_words(side.amount.as_ref())
            }
            DiscrepancyKind::Received => in_words(side.received.as_ref()),
            DiscrepancyKind::Refund => in_words(side.refunded.as_ref()),
            DiscrepancyKind::ExternalId => side.external_id.clone().unwrap_or_default(),
        }
    }
}
