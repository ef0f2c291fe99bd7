//! Counts that take time, made in the background and cached: statuses, overdue polls, lags, sizes,
//! the last day. Requests wait only briefly for them, and nothing is counted without requests.

mod day;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as Turn;

use crate::clock::Clock;
use crate::domain::invoice::AccountName;
use crate::domain::shares::ClusterView;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::store::{COUNTED_UP_TO, Lag, Overdue, Reports, StoreError};

pub(super) use day::{Day, HOURS, Hour};

/// How long counts are cached, at least and at most.
const KEPT_FOR: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// Counting takes at most this share of the time.
const COUNTING_SHARE: u32 = 100;
/// Pause between two parts of a long last day.
const BREATH: Duration = Duration::from_millis(50);

/// The counts of one moment.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) at: UnixMillis,
    /// When they are to be counted again, by the monotonic clock.
    kept_until: Duration,
    pub(super) by_status: Vec<(Status, i64)>,
    pub(super) overdue: BTreeMap<String, Overdue>,
    /// The accounts that no daemon has in its configuration, with the number of invoices that wait.
    pub(super) unknown: Vec<(AccountName, i64)>,
    pub(super) lags: Vec<Lag>,
    /// Bytes of the database and of its write-ahead log, where known.
    pub(super) sizes: Option<(u64, u64)>,
    /// Who polls what, where several daemons share the database.
    pub(super) cluster: Option<ClusterView>,
    pub(super) day: Day,
}

/// Counts and caches.
pub(super) struct Keeper {
    store: Arc<dyn Reports>,
    clock: Arc<dyn Clock>,
    accounts: Vec<AccountName>,
    kept: Mutex<Option<Arc<Snapshot>>>,
    /// One task counts at a time.
    day: Turn<Day>,
}

impl Keeper {
    pub(super) fn new(
        store: Arc<dyn Reports>,
        clock: Arc<dyn Clock>,
        accounts: Vec<AccountName>,
    ) -> Self {
        Self {
            store,
            clock,
            accounts,
            kept: Mutex::new(None),
            day: Turn::new(Day::default()),
        }
    }

    /// Counts until the last day has been read as far back as it goes.
    pub(super) async fn catch_up(self: Arc<Self>) {
        loop {
            match self.count().await {
                Ok(facts) if facts.day.is_complete() => return,
                Ok(_) | Err(_) => self.clock.sleep(BREATH).await,
            }
        }
    }

    /// The counts: at most a few seconds old if they are ready within `patience`, else older.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub(super) async fn facts(
        self: &Arc<Self>,
        patience: Duration,
    ) -> Result<Arc<Snapshot>, StoreError> {
        if let Some(facts) = self.young() {
            return Ok(facts);
        }
        let keeper = Arc::clone(self);
        // A separate task, since the request may be dropped before the end.
        let counting = tokio::spawn(async move { keeper.count().await });
        match tokio::time::timeout(patience, counting).await {
            Ok(Ok(counted)) => counted,
            Ok(Err(error)) => Err(StoreError::Unavailable(error.to_string())),
            Err(_) => self
                .kept()
                .ok_or_else(|| StoreError::Unavailable("counts are not ready yet".into())),
        }
    }

    async fn count(&self) -> Result<Arc<Snapshot>, StoreError> {
        let mut day = self.day.lock().await;
        if let Some(facts) = self.young().filter(|facts| facts.day.is_complete()) {
            return Ok(facts);
        }
        let now = self.clock.now();
        let begun = self.clock.monotonic();
        day.read_on(self.store.as_ref(), now).await?;
        let mut overdue = BTreeMap::new();
        for account in &self.accounts {
            overdue.insert(account.0.clone(), self.store.overdue(account, now).await?);
        }
        let facts = Arc::new(Snapshot {
            at: now,
            unknown: self.store.invoices_of_unknown_accounts().await?,
            by_status: self.store.count_by_status().await?,
            overdue,
            lags: self.store.lags(COUNTED_UP_TO).await?,
            sizes: self.store.sizes().await.ok(),
            cluster: self.store.cluster().await?,
            day: day.clone(),
            kept_until: keep_until(begun, self.clock.monotonic()),
        });
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&facts));
        Ok(facts)
    }

    fn kept(&self) -> Option<Arc<Snapshot>> {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn young(&self) -> Option<Arc<Snapshot>> {
        let now = self.clock.monotonic();
        self.kept().filter(|facts| now < facts.kept_until)
    }
}

/// Until when counts are kept that were made between `begun` and `ended`: those of a small database are
/// made again soon.
fn keep_until(begun: Duration, ended: Duration) -> Duration {
    let (shortest, longest) = KEPT_FOR;
    ended + (ended.saturating_sub(begun) * COUNTING_SHARE).clamp(shortest, longest)
}
