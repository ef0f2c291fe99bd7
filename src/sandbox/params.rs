//! Parameters of a method: in the query, a form or JSON; each value may be a text, a number or a
//! boolean.

use bytes::Bytes;
use serde_json::{Map, Value};

/// The parameters by name; unknown ones are ignored.
pub(super) struct MethodParams(Map<String, Value>);

impl MethodParams {
    /// `None` if the body is neither JSON nor a form.
    pub fn read(query: &str, body: &Bytes) -> Option<MethodParams> {
        let mut params: Map<String, Value> = pairs(query.as_bytes()).collect();
        match body.trim_ascii() {
            [] => {}
            [b'{', ..] => params.extend(serde_json::from_slice::<Map<_, _>>(body).ok()?),
            [b'[' | b'"', ..] => return None,
            form => params.extend(pairs(form)),
        }
        Some(MethodParams(params))
    }

    /// An array counts as its items joined by commas, since the server is lenient.
    pub fn text(&self, name: &str) -> Option<String> {
        let text = match self.0.get(name)? {
            Value::Null => return None,
            Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
            one => plain(one),
        };
        (!text.is_empty()).then_some(text)
    }

    /// A JSON value, or a text that contains one.
    pub fn json(&self, name: &str) -> Option<Value> {
        match self.0.get(name)? {
            Value::String(text) => serde_json::from_str(text).ok(),
            other => Some(other.clone()),
        }
    }

    /// `Err` if it is not a whole number.
    pub fn whole(&self, name: &str) -> Result<Option<i64>, ()> {
        let text = self.text(name);
        text.map(|text| text.parse().map_err(drop)).transpose()
    }

    pub fn truth(&self, name: &str, usual: bool) -> bool {
        match self.text(name).as_deref() {
            Some("false" | "0" | "False") => false,
            Some(_) => true,
            None => usual,
        }
    }
}

fn pairs(encoded: &[u8]) -> impl Iterator<Item = (String, Value)> {
    url::form_urlencoded::parse(encoded)
        .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
