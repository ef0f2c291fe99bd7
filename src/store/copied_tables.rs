//! The tables that a server takes over of a file, and what became of them.

use serde_json::{Map, Value};

/// Rows that travel at a time.
pub(super) const PAGE_ROWS: usize = 1000;

/// A table that both databases have.
pub(super) struct CopiedTable {
    pub(super) name: &'static str,
    pub(super) key: &'static [&'static str],
}

/// `meta` is not among them: most of it belongs to its database.
pub(super) const TABLES: &[CopiedTable] = &[
    CopiedTable {
        name: "invoices",
        key: &["id"],
    },
    CopiedTable {
        name: "used_keys",
        key: &["account", "external_id"],
    },
    CopiedTable {
        name: "transactions",
        key: &["account", "transaction_id", "direction"],
    },
    CopiedTable {
        name: "outbox",
        key: &["seq"],
    },
    CopiedTable {
        name: "consumers",
        key: &["name"],
    },
    CopiedTable {
        name: "accounts",
        key: &["name"],
    },
    CopiedTable {
        name: "findings",
        key: &["event_id"],
    },
];

/// What `copy` did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenOver {
    /// Rows of each table.
    pub rows: Vec<(&'static str, i64)>,
    /// The epoch, which goes on.
    pub epoch: String,
    /// The highest seq that was given out.
    pub highest_seq: i64,
    /// The server had all of it already: nothing was written.
    pub was_there: bool,
}

impl CopiedTable {
    /// The values of the key, as JSON.
    pub(super) fn key_of(&self, row: &Map<String, Value>) -> Value {
        let value = |column: &&str| row.get(*column).cloned().unwrap_or(Value::Null);
        self.key.iter().map(value).collect()
    }
}
