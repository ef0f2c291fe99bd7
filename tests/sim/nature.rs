//! What kind of world a seed stands for: all numbers that hold for its whole life.

use std::time::Duration;

use payrecond::domain::cadence::Cadence;
use payrecond::jobs::poll::Strategy;
use payrecond::limit::Limits;

use crate::ledger::book::LedgerKind;
use crate::shapes::draw::{self, Theme};

/// Faults stop here, and the world has so long to settle at least.
const SETTLES_WITHIN: Duration = Duration::from_mins(20);

/// Seeds from here on draw worlds where the disk is bad and nothing mends what it did: no crash, no
/// copy put back. Such a mix is too rare among the others to be met every day.
pub const BAD_DISKS_FROM: u64 = 1_000_000;

/// Seeds from here on draw worlds of ledgers.
pub const LEDGERS_FROM: u64 = 2_000_000;
/// Seeds from here on draw worlds of batches, lists by time and short pages, of orders that always fail
/// and of nudges by the dozen.
pub const SHAPES_FROM: u64 = 3_000_000;

/// What a provider can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One order, and the list of all by position.
    Positions,
    /// So many orders in one request, and no list.
    Batch(u32),
    /// One order, and lists by time of orders and refunds.
    Spans,
    /// Movements of money, and no orders.
    Ledger(LedgerKind),
}

impl Shape {
    pub fn ledger(self) -> Option<LedgerKind> {
        match self {
            Self::Ledger(kind) => Some(kind),
            Self::Positions | Self::Batch(_) | Self::Spans => None,
        }
    }

    /// Most orders in one request for orders.
    pub fn batch_limit(self) -> u32 {
        match self {
            Self::Batch(limit) => limit,
            Self::Positions | Self::Spans | Self::Ledger(_) => 1,
        }
    }
}

/// One account: a store at the provider, and how it is asked.
#[derive(Clone, Debug)]
pub struct AccountNature {
    pub name: String,
    pub shape: Shape,
    pub strategy: Strategy,
    pub limits: Limits,
    pub page_limit: u32,
    /// Whatever is asked for, a page by position has no more.
    pub page_cap: Option<u32>,
    pub list_bytes_per_second: u64,
}

/// The world of a seed.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a kind of trouble, with or without"
)]
pub struct Nature {
    pub accounts: Vec<AccountNature>,
    pub orders: usize,
    pub cadence: Cadence,
    pub not_found_grace: Duration,
    /// A ledger must have been read so long after a deadline.
    pub deadline_grace: Duration,
    pub intake_interval: Duration,
    /// Orders appear and fates are met in this time, and all trouble happens.
    pub active: Duration,
    /// Answers that could not be had.
    pub storms: bool,
    /// Answers that are wrong: old states, unknown words, other amounts, not found.
    pub lies: bool,
    pub crashes: bool,
    /// The wall clock jumps.
    pub jumps: bool,
    /// Older copies of the database are put back.
    pub puts_back: bool,
    /// The database fails now and then, sometimes after it has written.
    pub bad_disk: bool,
    /// Calls of the database take virtual time, so that tasks overlap.
    pub slow_disk: bool,
    /// More looks are wanted all the time than the budget allows.
    pub crowd: bool,
    /// Its accounts have other shapes.
    pub is_reshaped: bool,
    pub theme: Theme,
}

impl Nature {
    fn of(rng: &mut fastrand::Rng) -> Self {
        let crowd = rng.u8(..10) == 0;
        let accounts = if crowd { 1 } else { rng.usize(1..=3) };
        let max_interval = Duration::from_secs(if crowd { 5 } else { rng.u64(5..=60) });
        let secs = Duration::from_secs;
        Self {
            accounts: (0..accounts).map(|n| account(n, crowd, rng)).collect(),
            orders: if crowd {
                rng.usize(30..60)
            } else {
                rng.usize(3..18)
            },
            cadence: Cadence {
                min_interval: secs(rng.u64(1..=5)),
                age_factor: rng.f64() * 0.3,
                max_interval,
                jitter: rng.f64() * 0.3,
                checks_after_expiry: vec![secs(1), secs(30), secs(120), LAST_CHECK],
            },
            not_found_grace: secs(rng.u64(10..=90)),
            deadline_grace: secs(120),
            intake_interval: Duration::from_millis(rng.u64(500..=8000)),
            active: secs(rng.u64(120..=420)),
            storms: rng.u8(..4) != 0,
            lies: rng.bool() && !crowd,
            crashes: rng.u8(..4) != 0,
            jumps: rng.u8(..4) == 0,
            puts_back: rng.u8(..4) == 0,
            bad_disk: rng.u8(..3) == 0,
            slow_disk: rng.bool(),
            crowd,
            is_reshaped: false,
            theme: Theme::Trouble,
        }
    }

    /// The nature of a seed's world.
    pub fn of_seed(seed: u64, rng: &mut fastrand::Rng) -> Self {
        let nature = Self::of(rng);
        match seed {
            ..BAD_DISKS_FROM => nature,
            BAD_DISKS_FROM..LEDGERS_FROM => Self {
                crashes: false,
                puts_back: false,
                bad_disk: true,
                ..nature
            },
            LEDGERS_FROM..SHAPES_FROM => nature.with_ledgers(rng),
            SHAPES_FROM.. => Self {
                is_reshaped: true,
                ..draw::reshape(nature, rng)
            },
        }
    }

    fn with_ledgers(self, rng: &mut fastrand::Rng) -> Self {
        let accounts = (0..rng.usize(1..=2)).map(|n| ledger_account(n, rng));
        Self {
            accounts: accounts.collect(),
            orders: rng.usize(3..18),
            deadline_grace: Duration::from_secs(rng.u64(1..=40)),
            lies: false,
            crowd: false,
            ..self
        }
    }

    /// Whether the plan of looks alone finds late money: no look was wasted on a wrong answer, and
    /// the clock by which looks are planned is the provider's.
    pub fn plan_finds_late_money(&self) -> bool {
        !self.lies && !self.jumps && !self.puts_back
    }

    /// How long after the end of all trouble everything must be settled.
    pub fn settling(&self) -> Duration {
        let each: f64 = self
            .accounts
            .iter()
            .map(|account| account.limits.requests_per_second)
            .filter(|rate| *rate > 0.0)
            .map(|rate| 8.0 * 60.0 / rate)
            .fold(0.0, f64::max);
        let looks = if self.crowd { each } else { 0.0 };
        SETTLES_WITHIN + Duration::from_secs_f64(looks)
    }
}

/// The last fixed look at an ended order comes so long after its end.
pub const LAST_CHECK: Duration = Duration::from_mins(4);

fn account(n: usize, crowd: bool, rng: &mut fastrand::Rng) -> AccountNature {
    let rates = [0.0, 0.5, 1.0, 2.0, 5.0];
    let rate = if crowd {
        2.0
    } else {
        rates[rng.usize(..rates.len())]
    };
    let strategy = match rng.u8(..4) {
        _ if crowd => Strategy::Single,
        0 => Strategy::Single,
        1 => Strategy::List,
        _ => Strategy::Auto,
    };
    AccountNature {
        name: ["default", "second", "third"][n].to_owned(),
        shape: Shape::Positions,
        strategy,
        limits: Limits {
            requests_per_second: rate,
            burst: rng.u32(1..=10),
            max_in_flight: rng.usize(1..=8),
        },
        page_limit: [8, 20, 64, 10_000][rng.usize(..4)],
        page_cap: None,
        list_bytes_per_second: [0, 2000, 131_072][rng.usize(..3)],
    }
}

fn ledger_account(n: usize, rng: &mut fastrand::Rng) -> AccountNature {
    let kind = [LedgerKind::Stars, LedgerKind::Wallet][rng.usize(..2)];
    AccountNature {
        shape: Shape::Ledger(kind),
        page_limit: [2, 8, 40, 100][rng.usize(..4)],
        ..account(n, false, rng)
    }
}
