//! Judges net sums. The history shows the credit after commission; the commission depends on the
//! payment method, which the payer chooses, and the gross sum is not available.

use bigdecimal::BigDecimal;

use crate::domain::invoice::Invoice;
use crate::domain::money::Money;
use crate::domain::observation::{OrderState, Payment};
use crate::domain::transaction::{Direction, Transaction, TransactionStatus, enough_at, moved_sum};
use crate::provider::LedgerJudgement;

/// Commissions, as configured.
#[derive(Clone, Debug)]
pub(super) struct Fees {
    /// Minimum part of the requested amount that arrives.
    least_share: BigDecimal,
}

impl Fees {
    /// `wallet` is a fraction of the sum that arrives, `card` one of the sum that is paid.
    pub(super) fn new(wallet: &str, card: &str) -> Self {
        let read = |fee: &str| fee.parse::<BigDecimal>().unwrap_or_default();
        let one = BigDecimal::from(1);
        let by_wallet = &one / (&one + read(wallet));
        let by_card = &one - read(card);
        Self {
            least_share: by_wallet.min(by_card),
        }
    }

    /// Whether a net sum of this many payments is enough for `price`: each may be a kopeck short.
    fn are_enough(&self, net: &BigDecimal, payments: usize, price: &BigDecimal) -> bool {
        let kopecks = BigDecimal::new(1.into(), 2) * BigDecimal::from(payments as u64);
        net + kopecks >= price * &self.least_share
    }
}

/// Paid when the received sum reaches the price minus the higher commission; without a price, any
/// payment is enough.
pub(super) fn judge(
    fees: &Fees,
    invoice: &Invoice,
    transactions: &[Transaction],
) -> LedgerJudgement {
    let price = invoice.facts.amount.as_ref();
    let came = moved_sum(transactions, Direction::In, price);
    let state = state(fees, transactions, price);
    let is_paid = state == OrderState::Paid;
    let is_enough = |came: &[Transaction]| self::state(fees, came, price) == OrderState::Paid;
    LedgerJudgement {
        state,
        provider_status: status(transactions).into(),
        paid_at: enough_at(transactions, is_enough),
        payment: came.filter(|_| is_paid).map(|came| Payment {
            value: None,
            currency: Some(came.currency),
            net: Some(came.value),
            ..Payment::default()
        }),
    }
}

fn state(fees: &Fees, transactions: &[Transaction], price: Option<&Money>) -> OrderState {
    let moved = transactions
        .iter()
        .filter(|one| one.has_moved(Direction::In));
    match (moved_sum(transactions, Direction::In, price), price) {
        (None, _) => OrderState::Open,
        (Some(_), None) => OrderState::Paid,
        (Some(came), Some(price)) if reaches(fees, &came, moved.count(), price) => OrderState::Paid,
        (Some(_), Some(_)) => OrderState::Partial,
    }
}

fn reaches(fees: &Fees, came: &Money, payments: usize, price: &Money) -> bool {
    let values = (
        came.value.parse::<BigDecimal>(),
        price.value.parse::<BigDecimal>(),
    );
    let is_enough =
        matches!(values, (Ok(net), Ok(price)) if fees.are_enough(&net, payments, &price));
    is_enough && came.currency == price.currency
}

/// The status text of the most significant operation.
fn status(transactions: &[Transaction]) -> &'static str {
    let any = |status| transactions.iter().any(|one| one.status == status);
    if any(TransactionStatus::Succeeded) {
        "success"
    } else if any(TransactionStatus::InProgress) {
        "in_progress"
    } else {
        "refused"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_net_sum_is_enough_with_either_commission_and_a_kopeck_short() {
        let fees = Fees::new("0.01", "0.03");
        let is_enough = |net: &str, payments, price: &str| {
            fees.are_enough(&net.parse().unwrap(), payments, &price.parse().unwrap())
        };
        for (net, payments, price, expected) in [
            ("970.00", 1, "1000", true),
            ("969.99", 1, "1000", true),
            ("969.98", 1, "1000", false),
            ("969.98", 2, "1000", true),
            ("990.09", 1, "1000", true),
            ("145.50", 1, "150.00", true),
            ("0", 0, "1", false),
        ] {
            assert_eq!(
                is_enough(net, payments, price),
                expected,
                "{net} of {price}"
            );
        }
        let dear_wallet = Fees::new("0.05", "0.03");
        let net = "952.38".parse().unwrap();
        assert!(dear_wallet.are_enough(&net, 1, &"1000".parse().unwrap()));
    }
}
