//! One customer of the play, from the insert of the invoice to the last thing that happens to it.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::invoice::{AccountName, Invoice};
use crate::sandbox::{Bill, BillPayment, OrderAction, OrderEnding, PayerHabit, SampleShop, World};
use crate::store::{NewInvoice, Reference, Reports};

/// How often a customer looks for the pay link.
const LINK_EVERY: Duration = Duration::from_millis(50);

/// Who pays a bill, or does not.
pub(super) struct Customer {
    bill: Bill,
    sample: &'static SampleShop,
    habit: PayerHabit,
    comes: Duration,
    /// From the link to what is done first.
    acts_after: Duration,
    /// From there to what is done next.
    goes_on_after: Duration,
}

impl Customer {
    /// `number` counts the customers of the provider, from 0: every other one just pays, and the rest
    /// do by turns all that can be done there.
    pub(super) fn new(
        bill: Bill,
        sample: &'static SampleShop,
        number: usize,
        comes: Duration,
        rng: &mut fastrand::Rng,
    ) -> Self {
        let mut between = |least: u64, most: u64| Duration::from_millis(rng.u64(least..most));
        let (soon, later) = (between(400, 5000), between(2000, 4500));
        let goes_on_after = between(1500, 3000);
        let mut by_turns = sample.habits.iter().copied().cycle();
        let habit = if number.is_multiple_of(2) {
            PayerHabit::Pays
        } else {
            by_turns.nth(number / 2).unwrap_or(PayerHabit::Pays)
        };
        let acts_after = match habit {
            PayerHabit::Pays
            | PayerHabit::PaysInParts
            | PayerHabit::Overpays
            | PayerHabit::IsRefunded => soon,
            PayerHabit::PaysLate
            | PayerHabit::Cancels
            | PayerHabit::LetsExpire
            | PayerHabit::Forgets => later,
        };
        Self {
            bill,
            sample,
            habit,
            comes,
            acts_after,
            goes_on_after,
        }
    }

    /// Comes, has an invoice inserted, waits for its link, and does as is the habit.
    pub(super) async fn visit(
        self,
        store: Arc<dyn Reports>,
        world: Arc<World>,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<()> {
        clock.sleep(self.comes).await;
        self.insert_invoice(store.as_ref()).await?;
        while !self.has_link(store.as_ref()).await? {
            clock.sleep(LINK_EVERY).await;
        }
        clock.sleep(self.acts_after).await;
        match self.habit {
            PayerHabit::Pays => world.pay_bill(&self.bill, BillPayment::Whole)?,
            PayerHabit::Overpays => world.pay_bill(&self.bill, BillPayment::HalfMore)?,
            PayerHabit::PaysInParts => {
                world.pay_bill(&self.bill, BillPayment::Half)?;
                clock.sleep(self.goes_on_after).await;
                world.pay_bill(&self.bill, BillPayment::Half)?;
            }
            PayerHabit::PaysLate => {
                self.end(&world, OrderAction::Expire)?;
                self.ask_again(store.as_ref()).await?;
                clock.sleep(self.goes_on_after).await;
                world.pay_bill(&self.bill, BillPayment::WholeLate)?;
            }
            PayerHabit::IsRefunded => {
                world.pay_bill(&self.bill, BillPayment::Whole)?;
                clock.sleep(self.goes_on_after).await;
                world.refund_bill(&self.bill)?;
            }
            PayerHabit::Cancels => {
                self.end(&world, OrderAction::Cancel)?;
                self.ask_again(store.as_ref()).await?;
            }
            PayerHabit::LetsExpire => {
                self.end(&world, OrderAction::Expire)?;
                self.ask_again(store.as_ref()).await?;
            }
            PayerHabit::Forgets => {}
        }
        Ok(())
    }

    fn end(&self, world: &World, how: fn(OrderEnding) -> OrderAction) -> anyhow::Result<()> {
        let ending = how(OrderEnding::default());
        world.act(Some(self.bill.provider), &self.bill.external_id, &ending)?;
        Ok(())
    }

    /// The customer is back at the shop, which has the invoice polled at once.
    async fn ask_again(&self, store: &dyn Reports) -> anyhow::Result<()> {
        if let Some(invoice) = self.invoice(store).await? {
            store.nudge(invoice.id).await?;
        }
        Ok(())
    }

    async fn insert_invoice(&self, store: &dyn Reports) -> anyhow::Result<()> {
        let invoice = NewInvoice {
            account: Some(self.bill.provider.name().to_owned()),
            external_id: self.bill.external_id.clone(),
            amount: Some(self.bill.price.clone()),
            currency: Some(self.sample.currency.to_owned()),
            description: Some("Six eggs and bread".into()),
            options: Some(self.sample.options.to_owned()),
            metadata: Some(r#"{"chat":100042}"#.into()),
            ..NewInvoice::default()
        };
        let inserted = store.insert(&invoice).await?;
        inserted.map(drop).map_err(anyhow::Error::msg)
    }

    async fn has_link(&self, store: &dyn Reports) -> anyhow::Result<bool> {
        let invoice = self.invoice(store).await?;
        Ok(invoice.is_some_and(|invoice| invoice.facts.pay_link.is_some()))
    }

    async fn invoice(&self, store: &dyn Reports) -> anyhow::Result<Option<Invoice>> {
        let reference = Reference::Text(self.bill.external_id.clone());
        let account = AccountName::from(self.bill.provider.name());
        let found = store.find(&reference, Some(&account)).await?;
        Ok(found.into_iter().next())
    }
}
