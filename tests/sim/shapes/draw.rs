//! Worlds of other shapes, and the orders in them.

use std::time::Duration;

use payrecond::jobs::poll::Strategy;
use payrecond::limit::Limits;

use crate::nature::{AccountNature, Nature, Shape};
use crate::shapes::{Failing, Quirks, Refunding};
use crate::world::{Fate, Kind, Wish};

/// What such a world is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// As drawn, with all its trouble.
    Trouble,
    /// Most orders fail whatever is asked, and nothing else goes wrong.
    FailingMajority,
    /// Programs ask for a poll of all orders at once, and nothing goes wrong.
    MassNudges,
}

impl Theme {
    pub fn is_calm(self) -> bool {
        self != Self::Trouble
    }
}

/// Turns a world as it was drawn into one of another shape.
pub fn reshape(nature: Nature, rng: &mut fastrand::Rng) -> Nature {
    let theme = match rng.u8(..6) {
        0 => Theme::FailingMajority,
        1 => Theme::MassNudges,
        _ => Theme::Trouble,
    };
    match theme {
        Theme::Trouble => Nature {
            accounts: nature
                .accounts
                .into_iter()
                .map(|own| other_shape(own, rng))
                .collect(),
            ..nature
        },
        Theme::FailingMajority | Theme::MassNudges => calm(nature, theme, rng),
    }
}

pub fn other_shape(own: AccountNature, rng: &mut fastrand::Rng) -> AccountNature {
    match rng.u8(..3) {
        0 => AccountNature {
            shape: Shape::Batch([3, 10, 100, 1000][rng.usize(..4)]),
            ..own
        },
        1 => AccountNature {
            shape: Shape::Spans,
            page_limit: [2, 10, 100][rng.usize(..3)],
            ..own
        },
        // Fewer on a page than it was asked for.
        _ => AccountNature {
            page_cap: Some([1, 3, 8, 20][rng.usize(..4)]),
            ..own
        },
    }
}

fn calm(nature: Nature, theme: Theme, rng: &mut fastrand::Rng) -> Nature {
    let mut cadence = nature.cadence;
    let mut own = nature.accounts.into_iter().next().expect("an account");
    let batch = Shape::Batch([10, 30, 1000][rng.usize(..3)]);
    own.limits = Limits {
        requests_per_second: rng.f64() * 15.0 + 5.0,
        burst: 5,
        max_in_flight: 8,
    };
    if theme == Theme::FailingMajority {
        own.shape = if rng.bool() { batch } else { Shape::Positions };
        own.strategy = Strategy::Single;
        cadence.max_interval = Duration::from_secs(rng.u64(5..=30));
    } else {
        own.shape = [batch, Shape::Positions, Shape::Spans][rng.usize(..3)];
        own.strategy = Strategy::Auto;
        own.page_limit = [64, 100][rng.usize(..2)];
        // Nothing is read beyond what is due, and little is due.
        own.list_bytes_per_second = 0;
        cadence.max_interval = Duration::from_hours(1);
        cadence.age_factor = 10.0;
    }
    Nature {
        accounts: vec![own],
        theme,
        cadence,
        orders: rng.usize(40..100),
        active: Duration::from_mins(4),
        storms: false,
        lies: false,
        crashes: false,
        jumps: false,
        puts_back: false,
        bad_disk: false,
        crowd: false,
        ..nature
    }
}

/// An invoice of a calm world. Of most orders nothing comes; some are paid.
pub fn calm_wish(n: usize, nature: &Nature, wish: Wish, rng: &mut fastrand::Rng) -> Wish {
    let fails_most = nature.theme == Theme::FailingMajority;
    let is_good = n.is_multiple_of(5);
    let secs = Duration::from_secs;
    let (fate, drop_in_at) = match (fails_most, is_good) {
        (true, true) => (Fate::Paid(secs(rng.u64(1..60))), secs(rng.u64(..150))),
        (true, false) => (Fate::Forgotten, secs(rng.u64(..30))),
        (false, _) => (Fate::Forgotten, secs(rng.u64(..20))),
    };
    Wish {
        account: 0,
        kind: Kind::Given,
        fate,
        drop_in_at,
        timeout_s: 864_000,
        quirks: Quirks {
            fails: (fails_most && !is_good).then(|| Failing::ALL[rng.usize(..Failing::ALL.len())]),
            ..Quirks::default()
        },
        ..wish
    }
}

/// What is special about an order of a world with trouble.
pub fn quirks(n: usize, shape: Shape, wish: &Wish, rng: &mut fastrand::Rng) -> Quirks {
    let mut quirks = Quirks::default();
    if let Shape::Batch(_) = shape
        && rng.u8(..5) == 0
    {
        quirks.fails = Some(Failing::ALL[rng.usize(..Failing::ALL.len())]);
    }
    if shape != Shape::Spans {
        return quirks;
    }
    quirks.listed_late_by = Duration::from_secs([0, 0, 20, 100][rng.usize(..4)]);
    let mut left = wish.cents();
    for part in 0..rng.usize(..3) {
        let cents = rng.u64(1..=left.max(1)).min(left);
        left -= cents;
        if cents > 0 {
            quirks.refunds.push(Refunding {
                id: format!("refund-{n}-{part}"),
                after: Duration::from_secs(rng.u64(..200)),
                takes: Duration::from_secs([0, 60][rng.usize(..2)]),
                succeeds: rng.u8(..4) != 0,
                cents,
                is_told: false,
            });
        }
    }
    quirks
}
