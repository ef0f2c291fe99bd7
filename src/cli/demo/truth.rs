//! The truth, order by order: what the sandbox knows against what the database and the feed say.

use super::play::Play;
use crate::sandbox::{OrderTruth, OrderView};
use crate::store::{InvoiceQuery, Reference};

/// The outcome of the comparison.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// Orders the sandbox has.
    pub(super) orders: u32,
    /// What does not agree, a line each.
    pub(super) disagreements: Vec<String>,
    /// Payments found although we had said expired or cancelled.
    pub(super) late: usize,
}

impl Comparison {
    /// Whether all that was found out is so; what the feed told is not looked at.
    pub(super) fn statuses_agree(&self) -> bool {
        self.disagreements
            .iter()
            .all(|words| words.starts_with(FEED))
    }
}

/// How a line about the feed begins.
const FEED: &str = "the feed";

/// Compares every order with its invoice and its events. `feed` is all that stdout said.
pub(super) async fn compare(play: &Play, feed: &str) -> anyhow::Result<Comparison> {
    let orders = play.world.orders();
    let mut verdict = Comparison {
        orders: u32::try_from(orders.len()).unwrap_or(u32::MAX),
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
    for order in &orders {
        judge(play, order, &mut verdict).await?;
    }
    let query = InvoiceQuery {
        limit: u32::MAX,
        ..InvoiceQuery::default()
    };
    let invoices = play.store.list(&query).await?.len();
    if invoices != orders.len() {
        let words = format!("{invoices} invoices for {} orders", orders.len());
        verdict.disagreements.push(words);
    }
    Ok(verdict)
}

async fn judge(play: &Play, order: &OrderView, verdict: &mut Comparison) -> anyhow::Result<()> {
    let reference = Reference::Text(order.external_id.to_string());
    let found = play.store.find(&reference, None).await?;
    let [invoice] = found.as_slice() else {
        let words = format!("{}: {} invoices", order.external_id, found.len());
        verdict.disagreements.push(words);
        return Ok(());
    };
    let should_be = match order.state {
        OrderTruth::Open | OrderTruth::Partial | OrderTruth::Held => "pending",
        OrderTruth::Paid => "paid",
        OrderTruth::Expired => "expired",
        OrderTruth::Cancelled | OrderTruth::Deleted => "cancelled",
    };
    let is = invoice.facts.status.as_str();
    if is != should_be {
        let words = format!(
            "{}: {is}, but {should_be} at the provider",
            order.external_id
        );
        verdict.disagreements.push(words);
    }
    let history = play.store.history(invoice).await?;
    let paid = history
        .iter()
        .filter(|event| event.event_type == "payment.paid");
    let said: Vec<_> = paid.collect();
    let expected = usize::from(order.state == OrderTruth::Paid);
    if said.len() != expected {
        let words = format!(
            "{}: {} events payment.paid instead of {expected}",
            order.external_id,
            said.len()
        );
        verdict.disagreements.push(words);
    }
    if said
        .iter()
        .any(|event| event.payload.contains(r#""late":true"#))
    {
        verdict.late += 1;
    }
    Ok(())
}
