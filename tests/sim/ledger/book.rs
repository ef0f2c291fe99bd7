//! The truth of a ledger: movements of money, when each is shown, and when the daemon was told of it.

use std::time::Duration;

use payrecond::domain::time::UnixMillis;
use payrecond::domain::transaction::{Direction, TransactionStatus};

use crate::clock::BEGINNING;

/// Who keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerKind {
    /// Telegram Stars: oldest first, counted from the first.
    Stars,
    /// A YooMoney wallet: newest first, sums after commission.
    Wallet,
}

impl LedgerKind {
    pub fn currency(self) -> &'static str {
        match self {
            Self::Stars => "XTR",
            Self::Wallet => "RUB",
        }
    }

    /// So many Stars, or kopecks as roubles.
    pub fn money(self, units: u64) -> String {
        match self {
            Self::Stars => units.to_string(),
            Self::Wallet => format!("{}.{:02}", units / 100, units % 100),
        }
    }
}

/// What becomes of a movement after it is first shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    Done,
    Refused,
    /// In progress until then, whether it succeeds.
    Until(Duration, bool),
    InProgressForEver,
}

/// Money that moves.
#[derive(Clone, Debug)]
pub struct Movement {
    pub id: String,
    pub direction: Direction,
    /// Whose it is, in truth.
    pub label: Option<String>,
    /// A refund may be shown without its label.
    pub hides_label: bool,
    /// Stars or kopecks that arrive, an affiliate's share among them.
    pub units: u64,
    pub share: u64,
    pub shown_from: Duration,
    /// So long before that it happened, as the provider says.
    pub lag: Duration,
    pub course: Course,
    /// It has a place in the ledger and is never shown: no Stars.
    pub is_left_out: bool,
    pub told: Vec<Telling>,
}

/// An answer that showed a movement.
#[derive(Clone, Copy, Debug)]
pub struct Telling {
    pub life: u64,
    pub at: Duration,
    pub status: TransactionStatus,
    pub reading: usize,
}

impl Movement {
    /// One that is done as soon as it is shown.
    pub fn paid(label: Option<&str>, units: u64, shown_from: Duration) -> Self {
        Self {
            id: String::new(),
            direction: Direction::In,
            label: label.map(str::to_owned),
            hides_label: false,
            units,
            share: 0,
            shown_from,
            lag: Duration::ZERO,
            course: Course::Done,
            is_left_out: false,
            told: Vec::new(),
        }
    }

    pub fn status(&self, now: Duration) -> TransactionStatus {
        match self.course {
            Course::Done => TransactionStatus::Succeeded,
            Course::Until(until, true) if now >= until => TransactionStatus::Succeeded,
            Course::Refused => TransactionStatus::Refused,
            Course::Until(until, false) if now >= until => TransactionStatus::Refused,
            Course::Until(..) | Course::InProgressForEver => TransactionStatus::InProgress,
        }
    }

    pub fn is_shown(&self, now: Duration) -> bool {
        self.shown_from <= now && !self.is_left_out
    }

    /// Whether nothing becomes of it any more.
    pub fn is_over(&self, now: Duration) -> bool {
        let is_settled = match self.course {
            Course::Until(until, _) => until <= now,
            Course::Done | Course::Refused | Course::InProgressForEver => true,
        };
        self.is_left_out || self.shown_from <= now && is_settled
    }

    pub fn has_moved(&self, direction: Direction, now: Duration) -> bool {
        self.direction == direction
            && self.is_shown(now)
            && self.status(now) == TransactionStatus::Succeeded
    }

    /// When an answer first showed that the money moved.
    pub fn told_moved_at(&self) -> Option<Duration> {
        let mut told = self.told.iter();
        let moved = told.find(|one| one.status == TransactionStatus::Succeeded);
        moved.map(|one| one.at)
    }
}

/// One reading, from its first page to its end.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    pub life: u64,
    pub began: Duration,
    pub is_over: bool,
    /// A request failed in it.
    pub is_interrupted: bool,
}

/// The ledger of one account.
#[derive(Clone, Debug)]
pub struct Book {
    pub kind: LedgerKind,
    /// How far the provider's clock is ahead, in milliseconds.
    pub ahead_ms: i64,
    /// Most items that a page shows.
    pub page_cap: usize,
    /// By the moment from which they are shown.
    pub movements: Vec<Movement>,
    pub readings: Vec<Reading>,
    /// External ids whose link it made.
    pub linked: Vec<String>,
}

impl Book {
    /// A moment by the provider's clock.
    pub fn time(&self, at: Duration) -> UnixMillis {
        UnixMillis(BEGINNING.plus(at).0 + self.ahead_ms)
    }

    pub fn happened_at(&self, movement: &Movement) -> UnixMillis {
        self.time(movement.shown_from).minus(movement.lag)
    }

    pub fn shown(&self, now: Duration) -> impl Iterator<Item = &Movement> {
        self.movements.iter().filter(move |one| one.is_shown(now))
    }

    /// What there is of a label, shown or not.
    pub fn of<'a>(&'a self, label: &'a str) -> impl Iterator<Item = &'a Movement> {
        let labelled = move |one: &&Movement| one.label.as_deref() == Some(label);
        self.movements.iter().filter(labelled)
    }

    /// All that moved under a label by now.
    pub fn moved(&self, label: &str, direction: Direction, now: Duration) -> u64 {
        let moved = self.of(label).filter(|one| one.has_moved(direction, now));
        moved.map(|one| one.units).sum()
    }

    /// Whether these movements, of so many units in all, are enough for `price`.
    pub fn is_enough(&self, units: u64, movements: usize, price: Option<u64>) -> bool {
        match (price, self.kind) {
            (None, _) => movements > 0,
            (Some(price), LedgerKind::Stars) => units >= price,
            // The greater commission is 3 %, and each operation may be a kopeck short.
            (Some(price), LedgerKind::Wallet) => (units + movements as u64) * 100 >= price * 97,
        }
    }

    /// What stands at these places, for the story: how much it is, and what belongs to invoices.
    pub fn in_short(&self, places: &[usize]) -> String {
        let movements = places.iter().map(|place| &self.movements[*place]);
        let own = movements.filter(|one| {
            one.label
                .as_ref()
                .is_some_and(|label| label.starts_with("ORD"))
        });
        let own: Vec<String> = own
            .map(|one| {
                format!(
                    "{} {} {}",
                    one.label.as_deref().unwrap_or_default(),
                    one.direction.as_str(),
                    one.units
                )
            })
            .collect();
        format!("{} items: {}", places.len(), own.join(", "))
    }

    /// Notes that an answer showed the movement at `place`.
    pub fn note_told(&mut self, place: usize, now: Duration, life: u64) {
        let reading = self.readings.len();
        let movement = &mut self.movements[place];
        let status = movement.status(now);
        let is_known = |one: &Telling| one.life == life && one.status == status;
        if !movement.told.iter().any(is_known) {
            movement.told.push(Telling {
                life,
                at: now,
                status,
                reading,
            });
        }
    }

    /// A page is about to be shown: `begins` when it can only be the first of a reading.
    pub fn begin_page(&mut self, begins: bool, now: Duration, life: u64) {
        let goes_on = self.readings.last().is_some_and(|one| !one.is_over);
        if begins || !goes_on {
            self.readings.push(Reading {
                life,
                began: now,
                is_over: false,
                is_interrupted: false,
            });
        }
    }

    pub fn interrupt_reading(&mut self) {
        if let Some(reading) = self.readings.last_mut() {
            reading.is_interrupted = true;
        }
    }

    pub fn end_reading(&mut self) {
        if let Some(reading) = self.readings.last_mut() {
            reading.is_over = true;
        }
    }
}
