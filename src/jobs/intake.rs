//! Intake: marks invoices of accounts that are not configured, corrects plans that lie too far
//! ahead because the clock was set back, and lends parts of rate limits. New rows need no intake:
//! they are due at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::cadence::Cadence;
use crate::domain::invoice::AccountName;
use crate::domain::state::Status;
use crate::jobs::Heartbeat;
use crate::jobs::lending::Lender;
use crate::jobs::share::WorkShare;
use crate::store::{Store, StoreError};

/// Plans are checked this often, even if no jump of the clock was noticed.
const CHECK_PLANS_EVERY: Duration = Duration::from_mins(10);
/// If the wall clock loses more than this against the monotonic one, it was set back.
const JUMP: Duration = Duration::from_secs(1);
/// Maximum number of plans that one transaction corrects, so that other programs can write.
const CORRECTED_AT_ONCE: u32 = 1000;

/// The intake task.
pub struct Intake {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    cadence: Cadence,
    known: Vec<AccountName>,
    heartbeat: Heartbeat,
    lender: Option<Lender>,
    share: WorkShare,
    reported: BTreeSet<AccountName>,
    seen_change: Option<i64>,
    /// Wall and monotonic time when the plans were last checked.
    plans_checked: Option<(crate::domain::time::UnixMillis, Duration)>,
}

impl Intake {
    /// Intake for the configured accounts, enabled or not.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        cadence: Cadence,
        known: Vec<AccountName>,
        heartbeat: Heartbeat,
    ) -> Self {
        Self {
            share: WorkShare::alone(Arc::clone(&store)),
            store,
            clock,
            cadence,
            known,
            heartbeat,
            lender: None,
            reported: BTreeSet::new(),
            seen_change: None,
            plans_checked: None,
        }
    }

    /// Also lends parts of rate limits to processes beside the daemon.
    #[must_use]
    pub fn lending(self, lender: Lender) -> Self {
        Self {
            lender: Some(lender),
            ..self
        }
    }

    /// The same, which sees to all accounts only where that is this daemon's task.
    #[must_use]
    pub fn sharing(self, share: WorkShare) -> Self {
        Self { share, ..self }
    }

    /// One run; cheap if nothing was written since the last one. Returns whether anything was.
    pub async fn run_once(&mut self) -> Result<bool, StoreError> {
        self.heartbeat.beat(self.clock.monotonic());
        self.check_plans().await?;
        let change = self.store.change_counter().await?;
        if self.seen_change == Some(change) {
            if let Some(lender) = self.lender.as_mut().filter(|lender| lender.is_pending()) {
                lender.run_once().await?;
            }
            return Ok(false);
        }
        self.flag_unknown().await?;
        if let Some(lender) = &mut self.lender {
            lender.run_once().await?;
        }
        self.seen_change = Some(self.store.change_counter().await?);
        Ok(true)
    }

    /// Known is what any daemon could poll.
    async fn flag_unknown(&mut self) -> Result<(), StoreError> {
        let Some(store) = self.share.housekeeping() else {
            return Ok(());
        };
        let known = self.share.known(&self.known);
        let unknown = store
            .flag_unknown_accounts(&known, self.clock.now())
            .await?;
        for account in &unknown {
            if self.reported.insert(account.clone()) {
                tracing::warn!(%account, "account of invoices is not in the configuration; they wait");
            }
        }
        self.reported.retain(|account| unknown.contains(account));
        Ok(())
    }

    async fn check_plans(&mut self) -> Result<(), StoreError> {
        let Some(store) = self.share.housekeeping() else {
            self.plans_checked = None;
            return Ok(());
        };
        let (wall, monotonic) = (self.clock.now(), self.clock.monotonic());
        if let Some((wall_then, monotonic_then)) = self.plans_checked {
            let passed = monotonic.saturating_sub(monotonic_then);
            let jumped_back = wall.plus(JUMP) < wall_then.plus(passed);
            if !jumped_back && passed < CHECK_PLANS_EVERY {
                return Ok(());
            }
        }
        let waiting = [
            Status::Requested,
            Status::Pending,
            Status::Review,
            Status::Expired,
            Status::Cancelled,
        ];
        let horizons =
            waiting.map(|status| (status, wall.plus(self.cadence.horizon(status)).plus(JUMP)));
        let mut corrected = 0;
        loop {
            // Now, not in the past: the queue is read in order and has passed that time.
            let now = self.clock.now();
            let some = store
                .clamp_future_plans(&horizons, now, CORRECTED_AT_ONCE)
                .await?;
            corrected += some;
            if some < u64::from(CORRECTED_AT_ONCE) {
                break;
            }
        }
        if corrected > 0 {
            tracing::warn!(
                invoices = corrected,
                "clock was set back; polls planned too far ahead are due now"
            );
        }
        self.plans_checked = Some((wall, monotonic));
        Ok(())
    }
}
