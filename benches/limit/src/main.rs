//! Raw SQLite on the rows that payrecond wrote: `limit commit DONE FRESH BATCH` writes the rows that
//! differ between two databases once more, `limit read DONE` prints the outbox.

#![expect(
    clippy::disallowed_methods,
    reason = "a measurement reads the machine's clock"
)]

use std::error::Error;
use std::io::{self, BufWriter, Write as _};
use std::time::Instant;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

/// What payrecond's own batch writes into `invoices`; `id` comes last, for the guard.
const SET: &str = "UPDATE invoices SET next_poll_at = ?, last_polled_at = ?, polls = ?, failures = ?,
    last_error = ?, version = ?, status = ?, reason = ?, order_id = ?, amount = ?, currency = ?,
    provider_status = ?, order_number = ?, pay_link = ?, direct_pay_link = ?, expires_at = ?,
    paid_at = ?, paid_amount = ?, paid_currency = ?, fee_amount = ?, net_amount = ?,
    exchange_rate = ?, create_sent_at = ?, ended_at = ?, not_found_since = ?, updated_at = ?, daemon_writes = daemon_writes + 1
    WHERE id = ? AND version = 0";
const READ: &str = "SELECT i.next_poll_at, i.last_polled_at, i.polls, i.failures, i.last_error,
    i.version, i.status, i.reason, i.order_id, i.amount, i.currency, i.provider_status,
    i.order_number, i.pay_link, i.direct_pay_link, i.expires_at, i.paid_at, i.paid_amount,
    i.paid_currency, i.fee_amount, i.net_amount, i.exchange_rate, i.create_sent_at, i.ended_at,
    i.not_found_since, i.updated_at, i.id
    FROM outbox AS o JOIN invoices AS i ON i.account = o.account AND i.external_id = o.external_id
    ORDER BY o.seq";
const EVENTS: &str = "SELECT seq, event_id, epoch, subject, type, account, external_id, order_id,
    status, previous_status, version, payload, created_at FROM outbox ORDER BY seq";
const APPEND: &str =
    "INSERT INTO outbox (seq, event_id, epoch, subject, type, account, external_id,
    order_id, status, previous_status, version, payload, created_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["commit", done, fresh, batch] => commit(done, fresh, batch.parse()?),
        ["read", done] => read(done),
        _ => Err("usage: limit commit DONE FRESH BATCH | limit read DONE".into()),
    }
}

/// Prints the seconds that writing took.
fn commit(done: &str, fresh: &str, batch: usize) -> Result<(), Box<dyn Error>> {
    let done = Connection::open(done)?;
    let (events, rows) = (cells(&done, EVENTS)?, cells(&done, READ)?);
    let mut fresh = Connection::open(fresh)?;
    fresh.pragma_update(None, "synchronous", "FULL")?;
    let began = Instant::now();
    for (events, rows) in events.chunks(batch).zip(rows.chunks(batch)) {
        let transaction =
            fresh.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        {
            let mut append = transaction.prepare_cached(APPEND)?;
            let mut update = transaction.prepare_cached(SET)?;
            for event in events {
                append.execute(params_from_iter(event))?;
            }
            for row in rows {
                if update.execute(params_from_iter(row))? != 1 {
                    return Err("a row was not as it was before".into());
                }
            }
        }
        transaction.commit()?;
    }
    println!("{} {}", rows.len(), began.elapsed().as_secs_f64());
    Ok(())
}

fn cells(from: &Connection, query: &str) -> rusqlite::Result<Vec<Vec<Value>>> {
    let mut statement = from.prepare(query)?;
    let columns = statement.column_count();
    let rows = statement.query_map((), |row| {
        (0..columns).map(|column| row.get(column)).collect()
    })?;
    rows.collect()
}

fn read(done: &str) -> Result<(), Box<dyn Error>> {
    let done = Connection::open(done)?;
    let mut statement = done.prepare("SELECT payload FROM outbox ORDER BY seq")?;
    let mut rows = statement.query(())?;
    let mut output = BufWriter::new(io::stdout().lock());
    while let Some(row) = rows.next()? {
        output.write_all(row.get_ref(0)?.as_bytes()?)?;
        output.write_all(b"\n")?;
    }
    Ok(output.flush()?)
}
