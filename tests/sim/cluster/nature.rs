//! Worlds of several daemons: how many, which accounts each knows, and how their clocks differ.

use std::time::Duration;

use crate::nature::{AccountNature, Nature};
use crate::shapes::draw::other_shape;

/// Most daemons in a world.
pub const MOST_DAEMONS: usize = 3;

const NAMES: [&str; 5] = ["default", "second", "third", "fourth", "fifth"];

/// What is special about a world of several daemons.
#[derive(Clone, Debug)]
pub struct ClusterNature {
    pub term: Duration,
    pub daemons: Vec<DaemonNature>,
    /// A daemon that is started again has the name that it had.
    pub keeps_names: bool,
    /// The database is far away: now and then a call takes seconds.
    pub lags: bool,
}

/// One daemon.
#[derive(Clone, Debug)]
pub struct DaemonNature {
    /// What its wall clock is ahead of the database's, in milliseconds.
    pub ahead: i64,
    /// The accounts in its configuration.
    pub accounts: Vec<usize>,
}

impl ClusterNature {
    fn draw(accounts: usize, rng: &mut fastrand::Rng) -> Self {
        let count = rng.usize(2..=MOST_DAEMONS);
        let is_skewed = rng.bool();
        let differ = rng.u8(..3) == 0;
        let mut daemons: Vec<DaemonNature> = (0..count)
            .map(|_| DaemonNature {
                ahead: if is_skewed {
                    let most = [400, 5_000, 90_000][rng.usize(..3)];
                    rng.i64(-most..=most)
                } else {
                    0
                },
                accounts: (0..accounts)
                    .filter(|_| !differ || rng.u8(..3) != 0)
                    .collect(),
            })
            .collect();
        for account in 0..accounts {
            if !daemons.iter().any(|one| one.accounts.contains(&account)) {
                daemons[0].accounts.push(account);
                daemons[0].accounts.sort_unstable();
            }
        }
        Self {
            term: Duration::from_secs(rng.u64(3..=15)),
            daemons,
            keeps_names: rng.bool(),
            lags: rng.u8(..3) == 0,
        }
    }
}

/// Turns a world as it was drawn into one of several daemons.
pub fn share(nature: Nature, rng: &mut fastrand::Rng) -> Nature {
    let count = rng.usize(2..=NAMES.len());
    let accounts: Vec<AccountNature> = (0..count)
        .map(|n| {
            let like = &nature.accounts[n % nature.accounts.len()];
            let own = AccountNature {
                name: NAMES[n].to_owned(),
                ..like.clone()
            };
            if rng.bool() {
                other_shape(own, rng)
            } else {
                own
            }
        })
        .collect();
    Nature {
        cluster: Some(ClusterNature::draw(accounts.len(), rng)),
        accounts,
        orders: rng.usize(6..24),
        puts_back: false,
        is_reshaped: true,
        ..nature
    }
}
