//! One value of a row, of the types that our tables hold: nothing, a number or a text.

use serde::{Deserialize, Deserializer, de};

use crate::domain::time::UnixMillis;

/// One value.
pub(super) enum CellValue {
    Null,
    Number(i64),
    Text(String),
}

impl CellValue {
    pub(super) fn text(self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Text(text) => Some(text),
            Self::Number(number) => Some(number.to_string()),
        }
    }

    /// The number; the error names the actual type.
    pub(super) fn number(self) -> Result<Option<i64>, String> {
        match self {
            Self::Null => Ok(None),
            Self::Number(number) => Ok(Some(number)),
            Self::Text(text) => Err(format!("'{text}' where a number belongs")),
        }
    }

    /// Like `number`.
    pub(super) fn time(self) -> Result<Option<UnixMillis>, String> {
        Ok(self.number()?.map(UnixMillis))
    }
}

impl<'de> Deserialize<'de> for CellValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CellValueVisitor)
    }
}

struct CellValueVisitor;

impl de::Visitor<'_> for CellValueVisitor {
    type Value = CellValue;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a text, an integer or null")
    }

    fn visit_unit<E>(self) -> Result<CellValue, E> {
        Ok(CellValue::Null)
    }

    fn visit_i64<E>(self, number: i64) -> Result<CellValue, E> {
        Ok(CellValue::Number(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<CellValue, E> {
        let number = i64::try_from(number).map_err(E::custom)?;
        Ok(CellValue::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<CellValue, E> {
        Ok(CellValue::Text(text.to_owned()))
    }
}
