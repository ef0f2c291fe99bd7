//! What the outbox and the table of transactions must tell of a ledger in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use payrecond::domain::money::same_value;
use payrecond::domain::time::UnixMillis;
use payrecond::domain::transaction::Direction;
use serde_json::Value;

use crate::clock::BEGINNING;
use crate::ledger::book::{Book, Movement};
use crate::model::Verdict;
use crate::shop::{EventRow, InvoiceRow, TransactionRow};
use crate::world::{Wish, World};

/// What is older at the first start is neither kept nor told.
const READ_BACK: Duration = Duration::from_hours(24);

/// Today the daemon adds up what one page shows.
const ONE_READING_IS_ONE_SUM: bool = true;

/// What events said of one invoice's money.
struct Said {
    /// When `payment.paid` was observed, by virtual time.
    paid_at: Option<Duration>,
    further: Vec<String>,
    refunded: Vec<String>,
    /// The last sum received.
    received: Option<String>,
}

impl Said {
    fn of(row: &InvoiceRow, events: &[EventRow]) -> Self {
        let mut said = Self {
            paid_at: None,
            further: Vec::new(),
            refunded: Vec::new(),
            received: None,
        };
        let own = events
            .iter()
            .filter(|event| event.account == row.account && event.external_id == row.external_id);
        for event in own.filter(|event| event.version > 0) {
            let payload: Value = serde_json::from_str(&event.payload).unwrap();
            let data = &payload["data"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let transaction = text(&data["transaction_id"]);
            match event.kind.as_str() {
                "payment.paid" => {
                    let at = UnixMillis::parse(&text(&data["observed_at"])).unwrap();
                    // To the end of the millisecond that is written.
                    said.paid_at = Some(at.since(BEGINNING) + Duration::from_millis(1));
                }
                "payment.further" => said.further.push(transaction),
                "payment.refunded" => said.refunded.push(transaction),
                _ => {}
            }
            said.received = data["received"]["value"].as_str().map(str::to_owned);
        }
        said
    }
}

/// Whether the events of an invoice tell what the ledger showed: each payment and each refund once.
pub fn is_true(world: &World, wish: &Wish, row: &InvoiceRow, events: &[EventRow]) -> Verdict {
    let store = &world.stores[wish.account];
    let book = store.book.as_ref()?;
    let said = Said::of(row, events);
    let label = wish.external_id.as_str();
    for (ids, law) in [
        (&said.further, "each further payment is told once"),
        (&said.refunded, "each refund is told once"),
    ] {
        let once: BTreeSet<&String> = ids.iter().collect();
        if once.len() != ids.len() {
            return Some((law, format!("{label}: {ids:?}")));
        }
    }
    let payments = || book.of(label).filter(|one| one.direction == Direction::In);
    let total: u64 = payments()
        .filter(|one| one.told_moved_at().is_some())
        .map(|one| one.units)
        .sum();
    if let Some(received) = said.received.as_ref().filter(|_| said.paid_at.is_some())
        && !same_value(received, &book.kind.money(total))
    {
        let how = format!("{label}: {received}, told were {total}");
        return Some(("the last event tells all that was received", how));
    }
    let paid_at = said.paid_at?;
    let refunds = book.of(label).filter(|one| one.direction == Direction::Out);
    for refund in refunds.filter(|one| one.told_moved_at().is_some()) {
        if !said.refunded.contains(&refund.id) {
            return Some((
                "each refund is told once",
                format!("{label}: {} never", refund.id),
            ));
        }
    }
    if world.nature.jumps {
        return None;
    }
    payments().find_map(|one| is_told_apart(book, one, paid_at, &said.further))
}

/// A payment that was seen when `payment.paid` was decided is part of it, also when another page of the
/// same reading showed it; one that was seen later is told as further money.
fn is_told_apart(book: &Book, one: &Movement, paid_at: Duration, further: &[String]) -> Verdict {
    let is_further = further.contains(&one.id);
    let seen_at = one.told_moved_at()?;
    let reading = book
        .readings
        .iter()
        .rposition(|reading| reading.began <= paid_at)?;
    let life = book.readings[reading].life;
    let in_that_reading = one
        .told
        .iter()
        .any(|told| told.life == life && (told.at <= paid_at || told.reading == reading + 1));
    let how = || format!("{}: first seen at {seen_at:?}, paid at {paid_at:?}", one.id);
    if ONE_READING_IS_ONE_SUM
        && is_further
        && in_that_reading
        && !book.readings[reading].is_interrupted
    {
        return Some(("payments of one reading are one payment.paid", how()));
    }
    let is_later = seen_at > paid_at && !in_that_reading;
    (is_later && !is_further).then(|| ("money that comes later is told as further money", how()))
}

/// Whether all that the ledgers showed is kept, and nothing else: also money of nobody.
pub fn is_kept(world: &World, rows: &[TransactionRow], now: Duration) -> Verdict {
    for (own, store) in world.nature.accounts.iter().zip(&world.stores) {
        let Some(book) = &store.book else { continue };
        let kept = rows.iter().filter(|row| row.account == own.name);
        let mut kept: BTreeMap<(&str, &str), &TransactionRow> = kept
            .map(|row| ((row.id.as_str(), row.direction.as_str()), row))
            .collect();
        for movement in book
            .shown(now)
            .filter(|one| !one.told.is_empty() || is_read(book, one))
        {
            let row = kept.remove(&(movement.id.as_str(), movement.direction.as_str()));
            // What the last answers of all showed may not be written yet.
            if row.is_none() && !is_read(book, movement) {
                continue;
            }
            if let Some(broken) = is_kept_rightly(book, movement, row, now) {
                return Some(broken);
            }
        }
        if let Some((id, _)) = kept.pop_first() {
            return Some(("no transaction is invented", format!("{id:?}")));
        }
    }
    None
}

/// A search behind entries that are left out is over within this: each page of it is a reading, within half of the
/// rate limit.
const SEARCHED_WITHIN: Duration = Duration::from_mins(3);

/// Whether a complete reading showed it, and another one was begun since.
fn is_read(book: &Book, movement: &Movement) -> bool {
    let is_asked =
        book.kind == crate::ledger::book::LedgerKind::Stars || movement.direction == Direction::In;
    let before_last = book.readings.iter().rev().skip(1);
    let mut whole = before_last.filter(|reading| reading.is_over);
    let mut before = book
        .movements
        .iter()
        .take_while(|one| one.id != movement.id);
    let is_behind = before.any(|one| one.is_left_out);
    let search = if is_behind {
        SEARCHED_WITHIN
    } else {
        Duration::ZERO
    };
    is_asked && whole.any(|reading| reading.began >= movement.shown_from + search)
}

fn is_kept_rightly(
    book: &Book,
    movement: &Movement,
    row: Option<&TransactionRow>,
    now: Duration,
) -> Verdict {
    let first = book.readings.first()?;
    let age = book.time(first.began).since(book.happened_at(movement));
    let how = || format!("{} of {:?}: {row:?}", movement.id, movement.label);
    let Some(row) = row else {
        let is_too_old = age >= READ_BACK;
        return (!is_too_old).then(|| ("every transaction is kept", how()));
    };
    if age > READ_BACK + Duration::from_hours(1) {
        return Some(("what is too old is not kept", how()));
    }
    let is_right = same_value(&row.amount, &book.kind.money(movement.units))
        && row.status == movement.status(now).as_str()
        && (movement.hides_label || row.label == movement.label);
    let is_label_known = movement.label.is_some() || !row.is_of_invoice;
    (!is_right || !is_label_known).then(|| ("every transaction is kept", how()))
}
