//! What follows from an observation about an invoice: the row to write and the event to append.
//!
//! Every rule of the state table lives here, and none of time: `cadence` plans the next look.
//! The order of judgement on an observed order: whose order is it, what sum does it ask for, what state
//! is it in. The moves themselves are `Status::may_become`; nothing here knows a second table.
//!
//! Two facts are kept against later words: that money was seen, and that a person decided. Only
//! money that the person did not know of overrules a person.
//!
//! `money` says what is new about sums and transactions. One observation can lead to several events:
//! a payment and its refund, two payments for an invoice that was paid before.

mod money;

use std::time::Duration;

use self::money::Moved;
use super::deadline;
use super::event::{Event, EventType};
use super::invoice::{Facts, Invoice, TransactionId};
use super::observation::{
    LedgerCoverage, LedgerObservation, Observation, ObservedMoney, ObservedOrder, OrderState,
    Payment, Verdict,
};
use super::state::{Status, reason};
use super::time::UnixMillis;
use super::transaction::Transaction;

/// What the configuration has to say in a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A payment in the provider's test mode counts as paid.
    pub accept_test_payments: bool,
    /// So long after the deadline a ledger must have been read.
    pub deadline_grace: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            accept_test_payments: false,
            deadline_grace: Duration::from_mins(2),
        }
    }
}

/// The row as it shall be, and the event that says so, if there is something to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The version the row must still have, else the decision is stale.
    pub based_on_version: i64,
    /// The planned look that was taken up; a program's nudge since then survives.
    pub based_on_next_poll_at: Option<UnixMillis>,
    /// The new row.
    pub row: Box<Invoice>,
    /// Whether anything but the schedule differs from what was read.
    pub facts_changed: bool,
    /// Whether the provider's order was not known before.
    pub order_learned: bool,
    /// The event, carrying the row's new version; the last of several.
    pub event: Option<Box<Event>>,
    /// Events of the same observation that come before it, in their order.
    pub earlier: Vec<Event>,
    /// Transactions that are new or have changed: to be written as the invoice's.
    pub transactions: Vec<Transaction>,
}

impl Decision {
    /// Whether there is anything to write but the plan.
    pub fn says_something(&self) -> bool {
        self.facts_changed || self.event.is_some() || !self.transactions.is_empty()
    }

    /// All events, in their order.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.earlier.iter().chain(self.event.as_deref())
    }

    /// The version of the row just before its last event: the one it was read with, unless several
    /// follow from one observation.
    pub fn version_before_last(&self) -> i64 {
        let earlier = i64::try_from(self.earlier.len()).unwrap_or_default();
        self.based_on_version + earlier
    }
}

/// What is to be said, and the transaction that led to it.
struct Said {
    event_type: EventType,
    transaction_id: Option<TransactionId>,
}

/// What follows from an observation, besides the changed row.
#[derive(Default)]
struct Judgement {
    said: Vec<Said>,
    /// A person's.
    note: Option<String>,
    transactions: Vec<Transaction>,
}

impl From<Option<EventType>> for Judgement {
    fn from(event_type: Option<EventType>) -> Self {
        let said = event_type.map(|event_type| Said {
            event_type,
            transaction_id: None,
        });
        Self {
            said: said.into_iter().collect(),
            ..Self::default()
        }
    }
}

/// Judges `observation` about `invoice` by the default rules. `provider` is named in the event.
pub fn decide(invoice: &Invoice, provider: &str, observation: Observation) -> Decision {
    decide_by(&Rules::default(), invoice, provider, observation)
}

/// Judges `observation` about `invoice`. `provider` is named in the events.
pub fn decide_by(
    rules: &Rules,
    invoice: &Invoice,
    provider: &str,
    observation: Observation,
) -> Decision {
    let mut row = Box::new(invoice.clone());
    let observed_at = observed_at(&observation);
    let judgement = judge(rules, &mut row, observation);
    let mut previous = invoice.facts.status;
    let mut events = Vec::new();
    for said in judgement.said {
        let event_type = said.event_type;
        row.version += 1;
        if matches!(event_type, EventType::Expired | EventType::Cancelled) {
            row.facts.ended_at.get_or_insert(observed_at);
        }
        events.push(Event {
            note: judgement.note.clone(),
            transaction_id: said.transaction_id,
            ..Event::about(&row, provider, event_type, previous, observed_at)
        });
        // The first tells of the move.
        previous = row.facts.status;
    }
    Decision {
        based_on_version: invoice.version,
        based_on_next_poll_at: invoice.schedule.next_poll_at,
        facts_changed: row.facts != invoice.facts,
        order_learned: row.facts.order_id != invoice.facts.order_id,
        event: events.pop().map(Box::new),
        earlier: events,
        transactions: judgement.transactions,
        row,
    }
}

fn observed_at(observation: &Observation) -> UnixMillis {
    match observation {
        Observation::Seen(observed) | Observation::Created(observed) => observed.observed_at,
        Observation::Ledger(observed) => observed.observed_at,
        Observation::NotFound { observed_at, .. }
        | Observation::NothingUntil { observed_at, .. }
        | Observation::ExternalIdInvalid { observed_at }
        | Observation::LinkMade { observed_at, .. }
        | Observation::CreationRefused { observed_at, .. }
        | Observation::CreationConflict { observed_at }
        | Observation::CreationTooLate { observed_at }
        | Observation::Resolved { observed_at, .. } => *observed_at,
    }
}

/// Changes `row` as the observation demands. Returns what is to be said and written beside it.
fn judge(rules: &Rules, row: &mut Invoice, observation: Observation) -> Judgement {
    let facts = &mut row.facts;
    let said = match observation {
        Observation::Seen(observed) => return judge_told(rules, row, &Evidence::from(&observed)),
        Observation::Ledger(observed) => return judge_told(rules, row, &Evidence::from(&observed)),
        Observation::Created(observed) => judge_creation(facts, &row.external_id.0, &observed),
        Observation::NotFound {
            observed_at,
            counts,
        } => judge_not_found(facts, observed_at, counts),
        Observation::NothingUntil { reading, .. } => judge_silence(rules, row, reading),
        Observation::ExternalIdInvalid { .. } => judge_external_id(facts),
        Observation::LinkMade { pay_link, .. } => judge_link(facts, pay_link),
        Observation::CreationRefused { reason, .. } => {
            end_creation(facts, Status::Rejected, &reason)
        }
        Observation::CreationConflict { .. } => {
            end_creation(facts, Status::Review, reason::CREATE_CONFLICT)
        }
        Observation::CreationTooLate { .. } => {
            end_creation(facts, Status::Rejected, reason::TOO_LATE)
        }
        Observation::Resolved { verdict, note, .. } => {
            return Judgement {
                note: Some(note),
                ..Judgement::from(resolve(facts, verdict))
            };
        }
    };
    Judgement::from(said)
}

/// What a provider told of an invoice, by its order or by its ledger.
struct Evidence<'a> {
    order: Option<&'a ObservedOrder>,
    state: OrderState,
    word: &'a str,
    paid_at: Option<UnixMillis>,
    payment: Option<&'a Payment>,
    money: &'a ObservedMoney,
}

impl<'a> From<&'a ObservedOrder> for Evidence<'a> {
    fn from(seen: &'a ObservedOrder) -> Self {
        Self {
            order: Some(seen),
            state: seen.state,
            word: &seen.provider_status,
            paid_at: seen.paid_at,
            payment: seen.payment.as_ref(),
            money: &seen.money,
        }
    }
}

impl<'a> From<&'a LedgerObservation> for Evidence<'a> {
    fn from(seen: &'a LedgerObservation) -> Self {
        Self {
            order: None,
            state: seen.state,
            word: &seen.provider_status,
            paid_at: seen.paid_at,
            payment: seen.payment.as_ref(),
            money: &seen.money,
        }
    }
}

/// An observation with all that bears on its judgement.
struct Case<'a> {
    rules: &'a Rules,
    told: &'a Evidence<'a>,
    mismatch: Option<&'static str>,
    moved: &'a Moved,
}

/// The judgement on what the provider told: the move, then the money beside it.
fn judge_told(rules: &Rules, row: &mut Invoice, told: &Evidence<'_>) -> Judgement {
    let Invoice {
        facts,
        transactions,
        external_id,
        ..
    } = row;
    if told
        .order
        .is_some_and(|seen| is_of_another_order(facts, seen))
    {
        return Judgement::default();
    }
    facts.not_found_since = None;
    let mismatch = told
        .order
        .and_then(|seen| mismatch(facts, &external_id.0, seen));
    let mut moved = Moved::take_in(facts, transactions, told.money);
    let case = Case {
        rules,
        told,
        mismatch,
        moved: &moved,
    };
    let was = facts.status;
    let main = judge_by_status(facts, &external_id.0, &case);
    let seen_again = main == Some(EventType::Pending) && was == Status::Review;
    let partial = seen_again.then(|| wait_on(facts, &case)).flatten();
    let said = moved.events(facts, transactions, was, main.into_iter().chain(partial));
    Judgement {
        said,
        note: None,
        transactions: std::mem::take(&mut moved.changed),
    }
}

fn judge_by_status(facts: &mut Facts, external_id: &str, case: &Case<'_>) -> Option<EventType> {
    match facts.status {
        Status::Requested => judge_creation(facts, external_id, case.told.order?),
        Status::Pending => judge_state(facts, case),
        Status::Expired | Status::Cancelled => {
            if person_decided(facts) && !is_news_of_money(facts, case) {
                note(facts, case);
                return None;
            }
            judge_state(facts, case)
        }
        // A mismatch moves no paid invoice: the audit reports it.
        Status::Paid => judge_paid(facts, case),
        Status::Review => judge_in_review(facts, case),
        Status::Rejected => None,
    }
}

/// Whether the provider answered about an order that was not asked for: nothing about ours.
fn is_of_another_order(facts: &Facts, seen: &ObservedOrder) -> bool {
    facts
        .order_id
        .as_ref()
        .is_some_and(|ours| *ours != seen.order_id)
}

/// What differs between the order and what the invoice expects, worst first. What the provider
/// leaves out contradicts nothing.
fn mismatch(facts: &Facts, external_id: &str, seen: &ObservedOrder) -> Option<&'static str> {
    if bears_another_id(external_id, seen) {
        return Some(reason::EXTERNAL_ID_MISMATCH);
    }
    match (&facts.amount, &seen.amount) {
        (Some(ours), Some(theirs)) if !ours.agrees_with(theirs) => Some(reason::AMOUNT_MISMATCH),
        (Some(_) | None, Some(_) | None) => None,
    }
}

fn bears_another_id(external_id: &str, seen: &ObservedOrder) -> bool {
    seen.external_id
        .as_ref()
        .is_some_and(|theirs| theirs.0 != external_id)
}

/// What the order's state makes of an invoice that waits for money, or still may: the provider's
/// word where the table of moves has the way to it, else a remark.
fn judge_state(facts: &mut Facts, case: &Case<'_>) -> Option<EventType> {
    let state = case.told.state;
    note(facts, case);
    let why_review = case.mismatch.or_else(|| for_a_person(facts, case));
    if let Some(why) = why_review {
        return say(facts, Status::Review, Some(why));
    }
    match status_of(state) {
        None => remark(facts, reason::UNKNOWN_STATUS),
        Some(Status::Pending) if facts.status == Status::Pending => wait_on(facts, case),
        // A payment that is under way in a ledger takes nothing back.
        Some(Status::Pending) if case.told.order.is_none() => None,
        Some(told) if told == facts.status => clear_remark(facts),
        Some(told) if facts.status.may_become(told) => say(facts, told, None),
        Some(_) => remark(facts, reason::CONTRADICTION),
    }
}

/// Why a person must decide about what was told, if one must.
fn for_a_person(facts: &Facts, case: &Case<'_>) -> Option<&'static str> {
    let ended = matches!(facts.status, Status::Expired | Status::Cancelled);
    match case.told.state {
        OrderState::Paid => {
            let is_refused = facts.is_test && !case.rules.accept_test_payments;
            is_refused.then_some(reason::TEST_PAYMENT)
        }
        OrderState::Expired | OrderState::Cancelled => {
            money::is_kept(&facts.sums).then_some(reason::PARTIALLY_PAID)
        }
        OrderState::Partial if facts.sums.received.is_none() => {
            ended.then_some(reason::PARTIALLY_PAID)
        }
        OrderState::Partial | OrderState::Open | OrderState::Authorized | OrderState::Unknown => {
            (ended && case.moved.is_more).then_some(reason::PARTIALLY_PAID)
        }
    }
}

/// The order waits for money: for the rest of it, where some came. Each new sum is said once.
fn wait_on(facts: &mut Facts, case: &Case<'_>) -> Option<EventType> {
    let state = case.told.state;
    let some_came = state == OrderState::Partial || money::is_kept(&facts.sums);
    let was_said = facts.reason.as_deref() == Some(reason::PARTIALLY_PAID);
    let why = if state == OrderState::Authorized {
        Some(reason::AUTHORIZED)
    } else {
        some_came.then_some(reason::PARTIALLY_PAID)
    };
    facts.reason = why.map(str::to_owned);
    // Without a sum, the word alone is said once.
    let is_news = case.moved.is_more || (facts.sums.received.is_none() && !was_said);
    (some_came && is_news).then_some(EventType::Partial)
}

/// The status that an order's state calls for; None where its word says nothing.
fn status_of(state: OrderState) -> Option<Status> {
    match state {
        OrderState::Open | OrderState::Partial | OrderState::Authorized => Some(Status::Pending),
        OrderState::Paid => Some(Status::Paid),
        OrderState::Expired => Some(Status::Expired),
        OrderState::Cancelled => Some(Status::Cancelled),
        OrderState::Unknown => None,
    }
}

/// The money is here: no later word of the provider takes it back, and none is kept. Amounts that
/// `payment.paid` was said without may still follow.
fn judge_paid(facts: &mut Facts, case: &Case<'_>) -> Option<EventType> {
    match case.told.state {
        OrderState::Paid => {
            let payment_before = facts.payment.clone();
            note(facts, case);
            clear_remark(facts);
            (facts.payment != payment_before).then_some(EventType::Detailed)
        }
        OrderState::Open
        | OrderState::Partial
        | OrderState::Authorized
        | OrderState::Expired
        | OrderState::Cancelled => {
            case.told.order?;
            remark(facts, reason::CONTRADICTION)
        }
        OrderState::Unknown => remark(facts, reason::UNKNOWN_STATUS),
    }
}

/// An order that is seen while its invoice waits for a person. One that was only missing, or lacked
/// a part of its money, goes its way again by itself; else the reason stays, and only money is
/// told: it is never kept quiet.
fn judge_in_review(facts: &mut Facts, case: &Case<'_>) -> Option<EventType> {
    let state = case.told.state;
    let is = |why| facts.reason.as_deref() == Some(why);
    let says_nothing = state == OrderState::Unknown && case.mismatch.is_none();
    let seen_again = is(reason::ORDER_NOT_FOUND) && !says_nothing;
    let is_paid = state == OrderState::Paid && case.mismatch.is_none();
    let rest_came = is(reason::PARTIALLY_PAID) && is_paid;
    if seen_again || rest_came {
        return judge_state(facts, case);
    }
    let news_of_money = is_news_of_money(facts, case);
    note(facts, case);
    news_of_money.then_some(EventType::Review)
}

/// The order of a requested invoice exists. Whatever its state, the invoice is `pending` first:
/// the next look tells the rest. An order with our id and another sum is one that somebody else
/// made: creating ours has failed.
fn judge_creation(facts: &mut Facts, external_id: &str, seen: &ObservedOrder) -> Option<EventType> {
    if facts.status != Status::Requested || bears_another_id(external_id, seen) {
        return None;
    }
    if mismatch(facts, external_id, seen).is_some() {
        return end_creation(facts, Status::Review, reason::CREATE_CONFLICT);
    }
    note_order(facts, seen);
    if seen.state == OrderState::Open {
        facts.provider_status = Some(seen.provider_status.clone());
    }
    say(facts, Status::Pending, None)
}

/// The requested invoice can be paid: it waits for money from now on, without an order.
fn judge_link(facts: &mut Facts, pay_link: String) -> Option<EventType> {
    if facts.status != Status::Requested {
        return None;
    }
    facts.pay_link = Some(pay_link);
    say(facts, Status::Pending, None)
}

/// Not found counts only once it may be believed, and only where something is still expected.
fn judge_not_found(facts: &mut Facts, observed_at: UnixMillis, counts: bool) -> Option<EventType> {
    match facts.status {
        Status::Pending => {
            // One that lies ahead was written down before the clock went back.
            let since = facts.not_found_since.unwrap_or(observed_at);
            facts.not_found_since = Some(since.min(observed_at));
            if counts {
                say(facts, Status::Review, Some(reason::ORDER_NOT_FOUND))
            } else {
                None
            }
        }
        Status::Requested
        | Status::Paid
        | Status::Expired
        | Status::Cancelled
        | Status::Rejected
        | Status::Review => None,
    }
}

/// A ledger was read whole past the invoice's deadline. What came in part, a person must judge.
fn judge_silence(rules: &Rules, row: &mut Invoice, reading: LedgerCoverage) -> Option<EventType> {
    let is_over = deadline::is_over(row, reading, rules.deadline_grace);
    if row.facts.status != Status::Pending || !is_over || deadline::is_payment_under_way(row) {
        return None;
    }
    let facts = &mut row.facts;
    if money::is_kept(&facts.sums) {
        say(facts, Status::Review, Some(reason::PARTIALLY_PAID))
    } else {
        say(facts, Status::Expired, Some(reason::DEADLINE))
    }
}

/// No payment can be found by this id, so nothing would ever be known of the invoice.
fn judge_external_id(facts: &mut Facts) -> Option<EventType> {
    if facts.status != Status::Pending {
        return None;
    }
    say(facts, Status::Review, Some(reason::EXTERNAL_ID_INVALID))
}

fn end_creation(facts: &mut Facts, end: Status, why: &str) -> Option<EventType> {
    if facts.status == Status::Requested {
        say(facts, end, Some(why))
    } else {
        None
    }
}

fn resolve(facts: &mut Facts, verdict: Verdict) -> Option<EventType> {
    if facts.status != Status::Review {
        return None;
    }
    let status = match verdict {
        Verdict::Paid => Status::Paid,
        Verdict::Expired => Status::Expired,
        Verdict::Cancelled => Status::Cancelled,
    };
    say(facts, status, Some(reason::RESOLVED))
}

fn person_decided(facts: &Facts) -> bool {
    facts.reason.as_deref() == Some(reason::RESOLVED)
}

/// Moves to `status` and returns the event that tells it.
fn say(facts: &mut Facts, status: Status, why: Option<&str>) -> Option<EventType> {
    facts.status = status;
    facts.reason = why.map(str::to_owned);
    EventType::of_move_to(status)
}

/// Notes something odd that moves nothing. A person's decision stays the better reason.
fn remark(facts: &mut Facts, odd: &str) -> Option<EventType> {
    if !person_decided(facts) {
        facts.reason = Some(odd.to_owned());
    }
    None
}

/// The provider speaks plainly again.
fn clear_remark(facts: &mut Facts) -> Option<EventType> {
    if !person_decided(facts) {
        facts.reason = None;
    }
    None
}

/// Whether more money came, or the provider says PAID and the invoice does not hold that yet.
fn is_news_of_money(facts: &Facts, case: &Case<'_>) -> bool {
    let seen = case.told;
    let same_word = facts.provider_status.as_deref() == Some(seen.word);
    case.moved.is_news(holds_money(facts))
        || seen.state == OrderState::Paid && !same_word && !holds_money(facts)
}

/// Whether PAID was seen. `paid_at` and `payment` are taken from such sightings alone.
fn holds_money(facts: &Facts) -> bool {
    facts.paid_at.is_some() || !facts.payment.is_empty()
}

/// Takes over what was told. What was left out stays as it was, and so does the word PAID when
/// another follows.
fn note(facts: &mut Facts, case: &Case<'_>) {
    let told = case.told;
    match told.order {
        Some(seen) => note_order(facts, seen),
        // A ledger knows no sum that was asked for: what came was enough.
        None if facts.amount.is_none() => facts.amount.clone_from(&facts.sums.received),
        None => {}
    }
    let paid = told.state == OrderState::Paid;
    if paid || !holds_money(facts) {
        facts.provider_status = Some(told.word.to_owned());
    }
    if paid {
        update(&mut facts.paid_at, told.paid_at.as_ref());
        if let Some(payment) = told.payment {
            learn(&mut facts.payment, payment);
        }
    }
}

/// Takes over what the order is, not what became of it.
fn note_order(facts: &mut Facts, seen: &ObservedOrder) {
    facts.order_id.get_or_insert_with(|| seen.order_id.clone());
    if facts.amount.is_none() {
        facts.amount.clone_from(&seen.amount);
    }
    update(&mut facts.order_number, seen.number.as_ref());
    update(&mut facts.pay_link, seen.pay_link.as_ref());
    update(&mut facts.direct_pay_link, seen.direct_pay_link.as_ref());
    update(&mut facts.expires_at, seen.expires_at.as_ref());
}

fn update<T: Clone>(kept: &mut Option<T>, seen: Option<&T>) {
    if let Some(seen) = seen {
        *kept = Some(seen.clone());
    }
}

/// Fills in the amounts not known yet. What was told once stays as told, or two spellings of one
/// sum would be observation for ever.
fn learn(kept: &mut Payment, told: &Payment) {
    for (kept, told) in [
        (&mut kept.value, &told.value),
        (&mut kept.currency, &told.currency),
        (&mut kept.fee, &told.fee),
        (&mut kept.net, &told.net),
        (&mut kept.exchange_rate, &told.exchange_rate),
    ] {
        if kept.is_none() {
            kept.clone_from(told);
        }
    }
}
