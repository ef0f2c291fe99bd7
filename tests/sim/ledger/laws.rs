//! What must be true of an invoice whose provider keeps a ledger: at each commit, and once all is over.

use std::time::Duration;

use payrecond::domain::event::{Event, EventType};
use payrecond::domain::invoice::Invoice;
use payrecond::domain::money::same_value;
use payrecond::domain::state::{Status, reason};
use payrecond::domain::time::UnixMillis;
use payrecond::domain::transaction::{Direction, TransactionStatus};

use crate::clock::BEGINNING;
use crate::ledger::book::{Book, Movement, Telling};
use crate::model::Verdict;
use crate::nature::Nature;
use crate::shop::InvoiceRow;
use crate::world::{Kind, Wish, World};

/// That a deadline is over is noticed within this.
const NOTICED_WITHIN: Duration = Duration::from_mins(2);

/// Whether an event says what no answer of the ledger showed. `now` by virtual time and by the daemon's clock.
pub fn is_unfounded(
    world: &World,
    row: &Invoice,
    event: &Event,
    now: (Duration, UnixMillis),
) -> Verdict {
    let account = world.account(&event.account.0)?;
    let label = event.external_id.0.as_str();
    let (Some(book), Some(wish)) = (&world.stores[account].book, world.wish(account, label)) else {
        return Some(("every event is about an invoice", label.to_owned()));
    };
    if event.event_type == EventType::Expired {
        return expires_too_early(world, book, row, event, now.0);
    }
    let told = Told::of(book, label);
    let is_true = match event.event_type {
        EventType::Paid => book.is_enough(told.units, told.movements, wish.price()),
        EventType::Partial => told.units > 0,
        EventType::Further => is_told(book, label, event, Direction::In),
        EventType::Refunded => is_told(book, label, event, Direction::Out),
        EventType::Pending => wish.is_requested(),
        EventType::Rejected => is_rightly_rejected(world, account, wish, event, now.1),
        EventType::Review => match event.facts.reason.as_deref() {
            Some(reason::PARTIALLY_PAID) => told.units > 0,
            Some(reason::EXTERNAL_ID_INVALID) => wish.kind == Kind::LongLabel,
            _ => false,
        },
        EventType::Expired | EventType::Cancelled | EventType::Detailed => false,
    };
    let how = || format!("{label} {} of {}", event.event_type.as_str(), told.units);
    (!is_true).then(|| ("no event without a movement that was told", how()))
}

/// The money of a label that moved, as answers showed it.
struct Told {
    units: u64,
    movements: usize,
}

impl Told {
    fn of(book: &Book, label: &str) -> Self {
        let incoming = book.of(label).filter(|one| one.direction == Direction::In);
        let told: Vec<u64> = incoming
            .filter(|one| one.told_moved_at().is_some())
            .map(|one| one.units)
            .collect();
        Self {
            units: told.iter().sum(),
            movements: told.len(),
        }
    }
}

fn is_told(book: &Book, label: &str, event: &Event, direction: Direction) -> bool {
    let id = event.transaction_id.as_ref().map(|id| id.0.as_str());
    let mut own = book.of(label).filter(|one| one.direction == direction);
    own.any(|one| Some(one.id.as_str()) == id && one.told_moved_at().is_some())
}

fn is_rightly_rejected(
    world: &World,
    account: usize,
    wish: &Wish,
    event: &Event,
    wall: UnixMillis,
) -> bool {
    if event.facts.reason.as_deref() == Some(reason::TOO_LATE) {
        let age = wish
            .inserted_at
            .map(|at| wall.since(at))
            .unwrap_or_default();
        return age > Duration::from_secs(wish.timeout_s) || world.nature.jumps;
    }
    let refused = &world.stores[account].said_refused;
    wish.kind == Kind::RefusedHere || refused.contains(&wish.external_id)
}

/// The second half of law 2: expired only by a reading that began after the deadline, by the provider's
/// clock, and showed no payment and none in progress.
fn expires_too_early(
    world: &World,
    book: &Book,
    row: &Invoice,
    event: &Event,
    now: Duration,
) -> Verdict {
    let label = &row.external_id.0;
    let timeout = Duration::from_secs(u64::try_from(row.wish.timeout_s).unwrap_or_default());
    let end = row
        .created_at
        .plus(timeout)
        .plus(world.nature.deadline_grace);
    if book.time(now) <= end {
        let early = end.since(book.time(now));
        return Some((
            "nothing expires before its deadline",
            format!("{label}, {early:?} early"),
        ));
    }
    // Where the daemon's clock jumps, nobody can tell when it had seen what; an older copy of the database
    // forgot what earlier lives were told.
    let observed = (!world.nature.jumps).then(|| event.observed_at.since(BEGINNING));
    let life = world.stores.first().map(|store| store.life);
    let is_remembered = |told: &Telling| !world.nature.puts_back || Some(told.life) == life;
    let counts = |one: &&Movement| {
        let was_there = one.shown_from <= now && book.time(one.shown_from) <= end;
        let was_told = observed.is_some_and(|at| {
            one.told
                .iter()
                .any(|told| told.at <= at && is_remembered(told))
        });
        let is_refused = one.status(now) == TransactionStatus::Refused;
        let is_returned = book
            .of(label)
            .any(|other| other.id == one.id && other.has_moved(Direction::Out, now));
        one.direction == Direction::In && !is_refused && !is_returned && (was_there || was_told)
    };
    let payment = book.of(label).find(counts)?;
    let how = format!(
        "{label}: {} of {} was there from {:?} on",
        payment.id, payment.units, payment.shown_from
    );
    Some(("nothing expires whose payment the ledger showed", how))
}

/// When the time to pay is over for certain, by virtual time; None: not in this world's life.
fn deadline(book: &Book, nature: &Nature, wish: &Wish) -> Option<Duration> {
    let inserted_at = wish.inserted_at?;
    let timeout = Duration::from_secs(wish.timeout_s);
    let end = inserted_at
        .plus(timeout)
        .plus(nature.deadline_grace)
        .plus(NOTICED_WITHIN);
    Some(UnixMillis(end.0 - book.ahead_ms).since(BEGINNING))
}

/// Whether nothing becomes of an invoice any more.
pub fn is_over(book: &Book, nature: &Nature, wish: &Wish, now: Duration) -> bool {
    let is_late = deadline(book, nature, wish).is_none_or(|end| now > end);
    is_late && book.of(&wish.external_id).all(|one| one.is_over(now))
}

/// Whether the row agrees with the truth.
pub fn is_settled(
    book: &Book,
    nature: &Nature,
    wish: &Wish,
    row: &InvoiceRow,
    now: Duration,
) -> Verdict {
    let label = wish.external_id.as_str();
    let received = book.moved(label, Direction::In, now);
    let refunded = book.moved(label, Direction::Out, now);
    let moved = book
        .of(label)
        .filter(|one| one.has_moved(Direction::In, now))
        .count();
    let waits =
        |one: &Movement| one.is_shown(now) && one.status(now) == TransactionStatus::InProgress;
    let is_waiting =
        book.of(label).any(waits) || deadline(book, nature, wish).is_none_or(|end| now <= end);
    let expected: &[&str] = match wish.kind {
        Kind::RefusedHere | Kind::RefusedThere => &["rejected"],
        Kind::LongLabel => &["review"],
        _ if book.is_enough(received, moved, wish.price()) => &["paid"],
        // What came in part may be returned after a person was called.
        _ if received > refunded && is_waiting => &["pending", "review"],
        _ if received > refunded => &["review"],
        _ if received > 0 => &["expired", "review", "pending"],
        _ if is_waiting => &["pending", "expired"],
        _ => &["expired"],
    };
    // Who got no link in time; or nobody was ever given it.
    let too_late = row.reason.as_deref() == Some(reason::TOO_LATE) && wish.is_requested();
    let how = || {
        format!(
            "{label} {:?} is {} ({:?}) with {:?} less {:?}, in truth {received} less {refunded}",
            wish.kind, row.status, row.reason, row.received, row.refunded
        )
    };
    if !expected.contains(&row.status.as_str()) && !too_late {
        return Some(("everything is settled, nobody starves", how()));
    }
    let is_sum = |told: &Option<String>, units: u64| match told {
        Some(told) => same_value(told, &book.kind.money(units)),
        None => units == 0,
    };
    let tells_sums = row.status == Status::Rejected.as_str()
        || is_sum(&row.received, received) && is_sum(&row.refunded, refunded);
    (!tells_sums).then(|| ("sums are those of the ledger", how()))
}
