//! One operation of the wallet, shown net of commission.

use bigdecimal::BigDecimal;
use serde_json::{Value, json};

use crate::sandbox::decimal;
use crate::sandbox::ledger::TransactionView;
use crate::sandbox::moment::Moment;
use crate::sandbox::operation::SimulatedProvider;

pub(super) const STATUSES: [&str; 3] = ["success", "in_progress", "refused"];

/// The payment method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PayWay {
    Wallet,
    Card,
}

impl PayWay {
    /// The credited part of `sum`: a wallet pays 1 % on top of it, a card loses 3 %.
    pub fn net(self, sum: &BigDecimal) -> BigDecimal {
        let net = match self {
            PayWay::Wallet => sum * BigDecimal::from(100) / BigDecimal::from(101),
            PayWay::Card => sum * BigDecimal::from(97) / BigDecimal::from(100),
        };
        // A part of a kopeck is not credited.
        net.with_scale(2)
    }
}

#[derive(Debug, Clone)]
pub(super) struct WalletEntry {
    pub id: String,
    pub at: Moment,
    pub is_in: bool,
    pub sum: BigDecimal,
    pub way: PayWay,
    pub label: String,
    pub status: &'static str,
    /// The format of this operation's time: with a fraction, or in another zone.
    pub time_style: u8,
}

impl WalletEntry {
    fn shown(&self) -> BigDecimal {
        if self.is_in {
            self.way.net(&self.sum)
        } else {
            self.sum.clone()
        }
    }

    fn time(&self) -> String {
        let whole = self.at.truncated(0).to_string();
        match self.time_style {
            0 => self.at.to_millis_text(),
            1 => format!("{}+00:00", whole.trim_end_matches('Z')),
            _ => whole,
        }
    }

    /// An item of operation-history.
    pub fn object(&self) -> Value {
        let mut object = json!({
            "operation_id": self.id,
            "amount": decimal::number(&self.shown()),
            "amount_currency": "RUB",
            "datetime": self.time(),
            "status": self.status,
            "is_sbp_operation": false,
        });
        let (direction, kind, title) = match (self.is_in, self.way) {
            (true, PayWay::Card) => ("in", "deposition", "Пополнение с карты ****1234"),
            (true, PayWay::Wallet) => ("in", "incoming-transfer", "Перевод от 4100100000000"),
            (false, _) => ("out", "outgoing-transfer", "Перевод на счет 4100100000000"),
        };
        object["direction"] = direction.into();
        object["type"] = kind.into();
        object["title"] = title.into();
        if kind != "deposition" {
            object["pattern_id"] = "p2p".into();
        }
        if !self.label.is_empty() {
            object["label"] = self.label.as_str().into();
        }
        object
    }

    /// The answer of operation-details: no gross sum here either.
    pub fn details(&self) -> Value {
        let mut object = self.object();
        object["message"] = "Перевод по кнопке".into();
        object["codepro"] = false.into();
        if self.is_in {
            object["sender"] = "4100100000000".into();
        } else {
            object["recipient"] = "4100100000000".into();
            object["recipient_type"] = "account".into();
            object["amount_due"] = decimal::number(&self.sum);
            object["fee"] = 0.into();
        }
        object
    }

    pub fn view(&self) -> TransactionView {
        TransactionView {
            provider: SimulatedProvider::YooMoney,
            transaction_id: self.id.clone(),
            external_id: self.label.clone(),
            direction: if self.is_in { "in" } else { "out" },
            amount: decimal::fixed(&self.sum, 2),
            shown: decimal::fixed(&self.shown(), 2),
            currency: "RUB",
            status: self.status,
            date_time: self.at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_credited_sum_depends_on_the_payment_method() {
        let net = |way: PayWay, sum: u32| decimal::fixed(&way.net(&sum.into()), 2);
        assert_eq!(net(PayWay::Wallet, 1000), "990.09");
        assert_eq!(net(PayWay::Card, 1000), "970.00");
        assert_eq!(net(PayWay::Card, 150), "145.50");
    }
}
