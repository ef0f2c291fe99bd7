//! Bills, whether their provider keeps orders or only a ledger: how they are paid, and what became of them.

use std::sync::Arc;

use super::World;
use crate::domain::money;
use crate::sandbox::bill::{Bill, BillPayment, BillTruth};
use crate::sandbox::decimal;
use crate::sandbox::ledger::{NewTransaction, SimulatedLedger, TransactionView};
use crate::sandbox::operation::SimulatedProvider;
use crate::sandbox::sample::SampleShop;
use crate::sandbox::simulator::{ControlError, OrderAction, OrderTruth, SimulatedPayment};

impl World {
    /// A shop at `provider`.
    pub fn sample(&self, provider: SimulatedProvider) -> Option<&'static SampleShop> {
        let of_orders = self.at(Some(provider)).map(|one| one.sample()).next();
        of_orders.or_else(|| self.ledger_of(provider).map(SimulatedLedger::sample))
    }

    /// Lets a payer pay.
    pub fn pay_bill(&self, bill: &Bill, payment: BillPayment) -> Result<(), ControlError> {
        let share = match payment {
            BillPayment::Whole | BillPayment::WholeLate => None,
            BillPayment::Half => Some(50),
            BillPayment::HalfMore => Some(150),
        };
        let price = decimal::positive(&bill.price).map_err(ControlError::Invalid)?;
        let sum = share.map(|share| decimal::shortest(&decimal::percent(&price, share)));
        if let Some(ledger) = self.ledger_of(bill.provider) {
            let new = NewTransaction {
                external_id: Some(bill.external_id.clone()),
                amount: Some(sum.unwrap_or_else(|| bill.price.clone())),
                ..NewTransaction::default()
            };
            return ledger.add(&new).map(drop);
        }
        let payment = SimulatedPayment {
            amount: sum,
            late: payment == BillPayment::WholeLate,
            ..SimulatedPayment::default()
        };
        let action = OrderAction::Pay(payment);
        self.act(Some(bill.provider), &bill.external_id, &action)
            .map(drop)
    }

    /// Sends the last payment of a bill back, where the provider keeps a ledger.
    pub fn refund_bill(&self, bill: &Bill) -> Result<(), ControlError> {
        let unknown = || ControlError::Unknown(bill.external_id.clone());
        let ledger = self.ledger_of(bill.provider).ok_or_else(unknown)?;
        let mut movements = movements(ledger, bill);
        let payment = movements.rfind(|one| one.direction == "in");
        let refund = NewTransaction {
            transaction_id: Some(payment.ok_or_else(unknown)?.transaction_id),
            is_out: true,
            ..NewTransaction::default()
        };
        ledger.add(&refund).map(drop)
    }

    /// What became of a bill; None where its provider knows nothing of it.
    pub fn truth_of(&self, bill: &Bill) -> Option<BillTruth> {
        if let Some(ledger) = self.ledger_of(bill.provider) {
            return Some(ledger_truth(ledger, bill));
        }
        let order = self.order_at(Some(bill.provider), &bill.external_id)?;
        Some(BillTruth {
            state: order.state,
            refunded: None,
        })
    }

    fn ledger_of(&self, provider: SimulatedProvider) -> Option<&dyn SimulatedLedger> {
        let mut ledgers = self.ledgers.iter().map(Arc::as_ref);
        ledgers.find(|ledger| ledger.provider() == provider)
    }
}

fn movements(
    ledger: &dyn SimulatedLedger,
    bill: &Bill,
) -> impl DoubleEndedIterator<Item = TransactionView> + use<> {
    let external_id = bill.external_id.clone();
    let all = ledger.transactions().into_iter();
    all.filter(move |one| one.external_id == external_id && one.status == "success")
}

fn ledger_truth(ledger: &dyn SimulatedLedger, bill: &Bill) -> BillTruth {
    let (came, went): (Vec<_>, Vec<_>) =
        movements(ledger, bill).partition(|one| one.direction == "in");
    let total = |all: &[TransactionView]| money::sum(all.iter().map(|one| one.amount.as_str()));
    let paid = total(&came).unwrap_or_default();
    let is_enough = money::difference(&paid, &bill.price).is_some();
    let state = match came.as_slice() {
        [] => OrderTruth::Open,
        _ if is_enough => OrderTruth::Paid,
        _ => OrderTruth::Partial,
    };
    let refunded = if went.is_empty() { None } else { total(&went) };
    BillTruth { state, refunded }
}
