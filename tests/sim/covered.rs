//! Whether the provider of an order, or a person, said what an event says.

use std::time::Duration;

use payrecond::domain::event::{Event, EventType};
use payrecond::domain::observation::OrderState;
use payrecond::domain::state::reason;

use crate::world::{Kind, Order, Store, Wish, World};

/// Whether the provider, or a person, said what the event says.
pub fn is_covered(
    world: &mut World,
    event: &Event,
    now: Duration,
    wall: impl Fn() -> payrecond::domain::time::UnixMillis,
) -> bool {
    let Some(account) = world.account(&event.account.0) else {
        return false;
    };
    let why = event.facts.reason.as_deref();
    if why == Some(reason::RESOLVED) {
        return true;
    }
    let grace = world.nature.not_found_grace;
    let jumps = world.nature.jumps;
    let wish = world.wish(account, &event.external_id.0).cloned();
    let Some(wish) = wish else { return false };
    let store = &mut world.stores[account];
    let external_id = &event.external_id.0;
    let order_id = event.facts.order_id.as_ref().map(|id| id.0.clone());
    let order = order_id.as_deref().and_then(|id| store.order(id));
    let said = |state| {
        order
            .as_ref()
            .is_some_and(|order| order.said.contains(&state))
    };
    match event.event_type {
        EventType::Paid => {
            let is_paid = order.as_ref().is_some_and(|o| o.paid_at(now).is_some());
            is_paid && said(OrderState::Paid)
        }
        EventType::Expired => said(OrderState::Expired),
        EventType::Cancelled => said(OrderState::Cancelled),
        EventType::Detailed => order.is_some_and(|order| order.said_payment),
        // No order is paid in parts, or twice.
        EventType::Refunded => order.is_some_and(|order| has_told_refund(order, event)),
        EventType::Partial | EventType::Further => false,
        EventType::Pending => {
            let Some(order) = order else { return false };
            order.linked_at.get_or_insert(now);
            !order.said.is_empty()
        }
        EventType::Rejected if why == Some(reason::TOO_LATE) => {
            let age = wish
                .inserted_at
                .map(|at| wall().since(at))
                .unwrap_or_default();
            age + world.nature.clocks_agree_within() > Duration::from_secs(wish.timeout_s) || jumps
        }
        EventType::Rejected => {
            wish.kind == Kind::RefusedHere || store.said_refused.contains(external_id)
        }
        EventType::Review => match why {
            Some(reason::AMOUNT_MISMATCH) => order.is_some_and(|order| {
                order.said_wrong_amount || wish.kind == Kind::WrongSum && !order.said.is_empty()
            }),
            Some(reason::EXTERNAL_ID_MISMATCH) => {
                wish.kind == Kind::Alien && order.is_some_and(|order| order.said_external_id)
            }
            Some(reason::CREATE_CONFLICT) => {
                // The list shows the other order, or a sum that is none of ours.
                let mut orders = store.orders.iter();
                let other = orders.find(|order| order.external_id == *external_id);
                let by_list = other.is_some_and(|other| {
                    other.said_external_id
                        && (wish.kind == Kind::Conflict || other.said_wrong_amount)
                });
                by_list || store.said_conflict.contains(external_id)
            }
            Some(reason::ORDER_NOT_FOUND) => jumps || was_missing(store, &wish, grace, now),
            _ => false,
        },
    }
}

fn has_told_refund(order: &Order, event: &Event) -> bool {
    let id = event.transaction_id.as_ref().map(|id| id.0.as_str());
    let mut refunds = order.quirks.refunds.iter();
    refunds.any(|one| one.is_told && Some(one.id.as_str()) == id)
}

/// Whether the order was said to be missing for as long as the grace. A list that does not show it
/// says so too.
fn was_missing(store: &Store, wish: &Wish, grace: Duration, now: Duration) -> bool {
    let Some(id) = &wish.order_id else {
        return false;
    };
    let first = store.said_missing.iter().find(|(missing, _)| missing == id);
    let by_look = first.is_some_and(|(_, at)| now.saturating_sub(*at) >= grace);
    by_look || wish.kind == Kind::Missing
}
