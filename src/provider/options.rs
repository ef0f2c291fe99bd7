//! The column `options` of an invoice, read for the provider whose own fields it holds, and the rules that
//! fields of a creation have at every provider. Each complaint is one line that names its field.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::text::one_line;

/// Reads the object of `options`, none of it when the column is empty. `T` keeps its fields raw, so that
/// each complaint can name its key; `accepted` are the keys that there are.
pub(super) fn read_options<'a, T: Deserialize<'a>>(
    json: Option<&'a str>,
    accepted: &str,
) -> Result<T, String> {
    read_object("options", json.unwrap_or("{}"), accepted)
}

/// Reads a JSON object that is called `name`. Alone, serde would take an array for it.
pub(super) fn read_object<'a, T: Deserialize<'a>>(
    name: &str,
    json: &'a str,
    accepted: &str,
) -> Result<T, String> {
    if !json.trim_ascii_start().starts_with('{') {
        return Err(format!("{name}: not a JSON object; keys: {accepted}"));
    }
    // serde names the key that is unknown or stands twice.
    serde_json::from_str(json).map_err(|error| {
        let error = one_line(&error.to_string());
        format!("{name}: {error}; keys: {accepted}")
    })
}

/// An option that is a text of so many characters. Null is the same as absent.
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

/// An option that is true or false.
pub(super) fn flag_option(key: &str, token: Option<&RawValue>) -> Result<Option<bool>, String> {
    let Some(token) = token else { return Ok(None) };
    serde_json::from_str(token.get())
        .map(Some)
        .map_err(|_| format!("options.{key}: expected true, false or null"))
}

/// Counts characters.
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
