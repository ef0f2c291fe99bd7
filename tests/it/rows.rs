//! Rows and observed orders for tests. Their times are fixed; rows in a database, whose triggers
//! use the real clock, need `observed_order_of`.

use payrecond::domain::invoice::{Facts, Invoice, InvoiceId, PollPlan, Wish};
use payrecond::domain::money::Money;
use payrecond::domain::observation::{ObservedMoney, ObservedOrder, OrderState, Payment, Sums};
use payrecond::domain::state::Status;
use payrecond::domain::time::UnixMillis;

/// Insert time of every row here: 2026-11-21T20:30:00Z.
pub const INSERTED: UnixMillis = UnixMillis(1_795_293_000_000);
/// Time to pay, in seconds.
pub const TIMEOUT_S: i64 = 900;

pub fn money(value: &str, currency: &str) -> Money {
    Money {
        value: value.into(),
        currency: currency.into(),
    }
}

/// A row of this status, before an observation has shown more than the status.
pub fn invoice(status: Status) -> Invoice {
    let order_id = (status != Status::Requested).then(|| "2703383946854401".into());
    Invoice {
        id: InvoiceId(1),
        account: "default".into(),
        external_id: "ORD-1".into(),
        wish: Wish {
            description: Some("Six eggs".into()),
            timeout_s: TIMEOUT_S,
            options: None,
        },
        metadata: None,
        transactions: Vec::new(),
        facts: Facts {
            order_id,
            amount: Some(money("1.00", "USD")),
            ..Facts::bare(status)
        },
        version: 4,
        created_at: INSERTED,
        updated_at: INSERTED,
        schedule: PollPlan::default(),
    }
}

/// In the provider's own terms.
pub fn word(state: OrderState) -> &'static str {
    match state {
        OrderState::Open => "ACTIVE",
        OrderState::Partial => "PARTIAL",
        OrderState::Authorized => "HELD",
        OrderState::Paid => "PAID",
        OrderState::Expired => "EXPIRED",
        OrderState::Cancelled => "CANCELLED",
        OrderState::Unknown => "FROZEN",
    }
}

/// The invoice's order in this state, as reported by a request for the single order.
pub fn observed(state: OrderState) -> ObservedOrder {
    let paid = state == OrderState::Paid;
    ObservedOrder {
        order_id: "2703383946854401".into(),
        state,
        provider_status: word(state).into(),
        observed_at: UnixMillis(INSERTED.0 + 60_000),
        told_at: None,
        bare_amount: None,
        external_id: None,
        number: Some("9aeb581c".into()),
        amount: Some(money("1.00", "USD")),
        created_at: Some(INSERTED),
        expires_at: Some(UnixMillis(INSERTED.0 + 900_000)),
        paid_at: paid.then_some(UnixMillis(INSERTED.0 + 58_123)),
        pay_link: Some("https://t.me/wallet?startattach=wpay_order_1".into()),
        direct_pay_link: Some("https://t.me/wallet/start?startapp=wpay_order-orderId__1".into()),
        payment: None,
        money: ObservedMoney::default(),
    }
}

/// Sums in the invoice's currency.
pub fn sums(received: Option<&str>, refunded: Option<&str>) -> Sums {
    let usd = |value: &str| money(value, "USD");
    Sums {
        received: received.map(usd),
        refunded: refunded.map(usd),
        refunded_at: refunded.map(|_| UnixMillis(INSERTED.0 + 90_000)),
    }
}

/// Like `observed`, for this row's order: its times relate to the row's insert in the same way.
pub fn observed_order_of(row: &Invoice, state: OrderState) -> ObservedOrder {
    let shown = observed(state);
    let moved = |at: UnixMillis| UnixMillis(at.0 - INSERTED.0 + row.created_at.0);
    ObservedOrder {
        order_id: row.facts.order_id.clone().unwrap(),
        observed_at: moved(shown.observed_at),
        created_at: shown.created_at.map(moved),
        expires_at: shown.expires_at.map(moved),
        paid_at: shown.paid_at.map(moved),
        ..shown
    }
}

/// A payment as a page of the provider's list shows it.
pub fn payment() -> Payment {
    Payment {
        value: Some("0.069848094".into()),
        currency: Some("TON".into()),
        fee: Some("0.000698481".into()),
        net: Some("0.069149613".into()),
        exchange_rate: Some("0.0017462023476135017".into()),
    }
}
