//! The leases of the simulated database: a table in memory, by the database's clock alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use payrecond::clock::Clock as _;
use payrecond::domain::shares::{ClusterView, LeaseState, LiveDaemon};
use payrecond::domain::time::UnixMillis;
use payrecond::store::{Lease, Leases, Presence, Store, StoreError};

use crate::clock::SharedClock;
use crate::cluster::server::Connection;
use crate::disk::{Disk, READ, WRITE};

/// One lease.
#[derive(Debug, Default)]
pub struct LeaseRow {
    pub token: i64,
    pub owner: Option<String>,
    /// Also after it was given back.
    pub last_owner: Option<String>,
    pub until: UnixMillis,
    /// By virtual time.
    pub taken_at: Duration,
    /// Commits that stand in the server and hold the row: nobody takes it meanwhile.
    pub writes: u32,
}

/// All leases, and the daemons that were seen.
pub struct LeaseTable {
    clock: SharedClock,
    pub rows: BTreeMap<String, LeaseRow>,
    daemons: BTreeMap<String, LiveDaemon>,
}

pub type SharedLeases = Arc<Mutex<LeaseTable>>;

pub fn lock(leases: &SharedLeases) -> MutexGuard<'_, LeaseTable> {
    leases.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name of a daemon, by its place and how often one was started there.
pub fn daemon_name(n: usize, life: u32) -> String {
    format!("daemon-{n}.{life}")
}

fn is_named(owner: &str, n: usize) -> bool {
    let rest = owner.strip_prefix("daemon-");
    let number = rest.and_then(|rest| rest.split_once('.'));
    number.is_some_and(|(number, _)| number == n.to_string())
}

impl LeaseTable {
    pub fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            rows: BTreeMap::new(),
            daemons: BTreeMap::new(),
        }
    }

    pub fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// Whether a lease is held now.
    pub fn is_held(&self, name: &str) -> bool {
        let row = self.rows.get(name);
        row.is_some_and(|row| row.owner.is_some() && row.until >= self.now())
    }

    /// Whether nobody has had a lease after the daemon at this place.
    pub fn was_last_held_by(&self, name: &str, n: usize) -> bool {
        let row = self.rows.get(name);
        let owner = row.and_then(|row| row.last_owner.as_deref());
        owner.is_some_and(|owner| is_named(owner, n))
    }

    /// Whether a lease is held now by the daemon at this place.
    pub fn is_held_by(&self, name: &str, n: usize) -> bool {
        let owner = self.rows.get(name).and_then(|row| row.owner.as_deref());
        self.is_held(name) && owner.is_some_and(|owner| is_named(owner, n))
    }

    /// Whether the daemon at this place that was started at `since` has a lease: not one that was killed there.
    pub fn is_held_since(&self, name: &str, n: usize, since: Duration) -> bool {
        let row = self.rows.get(name);
        self.is_held_by(name, n) && row.is_some_and(|row| row.taken_at >= since)
    }

    /// The token under which the daemon at this place has a lease; else what is known of it.
    pub fn token_of(&self, name: &str, n: usize) -> Result<i64, String> {
        match self.rows.get(name) {
            Some(row) if self.is_held_by(name, n) => Ok(row.token),
            row => Err(format!("{name} at {}: {row:?}", self.now())),
        }
    }

    /// Whether nobody has taken a lease since: it may be over.
    pub fn is_current(&self, lease: &Lease) -> bool {
        let row = self.rows.get(&lease.name);
        row.is_some_and(|row| row.token == lease.token)
    }

    pub fn change_writes(&mut self, lease: &Lease, by: i32) {
        if let Some(row) = self.rows.get_mut(&lease.name) {
            row.writes = row.writes.saturating_add_signed(by);
        }
    }

    fn take(&mut self, owner: &str, name: &str, term: Duration) -> Option<Lease> {
        let now = self.now();
        let row = self.rows.entry(name.to_owned()).or_default();
        let is_free = row.owner.is_none() || row.until < now;
        if !is_free || row.writes > 0 {
            return None;
        }
        row.token += 1;
        row.owner = Some(owner.to_owned());
        row.last_owner = row.owner.clone();
        row.until = now.plus(term);
        row.taken_at = self.clock.monotonic();
        Some(Lease {
            name: name.to_owned(),
            token: row.token,
        })
    }

    fn renew(&mut self, owner: &str, lease: &Lease, term: Duration) -> bool {
        let until = self.now().plus(term);
        let row = self.rows.get_mut(&lease.name);
        let own = row.filter(|row| row.token == lease.token && row.owner.as_deref() == Some(owner));
        own.map(|row| row.until = until).is_some()
    }

    fn release(&mut self, lease: &Lease) {
        let now = self.now();
        let row = self.rows.get_mut(&lease.name);
        if let Some(row) = row.filter(|row| row.token == lease.token) {
            row.owner = None;
            row.until = now;
        }
    }

    /// What everybody sees.
    pub fn view(&self, alive: Duration) -> ClusterView {
        let now = self.now();
        let daemons = self.daemons.values();
        let leases = self.rows.iter().map(|(name, row)| LeaseState {
            name: name.clone(),
            owner: row.owner.clone(),
            until: row.until,
        });
        ClusterView {
            now,
            daemons: daemons
                .filter(|daemon| now.since(daemon.seen_at) < alive)
                .cloned()
                .collect(),
            leases: leases.collect(),
        }
    }
}

/// One daemon's way to the leases.
pub struct DaemonLeases {
    pub disk: Disk,
    pub table: SharedLeases,
}

#[async_trait]
impl Leases for DaemonLeases {
    async fn announce(&self, presence: &Presence, names: &[String]) -> Result<(), StoreError> {
        let announce = || {
            let mut table = lock(&self.table);
            let seen = LiveDaemon {
                name: presence.name.clone(),
                version: presence.version.clone(),
                accounts: presence.accounts.clone(),
                seen_at: table.now(),
            };
            table.daemons.insert(presence.name.clone(), seen);
            for name in names {
                table.rows.entry(name.clone()).or_default();
            }
            Ok(())
        };
        self.disk.call("announce", WRITE, announce).await
    }

    async fn now(&self) -> Result<UnixMillis, StoreError> {
        let now = || Ok(lock(&self.table).now());
        self.disk.call("now", READ, now).await
    }

    async fn view(&self, alive: Duration) -> Result<ClusterView, StoreError> {
        let view = || Ok(lock(&self.table).view(alive));
        self.disk.call("view", READ, view).await
    }

    async fn take(
        &self,
        owner: &str,
        names: &[String],
        term: Duration,
    ) -> Result<Vec<Lease>, StoreError> {
        let take = || {
            let mut table = lock(&self.table);
            let names = names.iter();
            let taken: Vec<Lease> = names
                .filter_map(|name| table.take(owner, name, term))
                .collect();
            drop(table);
            let trace = &self.disk.world.trace;
            trace.tell(format_args!("{owner} takes {taken:?}"));
            Ok(taken)
        };
        self.disk.call("take", WRITE, take).await
    }

    async fn renew(
        &self,
        owner: &str,
        held: &[Lease],
        term: Duration,
    ) -> Result<Vec<String>, StoreError> {
        let renew = || {
            let mut table = lock(&self.table);
            let held = held.iter();
            let kept = held.filter(|lease| table.renew(owner, lease, term));
            Ok(kept.map(|lease| lease.name.clone()).collect())
        };
        self.disk.call("renew", WRITE, renew).await
    }

    async fn release(&self, held: &[Lease]) -> Result<(), StoreError> {
        let release = || {
            let mut table = lock(&self.table);
            for lease in held {
                table.release(lease);
            }
            drop(table);
            let trace = &self.disk.world.trace;
            trace.tell(format_args!("released: {held:?}"));
            Ok(())
        };
        self.disk.call("release", WRITE, release).await
    }

    async fn leave(&self, name: &str) -> Result<(), StoreError> {
        let leave = || {
            lock(&self.table).daemons.remove(name);
            Ok(())
        };
        self.disk.call("leave", WRITE, leave).await
    }

    fn fenced(&self, lease: &Lease) -> Arc<dyn Store> {
        let server = self.disk.server.clone().map(|server| Connection {
            lease: Some(lease.clone()),
            ..server
        });
        Arc::new(Disk {
            server,
            ..self.disk.clone()
        })
    }
}
