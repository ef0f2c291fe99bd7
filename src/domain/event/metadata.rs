//! The shop's own JSON in an event.

use serde_json::value::RawValue;

/// The shop's JSON on one line, with numbers unchanged; `{}` if it gave none. Text that the shop's
/// SQLite accepted as JSON, but that is invalid, is written as a string.
pub(super) fn one_line_json(text: Option<&str>) -> Box<RawValue> {
    let text = text.unwrap_or("{}");
    // In valid JSON, a raw line break occurs only between tokens, never within a string.
    let line = text.trim().replace(['\r', '\n'], " ");
    RawValue::from_string(without_half_pairs(&line))
        .or_else(|_| serde_json::value::to_raw_value(text))
        .unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Replaces an escape of half a surrogate pair by `\ufffd`: JSON's grammar allows it, but many
/// parsers reject the whole text because of it.
fn without_half_pairs(json: &str) -> String {
    let mut whole = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(place) = rest.find('\\') {
        let (before, escape) = rest.split_at(place);
        let (length, instead) = match (utf16_unit(escape), escape.get(6..).and_then(utf16_unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, None),
            (Some(0xd800..=0xdfff), _) => (6, Some("\\ufffd")),
            (Some(_), _) => (6, None),
            (None, _) => (2, None),
        };
        let (escape, after) = escape.split_at_checked(length).unwrap_or((escape, ""));
        whole.push_str(before);
        whole.push_str(instead.unwrap_or(escape));
        rest = after;
    }
    whole.push_str(rest);
    whole
}

/// The code unit of `\uXXXX` at the start of a text.
fn utf16_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u16::from_str_radix(digits, 16).ok())?
}
