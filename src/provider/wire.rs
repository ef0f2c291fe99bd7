//! Lenient parsing of the JSON that providers write.
//!
//! Every field is first taken as raw JSON, so a field of a wrong type never invalidates the rest
//! and no number goes through a float. A duplicate of a known field is an error, since two ids or
//! two states are ambiguous. Unknown fields are ignored. A field with an unusable value is None
//! here; where that differs from an absent one (an order's amount), the caller checks the raw value
//! itself.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::invoice::ExternalId;
use crate::domain::money::plain;
use crate::domain::time::UnixMillis;

/// Longest order id that is parsed, in characters. Real ones have up to 36.
const LONGEST_ID: usize = 255;
/// Longest external id, in characters.
const LONGEST_EXTERNAL_ID: usize = 255;
/// Longest currency code that is parsed, in characters.
const LONGEST_CURRENCY: usize = 32;
/// Longest link that is parsed, in characters.
const LONGEST_LINK: usize = 2048;

/// The raw value of a field; None if absent or null.
pub type Raw<'a> = Option<&'a RawValue>;

/// Why a body is not an object.
#[derive(Debug, thiserror::Error)]
pub enum NotAnObject {
    /// Valid JSON of another type.
    #[error("not a JSON object")]
    OtherJson,
    /// Invalid JSON.
    #[error("broken JSON: {0}")]
    Broken(serde_json::Error),
}

impl NotAnObject {
    /// Whether it is valid JSON.
    pub fn is_json(&self) -> bool {
        match self {
            Self::OtherJson => true,
            Self::Broken(error) => error.is_data(),
        }
    }
}

/// The text of a body, without a byte order mark.
pub fn body_text(body: &[u8]) -> Result<&str, String> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    std::str::from_utf8(body).map_err(|_| "not UTF-8".to_owned())
}

/// The text of a body, with a sign in place of each part that is not UTF-8, and that sign. It occurs
/// nowhere else in the text, so what has it was not readable.
pub fn mended_text(body: &[u8]) -> (Cow<'_, str>, Option<char>) {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if let Ok(text) = std::str::from_utf8(body) {
        return (Cow::Borrowed(text), None);
    }
    let valid: String = body.utf8_chunks().map(|chunk| chunk.valid()).collect();
    let sign = ('\u{fff0}'..=char::REPLACEMENT_CHARACTER)
        .rev()
        .chain('\u{f0000}'..='\u{ffffd}')
        .find(|sign| !valid.contains(*sign))
        .unwrap_or(char::REPLACEMENT_CHARACTER);
    let mut text = String::with_capacity(body.len());
    for chunk in body.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push(sign);
        }
    }
    (Cow::Owned(text), Some(sign))
}

/// Parses an object; serde by itself would accept an array in its place.
pub fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, NotAnObject> {
    if json.trim_ascii_start().starts_with('{') {
        return serde_json::from_str(json).map_err(NotAnObject::Broken);
    }
    match serde_json::from_str::<&RawValue>(json) {
        Ok(_) => Err(NotAnObject::OtherJson),
        Err(error) => Err(NotAnObject::Broken(error)),
    }
}

/// The raw items of an array. None if it is not an array.
pub fn array<'a>(token: Raw<'a>) -> Option<Vec<&'a RawValue>> {
    let token = token?.get();
    let items: Vec<&'a RawValue> = serde_json::from_str(token).ok()?;
    Some(items)
}

/// The text of a string, or the digits of a number. None for the empty text too, which has no
/// meaning in any of these APIs.
pub fn text(token: Raw<'_>) -> Option<Cow<'_, str>> {
    let token = token?.get();
    let inner = token
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let text = match inner {
        Some(inner) if !inner.contains('\\') => Cow::Borrowed(inner),
        Some(_) => Cow::Owned(serde_json::from_str(token).ok()?),
        None if token.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => Cow::Borrowed(token),
        None => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// The text of a string; None for a number.
pub fn word(token: Raw<'_>) -> Option<Cow<'_, str>> {
    text(token).filter(|_| token.is_some_and(|token| token.get().starts_with('"')))
}

/// A boolean, also as a text (`"true"`).
pub fn boolean(token: Raw<'_>) -> Option<bool> {
    match token?.get() {
        "true" | "\"true\"" => Some(true),
        "false" | "\"false\"" => Some(false),
        _ => None,
    }
}

/// A decimal as written, text or number, with or without an exponent.
pub fn decimal(token: Raw<'_>) -> Option<String> {
    let decimal = text(token)?;
    let is_decimal = plain(&decimal).is_some();
    is_decimal.then(|| decimal.into_owned())
}

/// A currency code: any text, because codes change.
pub fn currency(token: Raw<'_>) -> Option<String> {
    let code = text(token)?;
    let is_code = code.len() <= LONGEST_CURRENCY && code.bytes().all(|b| b.is_ascii_alphanumeric());
    is_code.then(|| code.into_owned())
}

/// An RFC 3339 time.
pub fn time(token: Raw<'_>) -> Option<UnixMillis> {
    UnixMillis::parse(&text(token)?)
}

/// A link that can be shown to people.
pub fn link(token: Raw<'_>) -> Option<String> {
    let link = text(token)?;
    let (scheme, rest) = link.split_once("://")?;
    let is_known = matches!(scheme, "https" | "http" | "tg");
    let is_plain = link.len() <= LONGEST_LINK && link.bytes().all(|b| b.is_ascii_graphic());
    let names_a_place = rest.starts_with(|first: char| first.is_ascii_alphanumeric());
    (is_known && is_plain && names_a_place).then(|| link.into_owned())
}

/// An order id: a text of letters, digits, `-` and `_`, or a number of digits only, kept digit by
/// digit.
pub fn order_id(token: Raw<'_>) -> Result<Cow<'_, str>, String> {
    let id = text(token).ok_or_else(|| "order without an id".to_owned())?;
    let is_id = id
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    // A number with a sign or an exponent passes the character check (`-5`, `1E5`): only digits are
    // allowed.
    let is_text = token.is_some_and(|token| token.get().starts_with('"'));
    let is_whole = is_text || id.bytes().all(|b| b.is_ascii_digit());
    if is_id && is_whole && id.len() <= LONGEST_ID {
        Ok(id)
    } else {
        Err("invalid order id".to_owned())
    }
}

/// An external id. One that no shop of ours can have stays different from all valid ones.
pub fn external_id(text: &str) -> ExternalId {
    let mut id: String = text
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if let Some((end, _)) = id.char_indices().nth(LONGEST_EXTERNAL_ID) {
        id.truncate(end);
        id.pop();
        id.push('\u{fffd}');
    }
    ExternalId(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn numbers_and_texts_keep_every_digit() {
        for (json, read) in [
            ("0.10", Some("0.10")),
            ("\"0.10\"", Some("0.10")),
            ("1.7E-7", Some("1.7E-7")),
            (
                "0.1000000000000000055511151231257827",
                Some("0.1000000000000000055511151231257827"),
            ),
            ("\"1,00\"", None),
            ("\"\"", None),
            ("true", None),
        ] {
            assert_eq!(decimal(Some(raw(json))).as_deref(), read, "{json}");
        }
        assert_eq!(word(Some(raw("5"))), None);
        assert_eq!(boolean(Some(raw("\"true\""))), Some(true));
        assert_eq!(boolean(Some(raw("1"))), None);
    }

    #[test]
    fn what_is_no_text_is_marked_by_a_sign_that_nothing_else_has() {
        assert_eq!(mended_text("\u{feff}я".as_bytes()), ("я".into(), None));
        let (text, sign) = mended_text(b"a\xd0b\xef\xbf\xbdc");
        let sign = sign.unwrap();
        assert_ne!(sign, '\u{fffd}');
        assert_eq!(text, format!("a{sign}b\u{fffd}c"));
    }

    #[test]
    fn items_of_an_array_are_read_one_by_one() {
        let items = array(Some(raw("[1, {\"a\":2}]"))).unwrap();
        assert_eq!(items[1].get(), "{\"a\":2}");
        assert!(array(Some(raw("{}"))).is_none());
        assert!(array(None).is_none());
    }
}
