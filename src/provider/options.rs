//! Parses the column `options` of an invoice, which has the provider's own fields.

use serde::Deserialize;

use crate::domain::text::one_line;

/// Parses the object in `options`; an empty column means no options. `T` keeps its fields raw, so
/// that each error can name its key; `accepted` lists the valid keys. The error is one line.
pub(super) fn read_options<'a, T: Deserialize<'a>>(
    json: Option<&'a str>,
    accepted: &str,
) -> Result<T, String> {
    let json = json.unwrap_or("{}");
    if !json.trim_ascii_start().starts_with('{') {
        return Err(format!("options: not a JSON object; keys: {accepted}"));
    }
    // serde names an unknown or duplicate key.
    serde_json::from_str(json).map_err(|error| {
        let error = one_line(&error.to_string());
        format!("options: {error}; keys: {accepted}")
    })
}
