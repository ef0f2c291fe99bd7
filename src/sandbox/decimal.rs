//! Decimals in the providers' format: exact, never a float.

use std::str::FromStr as _;

use bigdecimal::num_bigint::Sign;
use bigdecimal::{BigDecimal, RoundingMode};
use serde_json::{Number, Value};

/// Parses a plain decimal above zero.
pub(super) fn positive(text: &str) -> Result<BigDecimal, String> {
    let plain = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let read = BigDecimal::from_str(text).ok().filter(|_| plain);
    let value = read.ok_or_else(|| format!("{text:?} is not a plain decimal such as \"1.00\""))?;
    if value.sign() == Sign::Plus {
        Ok(value)
    } else {
        Err(format!("{text:?} is not above zero"))
    }
}

/// Rounded half up to `digits` after the point.
pub(super) fn rounded(value: &BigDecimal, digits: i64) -> BigDecimal {
    value.with_scale_round(digits, RoundingMode::HalfUp)
}

/// Without trailing zeros and without an exponent: `1.5`, `300`.
pub(super) fn shortest(value: &BigDecimal) -> String {
    value.normalized().to_plain_string()
}

/// With exactly `digits` after the point.
pub(super) fn fixed(value: &BigDecimal, digits: i64) -> String {
    rounded(value, digits).to_plain_string()
}

/// As a JSON number.
pub(super) fn number(value: &BigDecimal) -> Value {
    Number::from_str(&shortest(value)).map_or(Value::Null, Value::Number)
}

/// `share` hundredths of `value`.
pub(super) fn percent(value: &BigDecimal, share: u32) -> BigDecimal {
    value * BigDecimal::from(share) / BigDecimal::from(100)
}
