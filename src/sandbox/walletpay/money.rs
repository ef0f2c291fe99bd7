//! Amounts in the provider's format: a decimal text padded to all digits of its currency.
//!
//! Stored as whole numbers of the smallest unit; rates are decimals of up to 19 digits. No floats.

use std::fmt;

use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, RoundingMode};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// The currencies of the simulated provider. `GRAM` is Toncoin's name since June 2026.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum WalletPayCurrency {
    Ton,
    Gram,
    Not,
    Btc,
    Usdt,
    Usd,
    Eur,
    Rub,
}

impl WalletPayCurrency {
    pub const ALL: [WalletPayCurrency; 8] = [
        WalletPayCurrency::Ton,
        WalletPayCurrency::Gram,
        WalletPayCurrency::Not,
        WalletPayCurrency::Btc,
        WalletPayCurrency::Usdt,
        WalletPayCurrency::Usd,
        WalletPayCurrency::Eur,
        WalletPayCurrency::Rub,
    ];

    /// The code on the wire.
    pub const fn code(self) -> &'static str {
        match self {
            WalletPayCurrency::Ton => "TON",
            WalletPayCurrency::Gram => "GRAM",
            WalletPayCurrency::Not => "NOT",
            WalletPayCurrency::Btc => "BTC",
            WalletPayCurrency::Usdt => "USDT",
            WalletPayCurrency::Usd => "USD",
            WalletPayCurrency::Eur => "EUR",
            WalletPayCurrency::Rub => "RUB",
        }
    }

    /// The currency with this code, or an error with the accepted ones.
    pub fn parse(code: &str) -> Result<WalletPayCurrency, String> {
        let known = WalletPayCurrency::ALL
            .into_iter()
            .find(|currency| currency.code() == code);
        known.ok_or_else(|| {
            let codes = WalletPayCurrency::ALL
                .map(WalletPayCurrency::code)
                .join(", ");
            format!("{code:?} is not a known currency; expected: {codes}")
        })
    }

    /// Digits after the point.
    pub const fn digits(self) -> u32 {
        match self {
            WalletPayCurrency::Ton | WalletPayCurrency::Gram | WalletPayCurrency::Not => 9,
            WalletPayCurrency::Btc => 8,
            WalletPayCurrency::Usdt => 6,
            WalletPayCurrency::Usd | WalletPayCurrency::Eur | WalletPayCurrency::Rub => 2,
        }
    }

    pub const fn is_crypto(self) -> bool {
        match self {
            WalletPayCurrency::Ton
            | WalletPayCurrency::Gram
            | WalletPayCurrency::Not
            | WalletPayCurrency::Btc
            | WalletPayCurrency::Usdt => true,
            WalletPayCurrency::Usd | WalletPayCurrency::Eur | WalletPayCurrency::Rub => false,
        }
    }

    /// Minimum order, in smallest units. None is documented for NOT.
    const fn minimum(self) -> u64 {
        match self {
            WalletPayCurrency::Ton | WalletPayCurrency::Gram => 1_000_000,
            WalletPayCurrency::Not | WalletPayCurrency::Usd | WalletPayCurrency::Eur => 1,
            WalletPayCurrency::Btc => 100,
            WalletPayCurrency::Usdt => 10_000,
            WalletPayCurrency::Rub => 10,
        }
    }

    /// Approximate value of one unit, in millionths of a US dollar.
    const fn micro_usd(self) -> u64 {
        match self {
            WalletPayCurrency::Ton | WalletPayCurrency::Gram => 5_400_000,
            WalletPayCurrency::Not => 6_100,
            WalletPayCurrency::Btc => 65_000_000_000,
            WalletPayCurrency::Usdt | WalletPayCurrency::Usd => 1_000_000,
            WalletPayCurrency::Eur => 1_080_000,
            WalletPayCurrency::Rub => 10_700,
        }
    }
}

impl Serialize for WalletPayCurrency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// A positive amount in smallest units of its currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct WalletPayMoney {
    pub units: u64,
    pub currency: WalletPayCurrency,
}

impl WalletPayMoney {
    /// Parses a plain decimal. The error explains what is wrong with it.
    pub fn parse(text: &str, currency: WalletPayCurrency) -> Result<WalletPayMoney, String> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let has_fraction = text.contains('.');
        if whole.is_empty()
            || !all_digits(whole)
            || !all_digits(fraction)
            || (has_fraction && fraction.is_empty())
        {
            return Err(format!("{text:?} is not a plain decimal such as \"1.00\""));
        }
        let digits = currency.digits() as usize;
        if fraction.len() > digits {
            return Err(format!(
                "{text:?} has more than {digits} digits after the point, too many for {}",
                currency.code()
            ));
        }
        let units = format!("{whole}{fraction:0<digits$}")
            .parse()
            .map_err(|_| format!("{text:?} is larger than this sandbox can count"))?;
        if units == 0 {
            return Err(format!("{text:?} is not above zero"));
        }
        Ok(WalletPayMoney { units, currency })
    }

    /// Refuses an amount below the provider's minimum for an order.
    pub fn check_minimum(self) -> Result<(), String> {
        let least = WalletPayMoney {
            units: self.currency.minimum(),
            ..self
        };
        if self.units < least.units {
            return Err(format!(
                "{self} {code} is below the minimum of {least} {code}",
                code = self.currency.code()
            ));
        }
        Ok(())
    }

    fn decimal(self) -> BigDecimal {
        BigDecimal::new(BigInt::from(self.units), i64::from(self.currency.digits()))
    }
}

impl fmt::Display for WalletPayMoney {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.currency.digits();
        let unit = 10_u64.pow(digits);
        write!(
            f,
            "{}.{:0width$}",
            self.units / unit,
            self.units % unit,
            width = digits as usize
        )
    }
}

impl Serialize for WalletPayMoney {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("MoneyAmount", 2)?;
        object.serialize_field("currencyCode", &self.currency)?;
        object.serialize_field("amount", &format_args!("{self}"))?;
        object.end()
    }
}

/// The payer's choice: the list's `selectedPaymentOption`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PaymentOption {
    pub amount: WalletPayMoney,
    pub amount_fee: WalletPayMoney,
    pub amount_net: WalletPayMoney,
    pub exchange_rate: Box<str>,
}

impl PaymentOption {
    /// Pays `order` in `currency` at a random market rate.
    pub fn at_market(
        order: WalletPayMoney,
        currency: WalletPayCurrency,
        rng: &mut fastrand::Rng,
    ) -> Result<PaymentOption, String> {
        let rate = market_rate(order.currency, currency, rng);
        let paid = (order.decimal() * &rate)
            .with_scale_round(i64::from(currency.digits()), RoundingMode::HalfUp)
            .into_bigint_and_scale()
            .0;
        let units = u64::try_from(paid).map_err(|_| {
            format!(
                "{order} {} in {} is larger than this sandbox can count",
                order.currency.code(),
                currency.code()
            )
        })?;
        Ok(PaymentOption::of(
            WalletPayMoney {
                units: units.max(1),
                currency,
            },
            &rate,
        ))
    }

    /// Pays `order` with exactly `paid`; the rate follows from the two.
    pub fn of_amount(order: WalletPayMoney, paid: WalletPayMoney) -> PaymentOption {
        let rate = (paid.decimal() / order.decimal()).with_scale_round(19, RoundingMode::HalfUp);
        PaymentOption::of(paid, &rate)
    }

    /// The fee is 1 % rounded to the currency's digits, and net = amount - fee, exactly.
    fn of(amount: WalletPayMoney, rate: &BigDecimal) -> PaymentOption {
        let fee = amount.units / 100 + u64::from(amount.units % 100 >= 50);
        PaymentOption {
            amount,
            amount_fee: WalletPayMoney {
                units: fee,
                ..amount
            },
            amount_net: WalletPayMoney {
                units: amount.units - fee,
                ..amount
            },
            exchange_rate: rate.normalized().to_plain_string().into(),
        }
    }
}

/// Payment currency per unit of order currency, with 16 to 19 digits after the point as in real
/// answers.
fn market_rate(
    from: WalletPayCurrency,
    to: WalletPayCurrency,
    rng: &mut fastrand::Rng,
) -> BigDecimal {
    if from == to {
        return BigDecimal::from(1);
    }
    let swing = BigDecimal::new(
        BigInt::from(rng.u64(9_800_000_000_000_000_000..10_200_000_000_000_000_000)),
        19,
    );
    let rate = BigDecimal::from(from.micro_usd()) * swing / BigDecimal::from(to.micro_usd());
    rate.with_scale_round(rng.i64(16..=19), RoundingMode::HalfUp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(text: &str, currency: WalletPayCurrency) -> WalletPayMoney {
        WalletPayMoney::parse(text, currency).unwrap()
    }

    #[test]
    fn amounts_are_padded_to_the_currency() {
        assert_eq!(money("1", WalletPayCurrency::Usd).to_string(), "1.00");
        assert_eq!(
            money("0.10000034", WalletPayCurrency::Ton).to_string(),
            "0.100000340"
        );
        assert_eq!(
            serde_json::to_string(&money("40.0", WalletPayCurrency::Rub)).unwrap(),
            r#"{"currencyCode":"RUB","amount":"40.00"}"#
        );
    }

    #[test]
    fn an_invalid_amount_is_refused() {
        for text in [
            "",
            "1.",
            ".5",
            "-1",
            "1e3",
            "1,0",
            "0",
            "0.00",
            "0.001",
            "99999999999999999999999",
        ] {
            assert!(
                WalletPayMoney::parse(text, WalletPayCurrency::Usd).is_err(),
                "{text}"
            );
        }
        assert!(
            money("0.09", WalletPayCurrency::Rub)
                .check_minimum()
                .is_err()
        );
        assert!(
            money("0.10", WalletPayCurrency::Rub)
                .check_minimum()
                .is_ok()
        );
        assert!(
            money("0.000000999", WalletPayCurrency::Ton)
                .check_minimum()
                .unwrap_err()
                .contains("minimum of 0.001000000 TON")
        );
    }

    #[test]
    fn fee_and_net_agree_with_the_captured_event() {
        let option = PaymentOption::of_amount(
            money("40.00", WalletPayCurrency::Rub),
            money("0.069848094", WalletPayCurrency::Ton),
        );
        assert_eq!(option.amount_fee.to_string(), "0.000698481");
        assert_eq!(option.amount_net.to_string(), "0.069149613");
    }

    #[test]
    fn net_is_amount_minus_fee_and_rates_keep_their_digits() {
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..500 {
            let order = money("12.34", WalletPayCurrency::Eur);
            let to = [
                WalletPayCurrency::Ton,
                WalletPayCurrency::Usdt,
                WalletPayCurrency::Btc,
                WalletPayCurrency::Not,
            ][rng.usize(0..4)];
            let option = PaymentOption::at_market(order, to, &mut rng).unwrap();
            assert_eq!(
                option.amount.units,
                option.amount_fee.units + option.amount_net.units
            );
            let digits = option
                .exchange_rate
                .split_once('.')
                .map_or(0, |(_, fraction)| fraction.len());
            assert!(digits <= 19, "{}", option.exchange_rate);
        }
        let same = PaymentOption::at_market(
            money("1", WalletPayCurrency::Ton),
            WalletPayCurrency::Ton,
            &mut rng,
        )
        .unwrap();
        assert_eq!(&*same.exchange_rate, "1");
    }
}
