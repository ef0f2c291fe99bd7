//! What must hold of several daemons together, watched whenever time passes.

use std::time::Duration;

use payrecond::domain::shares::account_lease;

use crate::cluster::leases::lock;
use crate::cluster::nature::ClusterNature;
use crate::cluster::{Cluster, Slot};
use crate::fault::HEEDED_WITHIN;
use crate::model::Verdict;
use crate::nature::Nature;
use crate::world::World;

/// A free account is taken, and one of a daemon that was stopped released, within this.
const TAKEN_WITHIN: Duration = Duration::from_secs(2);
const RELEASED_WITHIN: Duration = Duration::from_secs(1);
/// A record waits for commits, which may stand for a while.
const COMMITS_STAND: Duration = Duration::from_secs(8);
/// What slow calls of the database add.
const SLOW_CALLS: Duration = Duration::from_secs(2);
/// What calls that take seconds add.
const LAGS: Duration = Duration::from_secs(16);

/// What was seen so far.
#[derive(Default)]
pub struct Watch {
    /// By account: nobody has it since then.
    free_since: Vec<Option<Duration>>,
    /// In how many checks in a row the shares were uneven.
    pub uneven: u32,
}

/// What calls of the database may add to a bound.
fn patience(nature: &Nature, cluster: &ClusterNature) -> Duration {
    let slow = if nature.slow_disk {
        SLOW_CALLS
    } else {
        Duration::ZERO
    };
    slow + if cluster.lags { LAGS } else { Duration::ZERO }
}

impl Cluster {
    /// Looks at all daemons as they are now.
    pub fn look(&mut self, world: &World, now: Duration) -> Verdict {
        let nature = &world.nature;
        let cluster = nature.cluster.as_ref()?;
        let patience = patience(nature, cluster);
        for slot in &mut self.slots {
            slot.well_since = slot.is_well().then(|| slot.well_since.unwrap_or(now));
        }
        self.watch.free_since.resize(nature.accounts.len(), None);
        let broken = (0..nature.accounts.len()).find_map(|account| {
            let name = account_lease(&nature.accounts[account].name);
            self.is_taken(&name, account, cluster, (now, patience))
                .or_else(|| self.is_wait_recorded(&name, account, world, (now, patience)))
        });
        broken.or_else(|| self.has_released(nature, now, patience))
    }

    /// A free account is taken by a daemon that knows it and is well.
    fn is_taken(
        &mut self,
        name: &str,
        account: usize,
        nature: &ClusterNature,
        (now, patience): (Duration, Duration),
    ) -> Verdict {
        let leases = lock(&self.server.leases);
        let is_held = leases.is_held(name);
        let is_written = leases.rows.get(name).is_some_and(|row| row.writes > 0);
        drop(leases);
        let free_since = &mut self.watch.free_since[account];
        if is_held || is_written {
            *free_since = None;
            return None;
        }
        let free_since = *free_since.get_or_insert(now);
        let knows = |slot: &&Slot| nature.daemons[slot.n].accounts.contains(&account);
        let well = self.slots.iter().filter(knows);
        let well_since = well.filter_map(|slot| slot.well_since).min()?;
        let since = free_since.max(well_since);
        (now > since + TAKEN_WITHIN + patience).then(|| {
            let how = format!("{name}: nobody has it since {since:?}");
            ("a free account is taken", how)
        })
    }

    /// A wait that the provider asked for is written where the next owner finds it.
    fn is_wait_recorded(
        &self,
        name: &str,
        account: usize,
        world: &World,
        (now, patience): (Duration, Duration),
    ) -> Verdict {
        let wait = world.stores[account]
            .held
            .filter(|wait| !wait.is_recorded)?;
        if now <= wait.asked_at + HEEDED_WITHIN + COMMITS_STAND + patience || now >= wait.to {
            return None;
        }
        let leases = lock(&self.server.leases);
        let has_lease = |slot: &&Slot| leases.token_of(name, slot.n) == Ok(wait.token);
        let owner = self.slots.iter().find(has_lease)?;
        let was_well = owner.well_since.is_some_and(|since| since <= wait.asked_at);
        let how = || format!("{name}: {wait:?}");
        was_well.then(|| ("a wait of the provider's is recorded", how()))
    }

    /// A daemon that was told to stop gives its accounts back.
    fn has_released(&self, nature: &Nature, now: Duration, patience: Duration) -> Verdict {
        let leases = lock(&self.server.leases);
        let names = nature.accounts.iter();
        let names: Vec<String> = names.map(|own| account_lease(&own.name)).collect();
        self.slots.iter().find_map(|slot| {
            let since = slot.stopping_since?;
            if slot.is_paused || !slot.member.as_ref()?.is_well() {
                return None;
            }
            let mut own = names
                .iter()
                .filter(|name| leases.is_held_since(name, slot.n, slot.started_at));
            let name = own.next()?;
            (now > since + RELEASED_WITHIN + patience).then(|| {
                let how = format!("{name}, by daemon {} told at {since:?}", slot.n);
                ("a daemon that stops releases its leases", how)
            })
        })
    }

    /// Whether no daemon has two accounts more than another one that knows one of them. By the table of
    /// leases and the configurations alone: the daemons' own rule decides nothing here.
    pub fn is_fair(&self, nature: &Nature) -> Verdict {
        let daemons = &nature.cluster.as_ref()?.daemons;
        let leases = lock(&self.server.leases);
        let names = nature.accounts.iter().enumerate();
        let names: Vec<(usize, String)> = names
            .map(|(account, own)| (account, account_lease(&own.name)))
            .collect();
        let share_of = |slot: &Slot| -> Vec<usize> {
            let held = names
                .iter()
                .filter(|(_, name)| leases.is_held_by(name, slot.n));
            held.map(|(account, _)| *account).collect()
        };
        let shares: Vec<(usize, Vec<usize>)> = self
            .slots
            .iter()
            .map(|slot| (slot.n, share_of(slot)))
            .collect();
        for (rich, more) in &shares {
            for (poor, less) in &shares {
                let knows_one = more.iter().any(|one| daemons[*poor].accounts.contains(one));
                if knows_one && more.len() > less.len() + 1 {
                    let how = format!("daemon {rich} has {more:?}, daemon {poor} has {less:?}");
                    return Some(("accounts are shared fairly", how));
                }
            }
        }
        None
    }
}
