//! Refunds. A refunded payment stays `succeeded`, so only its refunds show when and how much was
//! returned.

use serde::Deserialize;

use super::payment::money_of;
use crate::domain::invoice::{OrderId, TransactionId};
use crate::domain::transaction::{Direction, Transaction, TransactionStatus};
use crate::provider::Refund;
use crate::provider::wire::{self, Raw, object};

#[derive(Deserialize)]
struct RefundWire<'a> {
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    payment_id: Raw<'a>,
    #[serde(borrow)]
    status: Raw<'a>,
    #[serde(borrow)]
    amount: Raw<'a>,
    #[serde(borrow)]
    created_at: Raw<'a>,
}

/// Parses a refund. All fields are required, since a sum left out would be lost. A refund with an
/// unknown status counts as not moved yet.
pub(super) fn observed(json: &str) -> Result<Refund, String> {
    let told: RefundWire<'_> = object(json).map_err(|error| error.to_string())?;
    let id = wire::order_id(told.id)?.into_owned();
    let payment = wire::order_id(told.payment_id)?.into_owned();
    let status = match wire::word(told.status).as_deref() {
        Some("succeeded") => TransactionStatus::Succeeded,
        Some("canceled") => TransactionStatus::Refused,
        Some(_) => TransactionStatus::InProgress,
        None => return Err(format!("refund {id}: no status")),
    };
    let amount = money_of(told.amount)
        .ok_or_else(|| format!("refund {id}: expected an amount with a value and a currency"))?;
    let happened_at =
        wire::time(told.created_at).ok_or_else(|| format!("refund {id}: no usable created_at"))?;
    Ok(Refund {
        order_id: OrderId(payment),
        transaction: Transaction {
            id: TransactionId(id),
            direction: Direction::Out,
            external_id: None,
            amount,
            is_net: false,
            status,
            happened_at,
        },
    })
}
