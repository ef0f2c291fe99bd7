//! The server of the database: a statement that it has been sent goes on there, whatever becomes of the
//! daemon, and a commit may stand for a while before others see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use payrecond::clock::Clock as _;
use payrecond::domain::decide::Decision;
use payrecond::domain::shares::account_lease;
use payrecond::domain::time::UnixMillis;
use payrecond::store::{Lease, Store as _, StoreError, Written};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::clock::SharedClock;
use crate::cluster::leases::{SharedLeases, lock};
use crate::cluster::machine::Machine;
use crate::disk::{Disk, Place, wait_for};
use crate::model;

/// How long a daemon waits for a server that it cannot reach.
const CONNECTS_WITHIN: Duration = Duration::from_secs(1);

/// The server.
pub struct Server {
    pub machine: Machine,
    /// The database's clock.
    pub clock: SharedClock,
    pub leases: SharedLeases,
    /// Statements sent and answered.
    pub posts: Arc<AtomicU64>,
}

/// One daemon's connection, or that of a task under its lease.
#[derive(Clone)]
pub struct Connection {
    pub daemon: usize,
    pub clock: SharedClock,
    pub leases: SharedLeases,
    pub statements: Handle,
    pub posts: Arc<AtomicU64>,
    /// Nothing comes through.
    pub is_cut: Arc<AtomicBool>,
    /// Now and then a call takes seconds.
    pub lags: bool,
    pub lease: Option<Lease>,
}

/// A commit that the server has been sent.
struct Statement {
    disk: Disk,
    decisions: Vec<Decision>,
    now: UnixMillis,
    /// On its way, and before its lease is looked at.
    before: Duration,
    /// From then on until it is seen.
    stands: Duration,
}

impl Connection {
    /// Fails where the server cannot be reached.
    pub async fn be_reached(&self, disk: &Disk) -> Result<(), StoreError> {
        let lag = self.lag(disk);
        disk.dawdle(lag).await;
        if !self.is_cut.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.clock.sleep(CONNECTS_WITHIN).await;
        Err(StoreError::Unavailable("no answer of the server".into()))
    }

    fn lag(&self, disk: &Disk) -> Duration {
        match disk.draw(|rng| (rng.u8(..40), rng.u64(..2_500))) {
            (0, millis) if self.lags => Duration::from_millis(millis),
            _ => Duration::ZERO,
        }
    }

    /// The token of the task's lease.
    pub fn token(&self) -> Option<i64> {
        self.lease.as_ref().map(|lease| lease.token)
    }

    /// Makes a write of a task unless its lease was taken.
    pub fn under_lease<T>(
        &self,
        run: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &self.lease {
            Some(lease) if !lock(&self.leases).is_current(lease) => Err(lost(lease)),
            Some(_) | None => run(),
        }
    }

    /// Sends a commit, which goes on in the server.
    pub async fn commit(
        &self,
        disk: &Disk,
        decisions: &[Decision],
        now: UnixMillis,
    ) -> Result<Vec<Written>, StoreError> {
        let omen = disk.omen(true);
        self.be_reached(disk).await?;
        let death = disk.comes_to(Place::Commit);
        if let Some(death) = death.filter(|death| !death.after) {
            let trace = &disk.world.trace;
            trace.tell(format_args!("killed before a commit: {death:?}"));
            disk.reaper.die().await;
        }
        if omen.fails {
            return Err(StoreError::Unavailable("connection reset".into()));
        }
        let (answer, answered) = oneshot::channel();
        let statement = self.statement(disk, decisions, now, omen.before);
        self.posts.fetch_add(1, Ordering::Relaxed);
        self.statements
            .spawn(self.clone().run_statement(statement, answer));
        if death.is_some() {
            let trace = &disk.world.trace;
            trace.tell(format_args!("killed while a commit stands: {death:?}"));
            disk.reaper.die().await;
        }
        let gone = || {
            Err(StoreError::Unavailable(
                "server closed the connection".into(),
            ))
        };
        let outcome = answered.await.unwrap_or_else(|_| gone());
        disk.dawdle(omen.after).await;
        if omen.fails_afterwards {
            return Err(StoreError::Unavailable("connection lost at COMMIT".into()));
        }
        outcome
    }

    fn statement(
        &self,
        disk: &Disk,
        decisions: &[Decision],
        now: UnixMillis,
        before: Duration,
    ) -> Statement {
        let (way, is_slow, stands) =
            disk.draw(|rng| (rng.u8(..25), rng.u8(..10) == 0, rng.u64(..4_000)));
        let millis = Duration::from_millis(stands);
        let is_lost_on_its_way = self.lags && way == 0;
        Statement {
            disk: disk.clone(),
            decisions: decisions.to_vec(),
            now,
            before: before
                + if is_lost_on_its_way {
                    millis * 6
                } else {
                    Duration::ZERO
                },
            stands: if is_slow { millis } else { Duration::ZERO },
        }
    }

    async fn run_statement(
        self,
        statement: Statement,
        answer: oneshot::Sender<Result<Vec<Written>, StoreError>>,
    ) {
        self.clock.sleep(statement.before).await;
        let outcome = self.commit_in_server(&statement).await;
        self.posts.fetch_add(1, Ordering::Relaxed);
        // Who waited may be gone.
        drop(answer.send(outcome));
    }

    /// The row of the lease is held against a new owner from the moment at which it was looked at.
    async fn commit_in_server(&self, statement: &Statement) -> Result<Vec<Written>, StoreError> {
        let Statement {
            disk, decisions, ..
        } = statement;
        self.under_lease(|| Ok(()))?;
        self.hold_lease(1);
        if !statement.stands.is_zero() {
            self.clock.sleep(statement.stands).await;
        }
        let written = wait_for(disk.inner.commit(decisions, statement.now));
        self.hold_lease(-1);
        let written = written?;
        self.judge(disk, decisions);
        model::committed(&disk.world, &self.clock, decisions, &written);
        Ok(written)
    }

    /// Nothing is written by a daemon whose lease was taken.
    fn judge(&self, disk: &Disk, decisions: &[Decision]) {
        let leases = lock(&self.leases);
        let mut names = decisions
            .iter()
            .map(|decision| account_lease(&decision.row.account.0));
        let taken = names.find(|name| !leases.was_last_held_by(name, self.daemon));
        let holds = taken.is_none();
        let how = || format!("daemon {}: {taken:?}", self.daemon);
        disk.world
            .trace
            .hold("nothing is written after its lease was taken", holds, how);
    }

    fn hold_lease(&self, by: i32) {
        if let Some(lease) = &self.lease {
            lock(&self.leases).change_writes(lease, by);
        }
    }
}

fn lost(lease: &Lease) -> StoreError {
    StoreError::LeaseLost(format!("lease {} was taken by another daemon", lease.name))
}
