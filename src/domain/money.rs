//! Money: a plain decimal and a currency code, both kept as the text that was given.
//!
//! Never a float: rates have up to 19 digits after the point. Compared by value, so `1.0` agrees
//! with `1.00`; shown exactly as it came.

use bigdecimal::BigDecimal;

/// Longest decimal that is read, in characters. Real ones stay under 40.
const LONGEST_DECIMAL: usize = 64;

/// An amount in one currency. The code is open text: providers add and rename currencies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Money {
    /// A plain decimal, as written by whoever named it.
    pub value: String,
    /// Currency code, as on the wire: `USD`, `TON`.
    pub currency: String,
}

impl Money {
    /// Whether both are the same sum: equal value, same currency. TON and GRAM are one currency
    /// (Toncoin took the ticker GRAM on 15 June 2026). A value that is no decimal agrees with
    /// nothing.
    pub fn agrees_with(&self, other: &Self) -> bool {
        same_currency(&self.currency, &other.currency) && same_value(&self.value, &other.value)
    }

    /// Whether this is the greater sum of the same currency.
    pub fn exceeds(&self, other: &Self) -> bool {
        let values = (parse(&self.value), parse(&other.value));
        let is_greater = matches!(values, (Some(ours), Some(theirs)) if ours > theirs);
        same_currency(&self.currency, &other.currency) && is_greater
    }

    /// Whether there is any.
    pub fn is_positive(&self) -> bool {
        parse(&self.value).is_some_and(|value| value > 0)
    }
}

/// A plain decimal and a currency code in the one spelling that all equal sums share: no needless
/// zeros, one name for a currency. None for what is no plain decimal.
pub fn canonical<'a>(value: &'a str, currency: &'a str) -> Option<(&'a str, &'a str, &'a str)> {
    if !is_plain_decimal(value) {
        return None;
    }
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    Some((
        whole.trim_start_matches('0'),
        fraction.trim_end_matches('0'),
        canonical_currency(currency),
    ))
}

/// Whether two plain decimals have the same value.
pub fn same_value(a: &str, b: &str) -> bool {
    match (parse(a), parse(b)) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

/// Whether two codes name one currency.
pub fn same_currency(a: &str, b: &str) -> bool {
    canonical_currency(a) == canonical_currency(b)
}

/// The sum of plain decimals, as one. None for no values, and where one is no plain decimal.
pub fn sum<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut total: Option<BigDecimal> = None;
    for value in values {
        let value = parse(value)?;
        total = Some(match total {
            Some(total) => total + value,
            None => value,
        });
    }
    total.map(|total| total.to_plain_string())
}

/// Whether `text` is a plain decimal: digits, at most one point with digits on both sides, no
/// sign, no exponent.
pub fn is_plain_decimal(text: &str) -> bool {
    let (whole, fraction) = text
        .split_once('.')
        .map_or((text, None), |(w, f)| (w, Some(f)));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    text.len() <= LONGEST_DECIMAL && digits(whole) && fraction.is_none_or(digits)
}

fn parse(text: &str) -> Option<BigDecimal> {
    is_plain_decimal(text).then(|| text.parse().ok())?
}

fn canonical_currency(code: &str) -> &str {
    if code == "GRAM" { "TON" } else { code }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(value: &str, currency: &str) -> Money {
        Money {
            value: value.into(),
            currency: currency.into(),
        }
    }

    #[test]
    fn amounts_agree_by_value() {
        assert!(money("1.0", "USD").agrees_with(&money("1.00", "USD")));
        assert!(money("0.100000340", "TON").agrees_with(&money("0.10000034", "GRAM")));
        assert!(!money("1.00", "USD").agrees_with(&money("1.00", "EUR")));
        assert!(!money("0.1000000000000000001", "TON").agrees_with(&money("0.1", "TON")));
        assert!(!money("", "USD").agrees_with(&money("", "USD")));
    }

    #[test]
    fn sums_are_plain_decimals_and_compared_by_value() {
        assert_eq!(sum(["0.10", "0.2", "12"]).as_deref(), Some("12.30"));
        let long = ["0.1000000000000000001", "99999999999999999999"];
        let total = "99999999999999999999.1000000000000000001";
        assert_eq!(sum(long).as_deref(), Some(total));
        assert_eq!(sum(["1", "x"]), None);
        assert_eq!(sum([]), None);
        assert!(money("1.01", "USD").exceeds(&money("1.0", "USD")));
        assert!(money("10", "USD").exceeds(&money("9", "USD")));
        assert!(!money("1.00", "USD").exceeds(&money("1", "USD")));
        assert!(!money("2", "EUR").exceeds(&money("1", "USD")));
    }

    #[test]
    fn equal_sums_have_one_spelling() {
        for (a, b) in [("1.0", "1.00"), ("01", "1"), ("0.10", "00.1"), ("0", "0.0")] {
            assert_eq!(canonical(a, "TON"), canonical(b, "GRAM"), "{a} {b}");
        }
        assert_ne!(canonical("1", "USD"), canonical("10", "USD"));
        assert_ne!(canonical("1.1", "USD"), canonical("11", "USD"));
        assert_eq!(canonical("1e3", "USD"), None);
    }

    #[test]
    fn only_plain_decimals_are_read() {
        for good in ["0", "1", "1.00", "0.0017462023476135017", "007.5"] {
            assert!(is_plain_decimal(good), "{good}");
        }
        for bad in [
            "", ".", "1.", ".5", "-1", "+1", "1e3", "1,00", "1.0.0", " 1", "NaN", "١",
        ] {
            assert!(!is_plain_decimal(bad), "{bad}");
        }
    }
}
