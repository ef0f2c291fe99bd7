//! What must be true: at each commit, and at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use payrecond::clock::Clock as _;
use payrecond::domain::decide::Decision;
use payrecond::domain::event::{Event, EventType};
use payrecond::domain::observation::OrderState;
use payrecond::domain::state::{Status, reason};
use payrecond::store::Written;

use crate::clock::SharedClock;
use crate::nature::Nature;
use crate::shop::{EventRow, InvoiceRow};
use crate::world::{Kind, SharedWorld, Store, Wish, World};

/// Judges what was just written: nothing may be said that the provider did not say before.
pub fn committed(
    world: &SharedWorld,
    clock: &SharedClock,
    decisions: &[Decision],
    written: &[Written],
) {
    for (decision, written) in decisions.iter().zip(written) {
        let row = &decision.row;
        let (Some(event), Written::Yes { seq: Some(seq) }) = (&decision.event, written) else {
            if !matches!(written, Written::Yes { .. }) {
                world.trace.tell(format_args!(
                    "{} {}: {written:?}",
                    row.account, row.external_id
                ));
            }
            continue;
        };
        world.trace.tell(format_args!(
            "{:8} {} v{} {} -> {} {} #{seq}",
            row.account.0,
            row.external_id,
            row.version,
            event.previous_status,
            event.event_type.as_str(),
            row.facts.reason.as_deref().unwrap_or_default(),
        ));
        let now = clock.monotonic();
        let mut guard = world.lock();
        let before = guard.numbers.insert(*seq, event.id().to_string());
        let again = before.filter(|before| *before != event.id().to_string());
        let other_id = other_paid_id(&mut guard, event);
        let verdict = is_covered(&mut guard, event, now, || clock.now());
        drop(guard);
        let trace = &world.trace;
        trace.hold("a number is given out once", again.is_none(), || {
            format!("#{seq} was {again:?}")
        });
        trace.hold(
            "payment.paid keeps its id for ever",
            other_id.is_none(),
            || format!("{} was {other_id:?}", row.external_id),
        );
        trace.hold("no status without a observed that says so", verdict, || {
            format!("{} {}", row.external_id, event.event_type.as_str())
        });
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

/// Whether the provider, or a person, said what the event says.
fn is_covered(
    world: &mut World,
    event: &Event,
    now: Duration,
    wall: impl Fn() -> payrecond::domain::time::UnixMillis,
) -> bool {
    let Some(account) = world.account(&event.account.0) else {
        return false;
    };
    let why = event.facts.reason.as_deref();
    if why == Some(reason::RESOLVED) {
        return true;
    }
    let grace = world.nature.not_found_grace;
    let jumps = world.nature.jumps;
    let wish = world.wish(account, &event.external_id.0).cloned();
    let Some(wish) = wish else { return false };
    let store = &mut world.stores[account];
    let external_id = &event.external_id.0;
    let order_id = event.facts.order_id.as_ref().map(|id| id.0.clone());
    let order = order_id.as_deref().and_then(|id| store.order(id));
    let said = |state| {
        order
            .as_ref()
            .is_some_and(|order| order.said.contains(&state))
    };
    match event.event_type {
        EventType::Paid => {
            let is_paid = order.as_ref().is_some_and(|o| o.paid_at(now).is_some());
            is_paid && said(OrderState::Paid)
        }
        EventType::Expired => said(OrderState::Expired),
        EventType::Cancelled => said(OrderState::Cancelled),
        EventType::Detailed => order.is_some_and(|order| order.said_payment),
        // This provider tells neither sums nor refunds.
        EventType::Partial | EventType::Further | EventType::Refunded => false,
        EventType::Pending => {
            let Some(order) = order else { return false };
            order.linked_at.get_or_insert(now);
            !order.said.is_empty()
        }
        EventType::Rejected if why == Some(reason::TOO_LATE) => {
            let age = wish
                .inserted_at
                .map(|at| wall().since(at))
                .unwrap_or_default();
            age > Duration::from_secs(wish.timeout_s) || jumps
        }
        EventType::Rejected => {
            wish.kind == Kind::RefusedHere || store.said_refused.contains(external_id)
        }
        EventType::Review => match why {
            Some(reason::AMOUNT_MISMATCH) => order.is_some_and(|order| {
                order.said_wrong_amount || wish.kind == Kind::WrongSum && !order.said.is_empty()
            }),
            Some(reason::EXTERNAL_ID_MISMATCH) => {
                wish.kind == Kind::Alien && order.is_some_and(|order| order.said_external_id)
            }
            Some(reason::CREATE_CONFLICT) => {
                // The list shows the other order, or a sum that is none of ours.
                let mut orders = store.orders.iter();
                let other = orders.find(|order| order.external_id == *external_id);
                let by_list = other.is_some_and(|other| {
                    other.said_external_id
                        && (wish.kind == Kind::Conflict || other.said_wrong_amount)
                });
                by_list || store.said_conflict.contains(external_id)
            }
            Some(reason::ORDER_NOT_FOUND) => jumps || was_missing(store, &wish, grace, now),
            _ => false,
        },
    }
}

/// Whether the order was said to be missing for as long as the grace. A list that does not show it
/// says so too.
fn was_missing(store: &Store, wish: &Wish, grace: Duration, now: Duration) -> bool {
    let Some(id) = &wish.order_id else {
        return false;
    };
    let first = store.said_missing.iter().find(|(missing, _)| missing == id);
    let by_look = first.is_some_and(|(_, at)| now.saturating_sub(*at) >= grace);
    by_look || wish.kind == Kind::Missing
}

/// Everything that is left at the end.
pub struct Remains {
    pub invoices: Vec<InvoiceRow>,
    pub events: Vec<EventRow>,
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
            }
        }
    }
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
        let is_over = order.is_none_or(|order| order.is_over(now));
        let waits_for_person = |row: &InvoiceRow| {
            row.status == Status::Review.as_str()
                && order.is_none_or(|order| order.state(now) != OrderState::Open)
        };
        let is_known = |row| is_settled(&world, wish, row, now).is_none() || waits_for_person(row);
        is_over && row.is_some_and(is_known)
    })
}

type Verdict = Option<(&'static str, String)>;

/// Whether the row agrees with the truth.
fn is_settled(world: &World, wish: &Wish, row: &InvoiceRow, now: Duration) -> Verdict {
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
    (!settled).then(|| {
        let how = format!(
            "{} {:?} is {} ({:?}), in truth {truth:?}",
            row.external_id, wish.kind, row.status, row.reason
        );
        ("everything is settled, nobody starves", how)
    })
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
    (ahead > horizon + 1000).then(|| {
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
