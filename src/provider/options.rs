//! Parses the column `options` of an invoice, which has the provider's own fields, and checks what is
//! common to the fields of a creation. Each error is one line that names its field.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::text::one_line;

/// Parses the object in `options`; an empty column means no options. `T` keeps its fields raw, so
/// that each error can name its key; `accepted` lists the valid keys.
pub(super) fn read_options<'a, T: Deserialize<'a>>(
    json: Option<&'a str>,
    accepted: &str,
) -> Result<T, String> {
    read_object("options", json.unwrap_or("{}"), accepted)
}

/// Parses a JSON object; errors call it `name`. serde alone would accept an array instead.
pub(super) fn read_object<'a, T: Deserialize<'a>>(
    name: &str,
    json: &'a str,
    accepted: &str,
) -> Result<T, String> {
    if !json.trim_ascii_start().starts_with('{') {
        return Err(format!("{name}: not a JSON object; keys: {accepted}"));
    }
    // serde names an unknown or duplicate key.
    serde_json::from_str(json).map_err(|error| {
        let error = one_line(&error.to_string());
        format!("{name}: {error}; keys: {accepted}")
    })
}

/// A text option with a length in `allowed`, in characters. Null is the same as absent.
pub(super) fn text_option(
    key: &str,
    token: Option<&RawValue>,
    allowed: RangeInclusive<usize>,
) -> Result<Option<String>, String> {
    let Some(token) = token else { return Ok(None) };
    let text: String = serde_json::from_str(token.get())
        .map_err(|_| format!("options.{key}: expected a text or null"))?;
    check_length(&format!("options.{key}"), &text, allowed)?;
    Ok(Some(text))
}

/// A boolean option. Null is the same as absent.
pub(super) fn flag_option(key: &str, token: Option<&RawValue>) -> Result<Option<bool>, String> {
    let Some(token) = token else { return Ok(None) };
    serde_json::from_str(token.get())
        .map(Some)
        .map_err(|_| format!("options.{key}: expected true, false or null"))
}

/// Checks the length of `text` in characters.
pub(super) fn check_length(
    name: &str,
    text: &str,
    allowed: RangeInclusive<usize>,
) -> Result<(), String> {
    let length = text.chars().count();
    if allowed.contains(&length) {
        return Ok(());
    }
    let expected = match allowed.into_inner() {
        (0, most) => format!("at most {most}"),
        (least, most) => format!("{least} to {most}"),
    };
    Err(format!("{name}: {length} characters, expected {expected}"))
}
