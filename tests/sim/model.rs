//! What must be true: at each commit, and at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use payrecond::clock::Clock as _;
use payrecond::domain::decide::Decision;
use payrecond::domain::event::{Event, EventType};
use payrecond::domain::invoice::Invoice;
use payrecond::domain::money::same_value;
use payrecond::domain::observation::OrderState;
use payrecond::domain::state::{Status, reason};
use payrecond::store::Written;

use crate::clock::SharedClock;
use crate::covered::is_covered;
use crate::ledger::{history, laws};
use crate::nature::{Nature, Shape};
use crate::shapes::draw::Theme;
use crate::shapes::laws as promptness;
use crate::shapes::refunds;
use crate::shop::{EventRow, InvoiceRow, TransactionRow};
use crate::world::{Kind, SharedWorld, Wish, World};

/// Judges what was just written: nothing may be said that the provider did not say before.
pub fn committed(
    world: &SharedWorld,
    clock: &SharedClock,
    decisions: &[Decision],
    written: &[Written],
) {
    for (decision, written) in decisions.iter().zip(written) {
        let row = &decision.row;
        let Written::Yes { seq } = written else {
            world.trace.tell(format_args!(
                "{} {}: {written:?}",
                row.account, row.external_id
            ));
            continue;
        };
        let Some(last) = seq else { continue };
        for event in &decision.earlier {
            recorded(world, clock, row, event, None);
        }
        if let Some(event) = &decision.event {
            recorded(world, clock, row, event, Some(*last));
        }
    }
}

/// Judges one event at the moment of its commit.
fn recorded(
    world: &SharedWorld,
    clock: &SharedClock,
    row: &Invoice,
    event: &Event,
    seq: Option<i64>,
) {
    world.trace.tell(format_args!(
        "{:8} {} v{} {} -> {} {} {seq:?}",
        row.account.0,
        row.external_id,
        event.version,
        event.previous_status,
        event.event_type.as_str(),
        event.facts.reason.as_deref().unwrap_or_default(),
    ));
    let now = clock.monotonic();
    let mut guard = world.lock();
    let id = event.id().to_string();
    let before = seq.and_then(|seq| guard.numbers.insert(seq, id.clone()));
    let again = before.filter(|before| *before != id);
    let other_id = other_paid_id(&mut guard, event);
    note_paid(&mut guard, event, now);
    let broken = if is_of_ledger(&guard, event) {
        laws::is_unfounded(&guard, row, event, (now, clock.now()))
    } else {
        let is_covered = is_covered(&mut guard, event, now, || clock.now());
        let how = || format!("{} {}", row.external_id, event.event_type.as_str());
        (!is_covered).then(|| ("no status without a observed that says so", how()))
    };
    drop(guard);
    let trace = &world.trace;
    trace.hold("a number is given out once", again.is_none(), || {
        format!("{seq:?} was {again:?}")
    });
    trace.hold(
        "payment.paid keeps its id for ever",
        other_id.is_none(),
        || format!("{} was {other_id:?}", row.external_id),
    );
    if let Some((law, how)) = broken {
        trace.broken(law, how);
    }
}

fn is_of_ledger(world: &World, event: &Event) -> bool {
    let account = world.account(&event.account.0);
    account.is_some_and(|account| world.stores[account].book.is_some())
}

/// Notes when a payment was told first.
fn note_paid(world: &mut World, event: &Event, now: Duration) {
    if event.event_type == EventType::Paid
        && let Some(account) = world.account(&event.account.0)
    {
        let key = (account, event.external_id.0.clone());
        world.paid_said_at.entry(key).or_insert(now);
    }
}

/// The id under which the same payment was told before, if it is another.
fn other_paid_id(world: &mut World, event: &Event) -> Option<String> {
    if event.event_type != EventType::Paid {
        return None;
    }
    let account = world.account(&event.account.0)?;
    let key = (account, event.external_id.0.clone());
    let id = event.id().to_string();
    let before = world.paid_ids.insert(key, id.clone())?;
    (before != id).then_some(before)
}

/// Everything that is left at the end.
pub struct Remains {
    pub invoices: Vec<InvoiceRow>,
    pub events: Vec<EventRow>,
    pub transactions: Vec<TransactionRow>,
    /// What each consumer read, in order: number and event.
    pub consumers: Vec<(&'static str, Vec<(i64, String)>)>,
}

/// Judges what is left when all trouble is over and enough time has passed. Returns how many paid
/// orders are known only as requests that were too late.
pub fn at_the_end(world: &SharedWorld, clock: &SharedClock, remains: &Remains) -> u64 {
    let now = clock.monotonic();
    let guard = world.lock();
    let wishes = guard.wishes.clone();
    let dropped = wishes.iter().filter(|wish| wish.inserted_at.is_some());
    let mut broken = Vec::new();
    let mut forgotten = 0;
    for wish in dropped {
        let name = &guard.nature.accounts[wish.account].name;
        let mut rows = remains.invoices.iter();
        let row = rows.find(|row| row.account == *name && row.external_id == wish.external_id);
        match row {
            None => broken.push(("no invoice is lost", wish.external_id.clone())),
            Some(row) => {
                let truth = guard.order_of(wish).map(|order| order.state(now));
                let is_rejected = row.status == Status::Rejected.as_str();
                forgotten += u64::from(is_rejected && truth == Some(OrderState::Paid));
                broken.extend(is_settled(&guard, wish, row, now));
                broken.extend(is_told(row, wish, &remains.events));
                broken.extend(plan_is_near(&guard.nature, row, clock.now().0));
                if guard.nature.theme == Theme::FailingMajority {
                    broken.extend(promptness::is_prompt(&guard, wish, now));
                }
                broken.extend(history::is_true(&guard, wish, row, &remains.events));
            }
        }
    }
    broken.extend(history::is_kept(&guard, &remains.transactions, now));
    drop(guard);
    broken.extend(all_was_read(remains));
    for (law, how) in broken {
        world.trace.broken(law, how);
    }
    forgotten
}

/// Whether nothing will happen any more that is not known already, but for what waits for a person.
pub fn has_settled(world: &SharedWorld, clock: &SharedClock, rows: &[InvoiceRow]) -> bool {
    let now = clock.monotonic();
    let world = world.lock();
    world.wishes.iter().all(|wish| {
        let name = &world.nature.accounts[wish.account].name;
        let mut rows = rows.iter();
        let row = rows.find(|row| row.account == *name && row.external_id == wish.external_id);
        let order = world.order_of(wish);
        let is_over = match &world.stores[wish.account].book {
            Some(book) => laws::is_over(book, &world.nature, wish, now),
            None => order.is_none_or(|order| order.is_over(now)),
        };
        // What is in review at a ledger waits for its money, not for a person.
        let has_book = world.stores[wish.account].book.is_some();
        let waits_for_person = |row: &InvoiceRow| {
            !has_book
                && row.status == Status::Review.as_str()
                && order.is_none_or(|order| order.state(now) != OrderState::Open)
        };
        let is_known = |row| is_settled(&world, wish, row, now).is_none() || waits_for_person(row);
        is_over && row.is_some_and(is_known)
    })
}

pub type Verdict = Option<(&'static str, String)>;

/// Whether the row agrees with the truth.
fn is_settled(world: &World, wish: &Wish, row: &InvoiceRow, now: Duration) -> Verdict {
    if let Some(book) = &world.stores[wish.account].book {
        return laws::is_settled(book, &world.nature, wish, row, now);
    }
    let truth = world.order_of(wish).map(|order| order.state(now));
    let expected: &[&str] = match (wish.kind, truth) {
        (Kind::RefusedHere | Kind::RefusedThere, _) | (Kind::Requested, None) => &["rejected"],
        (Kind::Missing | Kind::Conflict, _) | (_, Some(OrderState::Cancelled)) => &["cancelled"],
        (_, Some(OrderState::Paid)) => &["paid"],
        (_, Some(OrderState::Expired)) => &["expired"],
        (Kind::Given | Kind::Requested, Some(OrderState::Open)) if !world.nature.lies => {
            &["pending"]
        }
        (_, Some(OrderState::Open)) => &["pending", "review"],
        (_, _) => &[],
    };
    // Requests that were not answered in time end so; nobody was ever given their link. After an
    // older copy was put back somebody may have been.
    let too_late = row.reason.as_deref() == Some(reason::TOO_LATE)
        && (truth != Some(OrderState::Paid) || world.nature.puts_back)
        && !wish.has_order_id();
    let settled = expected.contains(&row.status.as_str()) || too_late;
    if settled && let Some(broken) = refunds_are_told(world, wish, row, now) {
        return Some(broken);
    }
    (!settled).then(|| {
        let how = format!(
            "{} {:?} is {} ({:?}), in truth {truth:?}",
            row.external_id, wish.kind, row.status, row.reason
        );
        ("everything is settled, nobody starves", how)
    })
}

/// Whether the row has the sum that was returned, where lists tell it.
fn refunds_are_told(world: &World, wish: &Wish, row: &InvoiceRow, now: Duration) -> Verdict {
    let is_listed = world.nature.accounts[wish.account].shape == Shape::Spans;
    if !is_listed || row.status != Status::Paid.as_str() {
        return None;
    }
    let refunded = world.order_of(wish)?.refunded(now);
    let is_told = match &row.refunded {
        Some(told) => same_value(told, &refunds::money(refunded).value),
        None => refunded == 0,
    };
    let how = || {
        format!(
            "{}: {:?}, in truth {refunded} cents",
            row.external_id, row.refunded
        )
    };
    (!is_told).then(|| ("every refund is told", how()))
}

/// Whether the outbox tells the story of the row: each version once, money once.
fn is_told(row: &InvoiceRow, wish: &Wish, events: &[EventRow]) -> Verdict {
    let own = events
        .iter()
        .filter(|event| event.account == row.account && event.external_id == row.external_id);
    let own: Vec<&EventRow> = own.filter(|event| event.version > 0).collect();
    let versions: Vec<i64> = own.iter().map(|event| event.version).collect();
    let dense: Vec<i64> = (1..=row.version).collect();
    if versions != dense {
        let how = format!(
            "{}: {versions:?}, the row has {}",
            wish.external_id, row.version
        );
        return Some(("versions are dense", how));
    }
    let paid = own
        .iter()
        .filter(|event| event.kind == "payment.paid")
        .count();
    let should = usize::from(row.status == Status::Paid.as_str());
    if paid != should {
        let how = format!(
            "{}: {paid} times payment.paid, the row is {}",
            wish.external_id, row.status
        );
        return Some(("one payment.paid for a paid order, none for another", how));
    }
    let last = own.iter().rev().find_map(|event| event.status.as_deref());
    let says = last.is_none_or(|last| last == row.status);
    (!says).then(|| ("the last event tells the status", wish.external_id.clone()))
}

/// No plan lies further ahead than the cadence allows.
fn plan_is_near(nature: &Nature, row: &InvoiceRow, now: i64) -> Verdict {
    let status = Status::parse(&row.status)?;
    let horizon = nature.cadence.horizon(status).as_millis();
    let ahead = u128::try_from(row.next_poll_at? - now).unwrap_or(0);
    let apart = nature.clocks_agree_within().as_millis();
    (ahead > horizon + 1000 + apart).then(|| {
        let how = format!("{} {}: {ahead} ms ahead", row.external_id, row.status);
        ("no plan lies too far ahead", how)
    })
}

/// Each consumer has read each event at least once, in order; told by their ids, exactly once.
fn all_was_read(remains: &Remains) -> Verdict {
    for (name, read) in &remains.consumers {
        let mut first = BTreeMap::new();
        for (place, (seq, id)) in read.iter().enumerate() {
            first.entry((*seq, id.as_str())).or_insert(place);
        }
        let mut last_place = None;
        for event in &remains.events {
            let place = first.get(&(event.seq, event.event_id.as_str())).copied();
            if place.is_none() {
                let how = format!("{name} never read #{} {}", event.seq, event.kind);
                return Some(("each consumer reads each event", how));
            }
            if place < last_place {
                let how = format!("{name} read #{} too early", event.seq);
                return Some(("events are read in order", how));
            }
            last_place = place;
        }
        let mut paid: BTreeMap<&str, usize> = BTreeMap::new();
        for event in remains.events.iter().filter(|e| e.kind == "payment.paid") {
            *paid.entry(event.event_id.as_str()).or_default() += 1;
        }
        if let Some((id, times)) = paid.iter().find(|(_, times)| **times != 1) {
            return Some(("an event id stands once", format!("{id} {times} times")));
        }
    }
    None
}

/// Whether the requests of one life kept within the budget, over any span. `slack`: requests whose
/// leave was taken a moment before they were made.
pub fn budget_is_kept(requests: &[Duration], rate: f64, burst: u32, slack: f64) -> Verdict {
    if rate <= 0.0 {
        return None;
    }
    let mut least = f64::INFINITY;
    for (index, at) in requests.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand requests")]
        let ahead = index as f64 - rate * at.as_secs_f64();
        least = least.min(ahead);
        let in_span = ahead - least + 1.0;
        // A thousandth of a token is rounding.
        if in_span > f64::from(burst) + slack + 0.01 {
            let how = format!("{in_span:.2} more than {rate}/s at {at:?}, burst {burst}");
            return Some(("the budget is kept", how));
        }
    }
    None
}
