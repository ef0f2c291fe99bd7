//! Parses a page of `operation-history`. Errors come with HTTP 200, as `error`.

use serde::Deserialize;

use crate::domain::money::Money;
use crate::domain::time::UnixMillis;
use crate::domain::transaction::{Direction, Transaction, TransactionStatus};
use crate::provider::UnreadableEntry;
use crate::provider::wire::{Raw, array, currency, decimal, external_id, object, text, time, word};

/// The currency of a wallet.
pub(super) const ROUBLES: &str = "RUB";
/// Longest operation id that is parsed, in characters. Real ones have 18 digits and more.
const LONGEST_ID: usize = 64;

/// A page.
#[derive(Debug)]
pub(super) struct HistoryPage {
    /// Incoming operations.
    pub(super) transactions: Vec<Transaction>,
    /// Cursor of the next page; None on the last.
    pub(super) next_record: Option<String>,
    /// Time of the oldest operation on it that is in progress.
    pub(super) in_progress_at: Option<UnixMillis>,
    /// Operations that cannot be read.
    pub(super) unreadable: Vec<UnreadableEntry>,
}

/// Why an answer is not a page.
#[derive(Debug)]
pub(super) enum NotAPage {
    /// The provider's error code.
    Refused(String),
    /// It does not match the documentation.
    Malformed(String),
}

#[derive(Deserialize)]
struct HistoryWire<'a> {
    #[serde(borrow)]
    error: Raw<'a>,
    #[serde(borrow)]
    next_record: Raw<'a>,
    #[serde(borrow)]
    operations: Raw<'a>,
}

#[derive(Deserialize)]
struct OperationWire<'a> {
    #[serde(borrow)]
    operation_id: Raw<'a>,
    #[serde(borrow)]
    status: Raw<'a>,
    #[serde(borrow)]
    datetime: Raw<'a>,
    #[serde(borrow)]
    direction: Raw<'a>,
    #[serde(borrow)]
    amount: Raw<'a>,
    #[serde(borrow)]
    amount_currency: Raw<'a>,
    #[serde(borrow)]
    label: Raw<'a>,
}

/// Parses the page from the record `start` on. `broken` is the sign for what was not UTF-8.
pub(super) fn page(json: &str, start: u64, broken: Option<char>) -> Result<HistoryPage, NotAPage> {
    let malformed = |what: String| NotAPage::Malformed(what);
    let wire: HistoryWire<'_> = object(json).map_err(|error| malformed(error.to_string()))?;
    if let Some(word) = text(wire.error) {
        return Err(NotAPage::Refused(word.into_owned()));
    }
    let items = match wire.operations {
        // May be absent if there are no operations.
        None => Vec::new(),
        Some(_) => {
            array(wire.operations).ok_or_else(|| malformed("operations are no array".into()))?
        }
    };
    let mut page = HistoryPage {
        transactions: Vec::with_capacity(items.len()),
        next_record: next_record(wire.next_record).map_err(malformed)?,
        in_progress_at: None,
        unreadable: Vec::new(),
    };
    for (record, item) in (start..).zip(items) {
        let operation = match operation(item.get(), broken) {
            Ok(Some(operation)) => operation,
            Ok(None) => continue,
            Err(what) => {
                let place = format!("operation-history, start_record {record}");
                let entry = UnreadableEntry::new(place, what, item.get());
                page.unreadable.push(entry);
                continue;
            }
        };
        if operation.status == TransactionStatus::InProgress {
            let at = operation.happened_at;
            page.in_progress_at = Some(page.in_progress_at.map_or(at, |oldest| oldest.min(at)));
        }
        page.transactions.push(operation);
    }
    Ok(page)
}

fn next_record(token: Raw<'_>) -> Result<Option<String>, String> {
    let Some(next) = text(token) else {
        return Ok(None);
    };
    if next.len() <= LONGEST_ID && next.bytes().all(|b| b.is_ascii_digit()) {
        Ok(Some(next.into_owned()))
    } else {
        Err("next_record is no number".into())
    }
}

/// An incoming operation; None for any other.
fn operation(json: &str, broken: Option<char>) -> Result<Option<Transaction>, String> {
    let is_broken = |text: &str| broken.is_some_and(|sign| text.contains(sign));
    let wire: OperationWire<'_> = object(json).map_err(|error| error.to_string())?;
    if word(wire.direction).as_deref() != Some("in") {
        return Ok(None);
    }
    let id = text(wire.operation_id)
        .filter(|id| id.len() <= LONGEST_ID && !is_broken(id))
        .ok_or("an operation without an id")?;
    let label = text(wire.label);
    if label.as_ref().is_some_and(|label| is_broken(label)) {
        return Err(format!("a label that is not UTF-8: {id}"));
    }
    let happened_at =
        time(wire.datetime).ok_or_else(|| format!("an operation without a time: {id}"))?;
    let amount =
        decimal(wire.amount).ok_or_else(|| format!("an operation without an amount: {id}"))?;
    let status = match word(wire.status).as_deref() {
        Some("success") => TransactionStatus::Succeeded,
        Some("refused") => TransactionStatus::Refused,
        // An unknown status decides nothing yet.
        Some(_) | None => TransactionStatus::InProgress,
    };
    Ok(Some(Transaction {
        id: id.as_ref().into(),
        direction: Direction::In,
        external_id: label.map(|label| external_id(&label)),
        amount: Money {
            value: amount,
            currency: currency(wire.amount_currency).unwrap_or_else(|| ROUBLES.into()),
        },
        is_net: true,
        status,
        happened_at,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incoming_operations_of_any_type_are_read() {
        let read = page(
            r#"{"next_record":"30","operations":[
            {"operation_id":"752413347835145104","amount":145.5,"direction":"in","datetime":"2023-11-04T11:42:27Z","label":"b5","status":"success","type":"deposition","amount_currency":"RUB"},
            {"operation_id":1234567890123456789,"pattern_id":"p2p","amount":990.09,"direction":"in","datetime":"2026-08-13T17:32:11.000+03:00","label":"","status":"in_progress","type":"incoming-transfer"},
            {"operation_id":"7","amount":500,"direction":"out","datetime":"2011-03-11T20:43:00.000+03:00","status":"success","type":"payment-shop"}]}"#,
            0,
            None,
        )
        .unwrap();
        let told: Vec<_> = read
            .transactions
            .iter()
            .map(|one| {
                let label = one.external_id.as_ref().map(|label| label.0.as_str());
                (
                    one.id.0.as_str(),
                    one.amount.value.as_str(),
                    label,
                    one.status,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (
                    "752413347835145104",
                    "145.5",
                    Some("b5"),
                    TransactionStatus::Succeeded
                ),
                (
                    "1234567890123456789",
                    "990.09",
                    None,
                    TransactionStatus::InProgress
                ),
            ]
        );
        assert_eq!(read.next_record.as_deref(), Some("30"));
        assert_eq!(
            read.in_progress_at,
            UnixMillis::parse("2026-08-13T14:32:11Z")
        );
    }

    #[test]
    fn an_error_in_a_200_keeps_the_providers_code() {
        let refused = page(r#"{"error":"illegal_param_label"}"#, 0, None);
        assert!(matches!(refused, Err(NotAPage::Refused(word)) if word == "illegal_param_label"));
        assert!(page("{}", 0, None).unwrap().transactions.is_empty());
        for spoilt in ["[]", r#"{"operations":{}}"#, r#"{"next_record":"x"}"#] {
            assert!(
                matches!(page(spoilt, 0, None), Err(NotAPage::Malformed(_))),
                "{spoilt}"
            );
        }
    }

    #[test]
    fn an_incoming_operation_that_cannot_be_read_is_left_out_alone() {
        for (spoilt, is_left_out) in [
            (r#"{"direction":"in"}"#, true),
            (
                r#"{"direction":"in","operation_id":"1","datetime":"2026-1-1","amount":1}"#,
                true,
            ),
            (
                r#"{"direction":"in","operation_id":"1","datetime":"2026-01-01T00:00:00Z","amount":1,"label":"A?"}"#,
                true,
            ),
            (r#"{"direction":"out","title":"A?"}"#, false),
        ] {
            let good = r#"{"direction":"in","operation_id":"2","datetime":"2026-01-01T00:00:00Z","amount":1,"title":"A?"}"#;
            let json = format!(r#"{{"operations":[{good},{spoilt}]}}"#);
            let read = page(&json, 100, Some('?')).unwrap();
            assert_eq!(read.transactions.len(), 1, "{spoilt}");
            let places: Vec<&str> = read.unreadable.iter().map(|one| &*one.place).collect();
            let expected = ["operation-history, start_record 101"];
            assert_eq!(places, &expected[..usize::from(is_left_out)], "{spoilt}");
        }
    }
}
