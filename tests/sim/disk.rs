//! The daemon's database in this world: the real store on a real file, behind a wrapper that fails,
//! dawdles, and stops the daemon before or after any call.
//!
//! A call of the real store is made in one piece, the thread of the simulation waiting for it: so
//! SQLite's own threads decide nothing, and the same seed gives the same story. What overlaps is
//! decided by the virtual time that a call takes before and after.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use payrecond::clock::Clock as _;
use payrecond::domain::account::AccountState;
use payrecond::domain::audit::{AuditRow, Discrepancy};
use payrecond::domain::decide::Decision;
use payrecond::domain::invoice::{AccountName, ExternalId, Invoice, InvoiceId, OrderId};
use payrecond::domain::observation::ObservedOrder;
use payrecond::domain::state::Status;
use payrecond::domain::time::UnixMillis;
use payrecond::domain::transaction::Transaction;
use payrecond::store::sqlite::SqliteStore;
use payrecond::store::{
    AccountRecord, BudgetAsk, Consumer, DueRow, ListBeginning, QueuePlace, Store, StoreError,
    StoredEvent, Written,
};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

use crate::clock::{BEGINNING, SharedClock};
use crate::cluster::server::Connection;
use crate::model;
use crate::world::SharedWorld;

/// More calls than this in one life: somebody spins.
const MOST_CALLS: u32 = 60_000;

/// What lies between the answer that asks for a wait and its record is left out of the record.
const PROMPT: Duration = Duration::from_secs(1);

/// The runtime of the database: timers and tasks of its library live there, in real time.
static DATABASE: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime for the database")
});

/// Waits for the database without letting anybody else run.
pub fn wait_for<F: Future>(future: F) -> F::Output {
    let _inside = DATABASE.enter();
    futures::executor::block_on(tokio::task::unconstrained(future))
}

/// Where the daemon is to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At so many calls that write.
    Write,
    /// At so many commits.
    Commit,
    /// At so many flushes of the feed.
    Flush,
}

/// When the daemon dies, if it does.
#[derive(Clone, Copy, Debug)]
pub struct Death {
    pub place: Place,
    pub countdown: u32,
    /// What it is at has happened by then.
    pub after: bool,
}

/// Kills the daemon: whoever comes to the fatal place goes no further, and the life is told to end.
#[derive(Default)]
pub struct Reaper {
    death: Mutex<Option<Death>>,
    dead: AtomicBool,
    pub died: Notify,
}

impl Reaper {
    pub fn new(death: Option<Death>) -> Self {
        Self {
            death: Mutex::new(death),
            ..Self::default()
        }
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Comes to a place; the answer is when to die of it, if it is the one.
    pub fn comes_to(&self, place: Place) -> Option<Death> {
        let mut death = self.death.lock().unwrap_or_else(PoisonError::into_inner);
        let planned = death.as_mut().filter(|death| death.place == place)?;
        if planned.countdown > 0 {
            planned.countdown -= 1;
            return None;
        }
        death.take()
    }

    pub fn kill(&self) {
        self.dead.store(true, Ordering::Relaxed);
        self.died.notify_one();
    }

    pub async fn die(&self) {
        self.kill();
        std::future::pending::<()>().await;
    }
}

/// The store of one life of the daemon.
#[derive(Clone)]
pub struct Disk {
    pub inner: Arc<SqliteStore>,
    pub world: SharedWorld,
    pub clock: SharedClock,
    pub reaper: Arc<Reaper>,
    /// Whether it fails now and then.
    pub is_bad: Arc<AtomicBool>,
    pub rng: Arc<Mutex<fastrand::Rng>>,
    pub calls: Arc<AtomicU32>,
    /// Where several daemons use one database.
    pub server: Option<Connection>,
}

/// What is about to happen at a call.
pub struct Omen {
    pub before: Duration,
    pub after: Duration,
    pub fails: bool,
    pub fails_afterwards: bool,
}

impl Disk {
    pub fn omen(&self, writes: bool) -> Omen {
        let slow = self.world.lock().nature.slow_disk;
        let bad = self.is_bad.load(Ordering::Relaxed);
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wait = || match rng.u8(..8) {
            0..=3 if slow => Duration::from_millis(rng.u64(1..120)),
            _ => Duration::ZERO,
        };
        let (before, after) = (wait(), wait());
        let fails = bad && rng.u8(..12) == 0;
        Omen {
            before,
            after,
            fails,
            fails_afterwards: bad && writes && !fails && rng.u8(..10) == 0,
        }
    }

    /// Whoever has the account next can know of a wait, or a refused key, that was recorded.
    fn note_record(&self, record: &AccountRecord) {
        let mut world = self.world.lock();
        let Some(account) = world.account(&record.name.0) else {
            return;
        };
        let token = self.server.as_ref().and_then(Connection::token);
        let store = &mut world.stores[account];
        if record.state == AccountState::KeyRefused {
            store.refused_under = token;
        } else if store.refused_under == token {
            // A new owner that forgets the refusal records another state, too.
            store.refused_under = None;
        }
        let until = record.resume_at;
        if let Some(wait) = &mut world.stores[account].held {
            let is_told = until.is_some_and(|at| at >= BEGINNING.plus(wait.to).minus(PROMPT));
            wait.is_recorded = is_told;
        }
    }

    pub fn draw<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub async fn dawdle(&self, time: Duration) {
        if !time.is_zero() {
            self.clock.sleep(time).await;
        }
    }

    pub async fn call<T: Send>(
        &self,
        name: &'static str,
        place: Option<Place>,
        run: impl FnOnce() -> Result<T, StoreError> + Send,
    ) -> Result<T, StoreError> {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        assert!(calls < MOST_CALLS, "somebody spins at the database: {name}");
        let omen = self.omen(place.is_some());
        if let Some(server) = &self.server {
            server.be_reached(self).await?;
        }
        self.dawdle(omen.before).await;
        let death = place.and_then(|place| self.comes_to(place));
        if let Some(death) = death.filter(|death| !death.after) {
            self.world
                .trace
                .tell(format_args!("killed before {name}: {death:?}"));
            self.reaper.die().await;
        }
        if omen.fails {
            self.world
                .trace
                .tell(format_args!("the disk fails: {name}"));
            return Err(StoreError::Unavailable("disk I/O error".into()));
        }
        let outcome = match &self.server {
            Some(server) if place.is_some() => server.under_lease(run),
            Some(_) | None => run(),
        };
        if death.is_some() {
            self.world
                .trace
                .tell(format_args!("killed after {name}: {death:?}"));
            self.reaper.die().await;
        }
        self.dawdle(omen.after).await;
        if omen.fails_afterwards {
            self.world
                .trace
                .tell(format_args!("the disk fails, having written: {name}"));
            return Err(StoreError::Unavailable("disk I/O error at COMMIT".into()));
        }
        outcome
    }

    /// A commit is a write as well.
    pub fn comes_to(&self, place: Place) -> Option<Death> {
        let death = self.reaper.comes_to(place);
        match place {
            Place::Commit => death.or_else(|| self.reaper.comes_to(Place::Write)),
            Place::Write | Place::Flush => death,
        }
    }
}

pub const READ: Option<Place> = None;
pub const WRITE: Option<Place> = Some(Place::Write);
pub const COMMIT: Option<Place> = Some(Place::Commit);

/// A method that does what the real store does.
macro_rules! passes_on {
    ($self:ident, $kind:expr, $name:ident ( $($argument:expr),* )) => {
        $self
            .call(stringify!($name), $kind, || wait_for($self.inner.$name($($argument),*)))
            .await
    };
}

#[async_trait]
impl Store for Disk {
    async fn due_after(
        &self,
        account: &AccountName,
        after: QueuePlace,
        until: UnixMillis,
        limit: u32,
    ) -> Result<Vec<DueRow>, StoreError> {
        passes_on!(self, READ, due_after(account, after, until, limit))
    }

    async fn inserted_after(
        &self,
        account: &AccountName,
        id: InvoiceId,
        limit: u32,
    ) -> Result<Vec<DueRow>, StoreError> {
        passes_on!(self, READ, inserted_after(account, id, limit))
    }

    async fn list_beginning(&self, account: &AccountName) -> Result<ListBeginning, StoreError> {
        passes_on!(self, READ, list_beginning(account))
    }

    async fn has_pending(&self, account: &AccountName) -> Result<bool, StoreError> {
        passes_on!(self, READ, has_pending(account))
    }

    async fn load(&self, ids: &[InvoiceId]) -> Result<Vec<Invoice>, StoreError> {
        passes_on!(self, READ, load(ids))
    }

    async fn match_orders(
        &self,
        account: &AccountName,
        orders: &[(&OrderId, Option<&ExternalId>)],
    ) -> Result<Vec<(usize, Invoice)>, StoreError> {
        passes_on!(self, READ, match_orders(account, orders))
    }

    async fn invoices_of_orders(
        &self,
        account: &AccountName,
        orders: &[OrderId],
    ) -> Result<Vec<(usize, Invoice)>, StoreError> {
        passes_on!(self, READ, invoices_of_orders(account, orders))
    }

    async fn without_amounts(
        &self,
        account: &AccountName,
        since: UnixMillis,
        limit: u32,
    ) -> Result<Vec<(OrderId, UnixMillis)>, StoreError> {
        passes_on!(self, READ, without_amounts(account, since, limit))
    }

    async fn next_plan(
        &self,
        account: &AccountName,
        after: UnixMillis,
    ) -> Result<Option<UnixMillis>, StoreError> {
        passes_on!(self, READ, next_plan(account, after))
    }

    async fn mark_creations_sent(
        &self,
        ids: &[InvoiceId],
        now: UnixMillis,
    ) -> Result<Vec<InvoiceId>, StoreError> {
        passes_on!(self, WRITE, mark_creations_sent(ids, now))
    }

    async fn commit(
        &self,
        decisions: &[Decision],
        now: UnixMillis,
    ) -> Result<Vec<Written>, StoreError> {
        if let Some(server) = &self.server {
            return server.commit(self, decisions, now).await;
        }
        self.call("commit", COMMIT, || {
            let written = wait_for(self.inner.commit(decisions, now))?;
            model::committed(&self.world, &self.clock, decisions, &written);
            Ok(written)
        })
        .await
    }

    async fn commit_audit_decision(
        &self,
        decision: &Decision,
        now: UnixMillis,
    ) -> Result<Written, StoreError> {
        self.call("commit_audit_decision", COMMIT, || {
            let written = wait_for(self.inner.commit_audit_decision(decision, now))?;
            let (decisions, outcomes) = (std::slice::from_ref(decision), [written.clone()]);
            model::committed(&self.world, &self.clock, decisions, &outcomes);
            Ok(written)
        })
        .await
    }

    async fn events_after(&self, seq: i64, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
        passes_on!(self, READ, events_after(seq, limit))
    }

    async fn first_seq(&self) -> Result<i64, StoreError> {
        passes_on!(self, READ, first_seq())
    }

    async fn consumer(&self, name: &str) -> Result<i64, StoreError> {
        passes_on!(self, WRITE, consumer(name))
    }

    async fn acknowledge(&self, name: &str, seq: i64) -> Result<(), StoreError> {
        passes_on!(self, WRITE, acknowledge(name, seq))
    }

    async fn consumers(&self) -> Result<Vec<Consumer>, StoreError> {
        passes_on!(self, READ, consumers())
    }

    async fn flag_unknown_accounts(
        &self,
        known: &[AccountName],
        now: UnixMillis,
    ) -> Result<Vec<AccountName>, StoreError> {
        passes_on!(self, WRITE, flag_unknown_accounts(known, now))
    }

    async fn clamp_future_plans(
        &self,
        horizons: &[(Status, UnixMillis)],
        now: UnixMillis,
        limit: u32,
    ) -> Result<u64, StoreError> {
        passes_on!(self, WRITE, clamp_future_plans(horizons, now, limit))
    }

    async fn record_account(&self, account: &AccountRecord) -> Result<(), StoreError> {
        self.call("record_account", WRITE, || {
            wait_for(self.inner.record_account(account))?;
            self.note_record(account);
            Ok(())
        })
        .await
    }

    async fn account(&self, account: &AccountName) -> Result<Option<AccountRecord>, StoreError> {
        passes_on!(self, READ, account(account))
    }

    async fn ask_for_budget(&self, ask: &BudgetAsk, now: UnixMillis) -> Result<bool, StoreError> {
        passes_on!(self, WRITE, ask_for_budget(ask, now))
    }

    async fn budget_asks(&self) -> Result<Vec<BudgetAsk>, StoreError> {
        passes_on!(self, READ, budget_asks())
    }

    async fn grant_budget(
        &self,
        account: &AccountName,
        until: UnixMillis,
    ) -> Result<(), StoreError> {
        passes_on!(self, WRITE, grant_budget(account, until))
    }

    async fn budget_grant(&self, account: &AccountName) -> Result<Option<UnixMillis>, StoreError> {
        passes_on!(self, READ, budget_grant(account))
    }

    async fn prune_outbox(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError> {
        passes_on!(self, WRITE, prune_outbox(before, limit))
    }

    async fn prune_invoices(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError> {
        passes_on!(self, WRITE, prune_invoices(before, limit))
    }

    async fn prune_transactions(&self, before: UnixMillis, limit: u32) -> Result<u64, StoreError> {
        passes_on!(self, WRITE, prune_transactions(before, limit))
    }

    async fn match_transactions(
        &self,
        account: &AccountName,
        transactions: &[Transaction],
    ) -> Result<Vec<(usize, Invoice)>, StoreError> {
        passes_on!(self, READ, match_transactions(account, transactions))
    }

    async fn keep_ledger(
        &self,
        account: &AccountName,
        provider: &str,
        unmatched: &[Transaction],
        place: &str,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        passes_on!(
            self,
            WRITE,
            keep_ledger(account, provider, unmatched, place, now)
        )
    }

    async fn unmatched_transactions(
        &self,
        account: &AccountName,
        labels: &[&ExternalId],
    ) -> Result<Vec<Transaction>, StoreError> {
        passes_on!(self, READ, unmatched_transactions(account, labels))
    }

    async fn audit_rows_of(
        &self,
        account: &AccountName,
        orders: &[ObservedOrder],
    ) -> Result<Vec<(usize, AuditRow)>, StoreError> {
        passes_on!(self, READ, audit_rows_of(account, orders))
    }

    async fn audit_rows_by_id(&self, ids: &[InvoiceId]) -> Result<Vec<AuditRow>, StoreError> {
        passes_on!(self, READ, audit_rows_by_id(ids))
    }

    async fn audit_rows_after(
        &self,
        account: &AccountName,
        after: InvoiceId,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError> {
        passes_on!(self, READ, audit_rows_after(account, after, limit))
    }

    async fn record_findings(
        &self,
        provider: &str,
        findings: &[Discrepancy],
        now: UnixMillis,
    ) -> Result<u64, StoreError> {
        passes_on!(self, WRITE, record_findings(provider, findings, now))
    }

    async fn adopt(
        &self,
        account: &AccountName,
        orders: &[ObservedOrder],
    ) -> Result<Vec<OrderId>, StoreError> {
        passes_on!(self, WRITE, adopt(account, orders))
    }

    async fn adopt_labels(
        &self,
        account: &AccountName,
        labels: &[ExternalId],
    ) -> Result<Vec<ExternalId>, StoreError> {
        passes_on!(self, WRITE, adopt_labels(account, labels))
    }

    async fn invoice(&self, id: InvoiceId) -> Result<Option<Invoice>, StoreError> {
        passes_on!(self, READ, invoice(id))
    }

    async fn change_counter(&self) -> Result<i64, StoreError> {
        passes_on!(self, READ, change_counter())
    }
}
