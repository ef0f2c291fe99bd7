//! Transactions: movements of money in the ledger of a provider that has one, and refunds that a
//! provider reports.

use std::collections::HashMap;

use super::ids::{ExternalId, TransactionId};
use super::money::{self, Money};
use super::time::UnixMillis;

/// The direction of a movement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To the store.
    In,
    /// Back to a payer.
    Out,
}

impl Direction {
    /// The name in the database and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }

    /// Parses the name that `as_str` returns.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::In, Self::Out]
            .into_iter()
            .find(|direction| direction.as_str() == word)
    }
}

/// The status of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransactionStatus {
    /// The money moved. Final.
    Succeeded,
    /// The money may still move.
    InProgress,
    /// The money did not move.
    Refused,
}

impl TransactionStatus {
    /// All statuses.
    pub const ALL: [Self; 3] = [Self::Succeeded, Self::InProgress, Self::Refused];

    /// The name in the database and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::InProgress => "in_progress",
            Self::Refused => "refused",
        }
    }

    /// Parses the name that `as_str` returns.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// One movement of money, as the provider reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The provider's id. A refund may have the id of its payment.
    pub id: TransactionId,
    /// Its direction.
    pub direction: Direction,
    /// The label as reported, which names the invoice.
    pub external_id: Option<ExternalId>,
    /// How much.
    pub amount: Money,
    /// Whether the amount is net of commission.
    pub is_net: bool,
    /// Its status.
    pub status: TransactionStatus,
    /// When, by the provider's clock.
    pub happened_at: UnixMillis,
}

impl Transaction {
    /// Whether the money moved in this direction.
    pub fn has_moved(&self, direction: Direction) -> bool {
        self.direction == direction && self.status == TransactionStatus::Succeeded
    }

    /// Whether both are the same entry of a ledger, even if other details differ.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.direction == other.direction && self.id == other.id
    }
}

/// These transactions by their labels. A refund without a label goes with the payment of the same id;
/// what belongs to no label is left out.
pub fn by_label(transactions: Vec<Transaction>) -> HashMap<ExternalId, Vec<Transaction>> {
    let labels: HashMap<TransactionId, ExternalId> = transactions
        .iter()
        .filter_map(|one| Some((one.id.clone(), one.external_id.clone()?)))
        .collect();
    let mut by_label: HashMap<ExternalId, Vec<Transaction>> = HashMap::new();
    for one in transactions {
        let label = one.external_id.as_ref().or_else(|| labels.get(&one.id));
        if let Some(label) = label.cloned() {
            by_label.entry(label).or_default().push(one);
        }
    }
    by_label
}

/// The sum of the movements in one direction, in the currency of `like`, else of the first
/// movement. None if nothing moved.
pub fn moved_sum(
    transactions: &[Transaction],
    direction: Direction,
    like: Option<&Money>,
) -> Option<Money> {
    let moved = || transactions.iter().filter(|one| one.has_moved(direction));
    let currency = match like {
        Some(like) => &like.currency,
        None => &moved().next()?.amount.currency,
    };
    let in_currency = moved().filter(|one| one.amount.currency == *currency);
    let value = money::sum(in_currency.map(|one| one.amount.value.as_str()))?;
    Some(Money {
        value,
        currency: currency.clone(),
    })
}

/// When money that came was enough: the time of the payment after which `is_enough` holds for the first
/// time, of all payments and refunds in the order in which they happened.
pub fn enough_at(
    transactions: &[Transaction],
    is_enough: impl Fn(&[Transaction]) -> bool,
) -> Option<UnixMillis> {
    let has_moved =
        |one: &&Transaction| one.has_moved(Direction::In) || one.has_moved(Direction::Out);
    let mut moved: Vec<Transaction> = transactions.iter().filter(has_moved).cloned().collect();
    // Money returns after it came, even where both times are the same.
    moved.sort_by_key(|one| (one.happened_at, one.direction == Direction::Out));
    let mut counts = 1..=moved.len();
    let needed = counts.find(|count| moved.get(..*count).is_some_and(&is_enough))?;
    moved.get(needed - 1).map(|one| one.happened_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction(id: &str, direction: Direction, value: &str) -> Transaction {
        Transaction {
            id: id.into(),
            direction,
            external_id: Some("ORD-1".into()),
            amount: Money {
                value: value.into(),
                currency: "RUB".into(),
            },
            is_net: false,
            status: TransactionStatus::Succeeded,
            happened_at: UnixMillis(1),
        }
    }

    #[test]
    fn words_read_back() {
        for direction in [Direction::In, Direction::Out] {
            assert_eq!(Direction::parse(direction.as_str()), Some(direction));
        }
        for status in TransactionStatus::ALL {
            assert_eq!(TransactionStatus::parse(status.as_str()), Some(status));
        }
        assert_eq!(TransactionStatus::parse("SUCCEEDED"), None);
    }

    #[test]
    fn an_invoice_is_paid_when_enough_has_come_and_not_when_more_does() {
        let mut parts = ["1", "2", "3"].map(|id| transaction(id, Direction::In, "50"));
        for (part, at) in parts.iter_mut().zip([30, 10, 20]) {
            part.happened_at = UnixMillis(at);
        }
        let at_least = |count: usize| enough_at(&parts, |came| came.len() >= count);
        assert_eq!(at_least(1), Some(UnixMillis(10)));
        assert_eq!(at_least(2), Some(UnixMillis(20)));
        assert_eq!(at_least(4), None);
    }

    #[test]
    fn a_refund_without_a_label_goes_with_its_payment() {
        let mut refund = transaction("1", Direction::Out, "5");
        refund.external_id = None;
        let mut unlabelled = transaction("2", Direction::In, "5");
        unlabelled.external_id = None;
        let payment = transaction("1", Direction::In, "5");
        let grouped = by_label(vec![refund.clone(), unlabelled, payment.clone()]);
        let expected = HashMap::from([("ORD-1".into(), vec![refund, payment])]);
        assert_eq!(grouped, expected);
    }

    #[test]
    fn sums_are_of_what_moved_in_one_direction_and_currency() {
        let mut refused = transaction("3", Direction::In, "50");
        refused.status = TransactionStatus::Refused;
        let mut stars = transaction("4", Direction::In, "7");
        stars.amount.currency = "XTR".into();
        let all = [
            transaction("1", Direction::In, "0.10"),
            transaction("2", Direction::In, "0.2"),
            refused,
            stars,
            transaction("1", Direction::Out, "0.10"),
        ];
        let sum = |direction| moved_sum(&all, direction, None).map(|sum| sum.value);
        assert_eq!(sum(Direction::In).as_deref(), Some("0.30"));
        assert_eq!(sum(Direction::Out).as_deref(), Some("0.10"));
        let like = &all[3].amount;
        let stars = moved_sum(&all, Direction::In, Some(like)).unwrap();
        assert_eq!(
            (stars.value.as_str(), stars.currency.as_str()),
            ("7", "XTR")
        );
        assert_eq!(moved_sum(&[], Direction::In, Some(like)), None);
    }
}
