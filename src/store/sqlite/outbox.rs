//! The columns of `outbox`, each named once, and the statement that appends a batch of events.

use std::sync::LazyLock;

use crate::domain::decide::Decision;
use crate::domain::event::{self, Event};
use crate::store::json_rows::JsonRows;

/// An event to be written to the outbox.
pub(super) struct OutgoingEvent<'a> {
    pub(super) decision: &'a Decision,
    pub(super) event: &'a Event,
    pub(super) seq: i64,
    pub(super) prefix: &'a str,
    pub(super) epoch: &'a str,
}

/// The source of a column's value.
enum CellSource {
    /// The statement: the invoice, or a parameter.
    Sql(&'static str),
    /// A cell of the batch.
    Cell(fn(&mut JsonRows, &OutgoingEvent<'_>)),
}

/// The cells before those of the columns: `[id of the invoice, required version]`.
const HEADER: usize = 2;

const OUTBOX_COLUMNS: &[(&str, CellSource)] = &[
    ("seq", CellSource::Cell(|rows, row| rows.number(row.seq))),
    (
        "event_id",
        CellSource::Cell(|rows, row| rows.text(row.event.id().to_string().as_str())),
    ),
    ("epoch", CellSource::Sql("?2")),
    (
        "subject",
        CellSource::Cell(|rows, row| rows.text(row.subject().as_str())),
    ),
    (
        "type",
        CellSource::Cell(|rows, row| rows.text(row.event.event_type.as_str())),
    ),
    ("account", CellSource::Sql("invoices.account")),
    ("external_id", CellSource::Sql("invoices.external_id")),
    (
        "order_id",
        CellSource::Cell(|rows, row| {
            rows.text(row.event.facts.order_id.as_ref().map(|id| id.0.as_str()));
        }),
    ),
    (
        "status",
        CellSource::Cell(|rows, row| rows.text(row.event.facts.status.as_str())),
    ),
    (
        "previous_status",
        CellSource::Cell(|rows, row| rows.text(row.event.previous_status.as_str())),
    ),
    ("version", CellSource::Sql("event.value ->> 1 + 1")),
    (
        "payload",
        CellSource::Cell(|rows, row| rows.text(row.event.payload(row.seq, row.epoch).as_str())),
    ),
    ("created_at", CellSource::Sql("?3")),
];

/// Appends events of invoices that still have the version that was decided on.
pub(super) static APPEND: LazyLock<String> = LazyLock::new(|| {
    let (mut names, mut values, mut cells) = (Vec::new(), Vec::new(), HEADER..);
    for (name, source) in OUTBOX_COLUMNS {
        names.push(*name);
        values.push(match source {
            CellSource::Sql(sql) => (*sql).to_owned(),
            CellSource::Cell(_) => format!("event.value ->> {}", cells.next().unwrap_or_default()),
        });
    }
    format!(
        "INSERT INTO outbox ({})
         SELECT {}
           FROM jsonb_each(?1) AS event
           JOIN invoices ON invoices.id = event.value ->> 0
                        AND invoices.version = event.value ->> 1
          ORDER BY event.key",
        names.join(", "),
        values.join(", ")
    )
});

impl OutgoingEvent<'_> {
    /// Writes the cells of its row.
    pub(super) fn cells(&self, rows: &mut JsonRows) {
        rows.number(self.decision.row.id.0);
        rows.number(self.event.version - 1);
        for (_, source) in OUTBOX_COLUMNS {
            match source {
                CellSource::Sql(_) => {}
                CellSource::Cell(write) => write(rows, self),
            }
        }
    }

    fn subject(&self) -> String {
        event::subject(
            self.prefix,
            &self.event.account,
            self.event.event_type.as_str(),
        )
    }
}
