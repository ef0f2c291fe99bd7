//! Money: a decimal and a currency code, both kept as the text that was given.
//!
//! Never a float: rates have up to 19 digits after the point. Compared by value, so `1.0` agrees
//! with `1.00`, and `1.7E-7`, as Java and Python write it, with `0.00000017`; shown exactly as
//! received. Shops give plain decimals; only providers write exponents.

use std::borrow::Cow;

use bigdecimal::BigDecimal;

/// Longest decimal that is parsed, in characters. Real ones stay under 40.
const LONGEST_DECIMAL: usize = 64;
/// Largest exponent that is parsed, positive or negative. Real ones stay under 20.
const LARGEST_EXPONENT: usize = 64;

/// An amount in one currency. The code is open text: providers add and rename currencies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Money {
    /// A decimal, as received.
    pub value: String,
    /// Currency code, as on the wire: `USD`, `TON`.
    pub currency: String,
}

impl Money {
    /// Whether both are the same sum: equal value, same currency. A value that is not a decimal
    /// agrees with nothing.
    pub fn agrees_with(&self, other: &Self) -> bool {
        self.agrees_where(other, &[])
    }

    /// Like `agrees_with`, where a provider has several codes, `one_currency`, for one currency.
    pub fn agrees_where(&self, other: &Self, one_currency: &[&str]) -> bool {
        let is_of_it = |money: &Self| one_currency.contains(&money.currency.as_str());
        let is_same = self.currency == other.currency || is_of_it(self) && is_of_it(other);
        is_same && same_value(&self.value, &other.value)
    }

    /// Whether this is the greater sum of the same currency.
    pub fn exceeds(&self, other: &Self) -> bool {
        let values = (parse(&self.value), parse(&other.value));
        let is_greater = matches!(values, (Some(ours), Some(theirs)) if ours > theirs);
        self.currency == other.currency && is_greater
    }

    /// The same sum as a plain decimal, where it was written with an exponent.
    #[must_use]
    pub fn into_plain(self) -> Self {
        let value = plain(&self.value).map_or_else(|| self.value.clone(), Cow::into_owned);
        Self { value, ..self }
    }

    /// Whether the amount is above zero.
    pub fn is_positive(&self) -> bool {
        parse(&self.value).is_some_and(|value| value > 0)
    }
}

/// A decimal and a currency code in the canonical spelling of all equal sums: no needless zeros,
/// one code for a currency. None if the value is not a decimal.
pub fn canonical<'a>(value: &str, currency: &'a str) -> Option<(String, String, &'a str)> {
    let value = plain(value)?;
    let (whole, fraction) = value.split_once('.').unwrap_or((&value, ""));
    Some((
        whole.trim_start_matches('0').to_owned(),
        fraction.trim_end_matches('0').to_owned(),
        canonical_currency(currency),
    ))
}

/// Whether two decimals have the same value.
pub fn same_value(a: &str, b: &str) -> bool {
    match (parse(a), parse(b)) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

/// The sum of plain decimals, as a plain decimal. None if there are no values or one is not a plain
/// decimal.
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

/// `from` minus `taken`, as a plain decimal. None if one is not a decimal, or the result is
/// negative.
pub fn difference(from: &str, taken: &str) -> Option<String> {
    let left = parse(from)? - parse(taken)?;
    (left >= 0).then(|| left.to_plain_string())
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

/// Converts a decimal, with or without an exponent (`1.7E-7`, `1e1`), to a plain decimal of the
/// same value. None if it is not a decimal, or the exponent is out of range.
pub fn plain(text: &str) -> Option<Cow<'_, str>> {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else {
        return is_plain_decimal(text).then_some(Cow::Borrowed(text));
    };
    if text.len() > LONGEST_DECIMAL || !is_plain_decimal(mantissa) {
        return None;
    }
    let (is_negative, digits) = match exponent.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, exponent.strip_prefix('+').unwrap_or(exponent)),
    };
    let is_count = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let places: usize = is_count.then(|| digits.parse().ok())??;
    (places <= LARGEST_EXPONENT).then(|| Cow::Owned(shifted(mantissa, places, is_negative)))
}

/// Moves the point of a plain decimal by `places`, to the right or to the left.
fn shifted(decimal: &str, places: usize, to_the_left: bool) -> String {
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    let (digits, point) = if to_the_left {
        let width = places + 1;
        let whole = format!("{whole:0>width$}");
        (format!("{whole}{fraction}"), whole.len() - places)
    } else {
        let digits = format!("{whole}{fraction:0<places$}");
        (digits, whole.len() + places)
    };
    let (before, after) = digits.split_at(point);
    let before = before.trim_start_matches('0');
    let before = if before.is_empty() { "0" } else { before };
    if after.is_empty() {
        before.to_owned()
    } else {
        format!("{before}.{after}")
    }
}

fn parse(text: &str) -> Option<BigDecimal> {
    plain(text)?.parse().ok()
}

/// One spelling for a currency with several codes. Used only for the fingerprint of an observation,
/// so that a changed code alone is not a change; `Money` decides whether sums agree.
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
        let gram = money("0.10000034", "GRAM");
        assert!(!money("0.100000340", "TON").agrees_with(&gram));
        assert!(money("0.100000340", "TON").agrees_where(&gram, &["TON", "GRAM"]));
        assert!(!money("0.100000340", "NOT").agrees_where(&gram, &["TON", "GRAM"]));
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
        assert_eq!(difference("100.00", "96.50").as_deref(), Some("3.50"));
        assert_eq!(difference("1", "1.00").as_deref(), Some("0.00"));
        assert_eq!(difference("1", "1.01"), None);
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
        assert_eq!(canonical("1,5", "USD"), None);
        for (a, b) in [
            ("1.7E-7", "0.00000017"),
            ("0E-9", "0"),
            ("1E+1", "10"),
            ("12.50e1", "125"),
            ("100e-2", "1.0"),
        ] {
            assert_eq!(canonical(a, "USD"), canonical(b, "USD"), "{a} {b}");
        }
    }

    #[test]
    fn an_exponent_changes_the_spelling_and_not_the_value() {
        for (told, value) in [
            ("1.7E-7", "0.00000017"),
            ("0E-9", "0.000000000"),
            ("1E+1", "10"),
            ("1e1", "10"),
            ("1.25e1", "12.5"),
            ("12.5E-01", "1.25"),
            ("1e0", "1"),
            ("0.0017462023476135017e3", "1.7462023476135017"),
        ] {
            assert_eq!(plain(told).as_deref(), Some(value), "{told}");
            assert!(same_value(told, value), "{told}");
        }
        assert!(!same_value("1E+1", "1"));
        assert!(money("1E+1", "USD").agrees_with(&money("10.00", "USD")));
        let long = format!("1{}e1", "0".repeat(LONGEST_DECIMAL));
        for bad in [
            "e1",
            "1e",
            "1e+",
            "1e--1",
            "1e1.0",
            "1.e1",
            ".5e1",
            "-1e1",
            "1e65",
            "1e999999999999",
            "1e1e1",
            "1 e1",
            "0x1p3",
            &long,
        ] {
            assert_eq!(plain(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_plain_decimals_are_parsed() {
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
