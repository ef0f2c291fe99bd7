//! A batch in the form that a database receives: a JSON array of rows, each an array of cells.
//!
//! The tables of columns (`columns`, `outbox`, `transaction_columns`) define the cells.

use crate::domain::time::UnixMillis;

/// A JSON array of rows, written cell by cell: building a tree of values would take as long as
/// the database does.
pub(super) struct JsonRows {
    json: String,
}

impl JsonRows {
    pub(super) fn new() -> Self {
        Self { json: "[".into() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.json.len() == 1
    }

    /// Writes a row; `cells` writes its cells.
    pub(super) fn push(&mut self, cells: impl FnOnce(&mut Self)) {
        self.json.push('[');
        cells(self);
        self.close();
        self.json.push(',');
    }

    pub(super) fn number(&mut self, cell: impl Into<Option<i64>>) {
        match cell.into() {
            Some(number) => self.json.push_str(&number.to_string()),
            None => self.json.push_str("null"),
        }
        self.json.push(',');
    }

    pub(super) fn time(&mut self, cell: Option<UnixMillis>) {
        self.number(cell.map(|at| at.0));
    }

    pub(super) fn text<'t>(&mut self, cell: impl Into<Option<&'t str>>) {
        // A string cannot fail to serialize.
        let cell = serde_json::to_string(&cell.into()).unwrap_or_default();
        self.json.push_str(&cell);
        self.json.push(',');
    }

    pub(super) fn finish(mut self) -> String {
        self.close();
        self.json
    }

    /// Ends an array and removes its last comma.
    fn close(&mut self) {
        if self.json.ends_with(',') {
            self.json.pop();
        }
        self.json.push(']');
    }
}
