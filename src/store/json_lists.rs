//! Lists that statements of every store take as one JSON text.

use serde_json::{Value, json};

use crate::domain::invoice::{ExternalId, OrderId};
use crate::domain::money::plain;
use crate::domain::observation::ObservedOrder;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::domain::transaction::Transaction;

/// `[[order id, external id], …]`
pub(super) fn order_keys<'a>(
    orders: impl Iterator<Item = (&'a OrderId, Option<&'a ExternalId>)>,
) -> String {
    let keys = orders.map(|(order, external)| json!([order.0, external.map(|id| &id.0)]));
    Value::Array(keys.collect()).to_string()
}

/// `[[transaction id, external id], …]`
pub(super) fn transaction_keys(transactions: &[Transaction]) -> String {
    let keys = transactions.iter();
    let keys = keys.map(|one| json!([one.id.0, one.external_id.as_ref().map(|id| &id.0)]));
    Value::Array(keys.collect()).to_string()
}

/// `[[status, milliseconds], …]`: the furthest plan of each status.
pub(super) fn horizons(horizons: &[(Status, UnixMillis)]) -> String {
    let pairs = horizons
        .iter()
        .map(|(status, at)| json!([status.as_str(), at.0]));
    Value::Array(pairs.collect()).to_string()
}

/// `[external id, order id, amount, currency]` for each order that can be adopted: those that have an
/// external id.
pub(super) fn adoptable_orders(orders: &[ObservedOrder]) -> Vec<Value> {
    orders.iter().filter_map(adoptable).collect()
}

fn adoptable(order: &ObservedOrder) -> Option<Value> {
    let external_id = order.external_id.as_ref()?;
    // The schema accepts only plain decimals.
    let amount = order.amount.as_ref().and_then(|amount| {
        let value = plain(&amount.value)?;
        Some((value, &amount.currency))
    });
    Some(json!([
        external_id.0,
        order.order_id.0,
        amount.as_ref().map(|(value, _)| value),
        amount.as_ref().map(|(_, currency)| currency),
    ]))
}
