//! The dependencies of a poller.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch::Receiver;

use crate::clock::Clock;
use crate::domain::cadence::Cadence;
use crate::domain::decide::Rules;
use crate::domain::invoice::AccountName;
use crate::domain::planner::spans::SpanTerms;
use crate::domain::planner::{Shapes, Strategy, Terms};
use crate::jobs::{CommitSignal, Heartbeat, StatusLines};
use crate::limit::SharedLimiter;
use crate::metrics::AccountMeter;
use crate::provider::{FetchOrders, KeyReader, ListByTime, ListOrders, Provider, SpanKind};
use crate::store::Store;

/// The dependencies of a poller.
#[derive(Clone)]
pub struct PollSetup {
    /// The account.
    pub account: AccountName,
    /// Its provider.
    pub provider: Arc<dyn Provider>,
    /// Reads its key again.
    pub read_key: KeyReader,
    /// The database.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The account's limits, shared by all that make requests on its behalf.
    pub limiter: SharedLimiter,
    /// The settings of the account.
    pub settings: PollSettings,
    /// What other tasks are told, and what wakes this one.
    pub signals: PollSignals,
    /// Seed of the jitter.
    pub seed: u64,
}

/// The settings that a poller follows.
#[derive(Clone, Debug)]
pub struct PollSettings {
    /// When to poll.
    pub cadence: Cadence,
    /// Time after which "not found" counts.
    pub not_found_grace: Duration,
    /// The settings that affect decisions.
    pub rules: Rules,
    /// New rows are noticed at most this late.
    pub intake_interval: Duration,
    /// Which requests the account may make.
    pub strategy: Strategy,
    /// Decoded bytes per second for pages beyond due entries; 0 = no such pages.
    pub list_bytes_per_second: u64,
}

/// A poller's connections to the other tasks.
#[derive(Clone)]
pub struct PollSignals {
    /// Wakes the feeds after a commit.
    pub committed: Arc<CommitSignal>,
    /// Signals a write to the database: more may be due than was planned.
    pub changed: Receiver<()>,
    /// Updated at each turn.
    pub heartbeat: Heartbeat,
    /// Where the account's status line is set.
    pub status_lines: StatusLines,
    /// Where the account's work is counted.
    pub meter: AccountMeter,
}

impl PollSetup {
    /// The parameters of this account's planner.
    pub(super) fn terms(&self) -> Terms {
        let fetches = self.provider.fetches().map(FetchOrders::batch_limit);
        let page_limit = self.provider.lists().map(ListOrders::page_limit);
        let by_id = fetches.filter(|_| self.settings.strategy != Strategy::List);
        let by_page = page_limit.filter(|_| self.settings.strategy != Strategy::Single);
        // If the strategy leaves no kind of request, the available kinds are used.
        let (by_id, by_page) = if by_id.is_none() && by_page.is_none() {
            (fetches, page_limit)
        } else {
            (by_id, by_page)
        };
        Terms {
            shapes: Shapes {
                single: by_id.is_some(),
                batch_limit: by_id.filter(|limit| *limit > 1).unwrap_or(0),
                page_limit: by_page.unwrap_or(0),
            },
            list_bytes_per_second: self.settings.list_bytes_per_second,
            requests_per_second: self.limiter.lock().rate().unwrap_or(0.0),
            intervals: (
                self.settings.cadence.min_interval,
                self.settings.cadence.max_interval,
            ),
        }
    }

    /// The parameters of the planner of its list by time.
    pub(super) fn span_terms(&self) -> SpanTerms {
        let list = self.provider.lists_by_time();
        let lists = |kind| list.is_some_and(|list| list.lists_by(kind));
        let may_list = self.settings.strategy != Strategy::Single;
        // Batches and positions cover more orders at once.
        let polls_alone = self.provider.lists().is_none()
            && self
                .provider
                .fetches()
                .is_some_and(|fetches| fetches.batch_limit() == 1);
        let created = lists(SpanKind::Created) && polls_alone;
        SpanTerms {
            paid: lists(SpanKind::Paid) && polls_alone && may_list,
            created: created && may_list,
            is_preferred: self.settings.strategy == Strategy::List,
            follows: lists(SpanKind::Created),
            refunds: self.provider.lists_refunds().is_some(),
            page_limit: list.map_or(0, ListByTime::page_limit),
            bytes_per_second: self.settings.list_bytes_per_second,
            requests_per_second: self.limiter.lock().rate().unwrap_or(0.0),
            min_interval: self.settings.cadence.min_interval,
        }
    }
}
