//! The column `options` of an invoice, read for the provider whose own fields it holds.

use serde::Deserialize;

use crate::domain::text::one_line;

/// Reads the object of `options`, none of it when the column is empty. `T` keeps its fields raw, so that
/// each complaint can name its key; `accepted` are the keys that there are. The error is one line.
pub(super) fn read_options<'a, T: Deserialize<'a>>(
    json: Option<&'a str>,
    accepted: &str,
) -> Result<T, String> {
    let json = json.unwrap_or("{}");
    if !json.trim_ascii_start().starts_with('{') {
        return Err(format!("options: not a JSON object; keys: {accepted}"));
    }
    // serde names the key that is unknown or stands twice.
    serde_json::from_str(json).map_err(|error| {
        let error = one_line(&error.to_string());
        format!("options: {error}; keys: {accepted}")
    })
}
