//! Refunds: an order tells their sum, a list of its own tells each.

use std::time::Duration;

use async_trait::async_trait;
use payrecond::domain::invoice::{OrderId, TransactionId};
use payrecond::domain::money::Money;
use payrecond::domain::observation::{ObservedMoney, Sums};
use payrecond::domain::time::UnixMillis;
use payrecond::domain::transaction::{Direction, Transaction, TransactionStatus};
use payrecond::provider::{ListRefunds, ProviderError, Refund, RefundPage, SpanCursor};

use crate::clock::BEGINNING;
use crate::fault::Fault;
use crate::provider::SimProvider;
use crate::shapes::Refunding;
use crate::world::Order;

/// Refunds on one page.
const PAGE: usize = 3;

/// Cents as an amount.
pub fn money(cents: u64) -> Money {
    Money {
        value: format!("{}.{:02}", cents / 100, cents % 100),
        currency: "USD".into(),
    }
}

impl Refunding {
    fn status(&self, made_at: Duration, now: Duration) -> TransactionStatus {
        if now < made_at + self.takes {
            TransactionStatus::InProgress
        } else if self.succeeds {
            TransactionStatus::Succeeded
        } else {
            TransactionStatus::Refused
        }
    }
}

impl Order {
    /// Its refunds by now: when each was made, and what became of it.
    fn refunds(&self, now: Duration) -> Vec<(Duration, &Refunding, TransactionStatus)> {
        let Some(paid_at) = self.paid_at(now) else {
            return Vec::new();
        };
        let made = self
            .quirks
            .refunds
            .iter()
            .map(|one| (paid_at + one.after, one));
        made.filter(|(at, _)| *at <= now)
            .map(|(at, one)| (at, one, one.status(at, now)))
            .collect()
    }

    /// What was returned by now, in cents.
    pub fn refunded(&self, now: Duration) -> u64 {
        let refunds = self.refunds(now).into_iter();
        let moved = refunds.filter(|(_, _, status)| *status == TransactionStatus::Succeeded);
        moved.map(|(_, one, _)| one.cents).sum()
    }

    /// What it tells of money, where the provider tells of that.
    pub fn money(&self, now: Duration) -> ObservedMoney {
        let refunded = self.refunded(now);
        ObservedMoney {
            sums: Sums {
                received: self.paid_at(now).map(|_| Money {
                    value: self.amount.clone(),
                    currency: "USD".into(),
                }),
                refunded: (refunded > 0).then(|| money(refunded)),
                refunded_at: None,
            },
            ..ObservedMoney::default()
        }
    }

    fn told_refunds(&mut self, now: Duration) -> Vec<Refund> {
        let all: Vec<Refund> = self
            .refunds(now)
            .into_iter()
            .map(|(at, one, status)| Refund {
                order_id: OrderId(self.id.clone()),
                transaction: Transaction {
                    id: TransactionId(one.id.clone()),
                    direction: Direction::Out,
                    external_id: None,
                    amount: money(one.cents),
                    is_net: false,
                    status,
                    happened_at: BEGINNING.plus(at),
                },
            })
            .collect();
        for refund in &mut self.quirks.refunds {
            let is_shown = |one: &&Refund| {
                one.transaction.id.0 == refund.id
                    && one.transaction.status == TransactionStatus::Succeeded
            };
            refund.is_told |= all.iter().any(|one| is_shown(&one));
        }
        all
    }
}

#[async_trait]
impl ListRefunds for SimProvider {
    async fn refund_page(
        &self,
        from: UnixMillis,
        cursor: Option<&SpanCursor>,
    ) -> Result<RefundPage, ProviderError> {
        let _under_way = self.arrive();
        self.answer_takes_time().await;
        if let Some(Fault::Unheard(error) | Fault::Lost(error)) = self.fault() {
            self.tell(&format!("refunds -> {error}"));
            return Err(error);
        }
        let now = self.clock_time();
        let mut refunds: Vec<Refund> = {
            let mut world = self.world.lock();
            let orders = &mut world.stores[self.account].orders;
            orders
                .iter_mut()
                .flat_map(|order| order.told_refunds(now))
                .collect()
        };
        refunds.retain(|one| one.transaction.happened_at >= from);
        refunds.sort_by_key(|one| std::cmp::Reverse(one.transaction.happened_at));
        let start: usize = cursor.map_or(0, |cursor| cursor.0.parse().unwrap());
        let count = refunds.len();
        let page: Vec<Refund> = refunds.into_iter().skip(start).take(PAGE).collect();
        let end = start + page.len();
        self.tell(&format!(
            "refunds {start} of {count} -> {} items",
            page.len()
        ));
        Ok(RefundPage {
            bytes: page.len() as u64 * 300 + 60,
            refunds: page,
            next: (end < count).then(|| SpanCursor(end.to_string())),
        })
    }

    async fn refunds_of(&self, order: &OrderId) -> Result<Vec<Transaction>, ProviderError> {
        // The budget is charged for it after the fact.
        self.answer_takes_time().await;
        if let Some(Fault::Unheard(error) | Fault::Lost(error)) = self.fault() {
            return Err(error);
        }
        let now = self.clock_time();
        let mut world = self.world.lock();
        let order = world.stores[self.account].order(&order.0);
        let refunds = order
            .map(|order| order.told_refunds(now))
            .unwrap_or_default();
        Ok(refunds.into_iter().map(|one| one.transaction).collect())
    }
}
