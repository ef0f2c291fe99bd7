//! The truth, order by order: what the sandbox knows against what the database and the feed say.

use super::play::Play;
use crate::domain::invoice::Invoice;
use crate::domain::money;
use crate::sandbox::{Bill, BillTruth, OrderTruth};
use crate::store::{HistoryEvent, InvoiceQuery, Reference};

/// The outcome of the comparison.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// Orders there are.
    pub(super) orders: u32,
    /// What does not agree, a line each.
    pub(super) disagreements: Vec<String>,
    /// Payments found although we had said expired or cancelled.
    pub(super) late: usize,
    /// Orders that were paid in parts.
    pub(super) in_parts: usize,
    /// Payments that went back.
    pub(super) refunded: usize,
}

impl Comparison {
    /// Whether all that was found out is so; what the feed told is not looked at.
    pub(super) fn statuses_agree(&self) -> bool {
        self.disagreements
            .iter()
            .all(|words| words.starts_with(FEED))
    }

    fn differs(&mut self, bill: &Bill, what: &str) {
        let words = format!("{} at {}: {what}", bill.external_id, bill.provider);
        self.disagreements.push(words);
    }
}

/// How a line about the feed begins.
const FEED: &str = "the feed";

/// Compares every bill with its invoice and its events. `feed` is all that stdout said.
pub(super) async fn compare(play: &Play, feed: &str) -> anyhow::Result<Comparison> {
    let mut verdict = Comparison {
        orders: u32::try_from(play.bills.len()).unwrap_or(u32::MAX),
        ..Comparison::default()
    };
    let frames = feed.lines().filter(|line| line.starts_with("MSG ")).count();
    let events = play.store.last_events(u32::MAX).await?;
    if frames != events.len() {
        let words = format!(
            "{FEED} had {frames} events, the outbox has {}",
            events.len()
        );
        verdict.disagreements.push(words);
    }
    for bill in &play.bills {
        judge(play, bill, &mut verdict).await?;
    }
    let query = InvoiceQuery {
        limit: u32::MAX,
        ..InvoiceQuery::default()
    };
    let invoices = play.store.list(&query).await?.len();
    if invoices != play.bills.len() {
        let words = format!("{invoices} invoices for {} orders", play.bills.len());
        verdict.disagreements.push(words);
    }
    // An order that the sandbox has and nobody asked for was made twice.
    let orders = play.world.orders();
    let asked = |external_id: &str| {
        play.bills
            .iter()
            .any(|bill| bill.external_id == external_id)
    };
    for order in orders.iter().filter(|order| !asked(&order.external_id)) {
        let words = format!("{} at {}: unknown order", order.id, order.provider);
        verdict.disagreements.push(words);
    }
    Ok(verdict)
}

async fn judge(play: &Play, bill: &Bill, verdict: &mut Comparison) -> anyhow::Result<()> {
    let reference = Reference::Text(bill.external_id.clone());
    let found = play.store.find(&reference, None).await?;
    let [invoice] = found.as_slice() else {
        verdict.differs(bill, &format!("{} invoices", found.len()));
        return Ok(());
    };
    let Some(truth) = play.world.truth_of(bill) else {
        verdict.differs(bill, "unknown at the provider");
        return Ok(());
    };
    compare_status(bill, &truth, invoice, verdict);
    let history = play.store.history(invoice).await?;
    compare_events(bill, &truth, &history, verdict);
    Ok(())
}

fn compare_status(bill: &Bill, truth: &BillTruth, invoice: &Invoice, verdict: &mut Comparison) {
    let should_be = match truth.state {
        OrderTruth::Open | OrderTruth::Partial | OrderTruth::Held => "pending",
        OrderTruth::Paid => "paid",
        OrderTruth::Expired => "expired",
        OrderTruth::Cancelled | OrderTruth::Deleted => "cancelled",
    };
    let is = invoice.facts.status.as_str();
    if is != should_be {
        verdict.differs(bill, &format!("{is}, but {should_be} at the provider"));
    }
    let refunded = invoice.facts.sums.refunded.as_ref();
    let refunded = refunded.map(|money| money.value.as_str());
    let agrees = match (refunded, truth.refunded.as_deref()) {
        (None, None) => true,
        (Some(ours), Some(theirs)) => money::same_value(ours, theirs),
        (Some(_), None) | (None, Some(_)) => false,
    };
    if !agrees {
        let (ours, theirs) = (told(refunded), told(truth.refunded.as_deref()));
        verdict.differs(
            bill,
            &format!("refunded {ours}, but {theirs} at the provider"),
        );
    }
}

fn told(amount: Option<&str>) -> &str {
    amount.unwrap_or("nothing")
}

fn compare_events(
    bill: &Bill,
    truth: &BillTruth,
    history: &[HistoryEvent],
    verdict: &mut Comparison,
) {
    let of = |kind: &str| {
        history
            .iter()
            .filter(|event| event.event_type == kind)
            .count()
    };
    let expected = [
        ("payment.paid", usize::from(truth.state == OrderTruth::Paid)),
        ("payment.refunded", usize::from(truth.refunded.is_some())),
    ];
    for (kind, expected) in expected {
        let count = of(kind);
        if count != expected {
            verdict.differs(
                bill,
                &format!("{count} events {kind} instead of {expected}"),
            );
        }
    }
    let is_late = |event: &HistoryEvent| event.payload.contains(r#""late":true"#);
    verdict.late += usize::from(history.iter().any(is_late));
    verdict.in_parts += usize::from(of("payment.partial") > 0);
    verdict.refunded += of("payment.refunded");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::UnixMillis;
    use crate::sandbox::SimulatedProvider;

    fn bill() -> Bill {
        Bill {
            provider: SimulatedProvider::ALL[0],
            external_id: "ORD-1".into(),
            price: "1.10".into(),
        }
    }

    fn event(event_type: &str) -> HistoryEvent {
        HistoryEvent {
            seq: 1,
            event_id: "id".into(),
            event_type: event_type.into(),
            previous_status: None,
            status: None,
            created_at: UnixMillis(0),
            payload: "{}".into(),
        }
    }

    fn disagreements(truth: &BillTruth, events: &[&str]) -> Vec<String> {
        let mut verdict = Comparison::default();
        let history: Vec<_> = events.iter().map(|kind| event(kind)).collect();
        compare_events(&bill(), truth, &history, &mut verdict);
        verdict.disagreements
    }

    #[test]
    fn a_payment_is_told_once_and_each_refund() {
        let paid = BillTruth {
            state: OrderTruth::Paid,
            refunded: None,
        };
        assert!(disagreements(&paid, &["payment.pending", "payment.paid"]).is_empty());
        assert_eq!(
            disagreements(&paid, &["payment.paid", "payment.paid"]),
            ["ORD-1 at walletpay: 2 events payment.paid instead of 1"]
        );
        assert_eq!(disagreements(&paid, &["payment.pending"]).len(), 1);
        let refunded = BillTruth {
            refunded: Some("1.10".into()),
            ..paid
        };
        assert_eq!(disagreements(&refunded, &["payment.paid"]).len(), 1);
        let open = BillTruth {
            state: OrderTruth::Open,
            refunded: None,
        };
        assert_eq!(disagreements(&open, &["payment.paid"]).len(), 1);
    }
}
