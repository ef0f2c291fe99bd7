//! One entry of the schedule.

use std::time::Duration;

use super::Tick;
use crate::domain::invoice::InvoiceId;
use crate::domain::planner::cover::By;
use crate::domain::planner::{Candidate, Place, Shapes};
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::store::DueRow;

const UNKNOWN: u32 = u32::MAX;

/// What is being done about an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::jobs::poll) enum EntryState {
    /// Nobody's: the slot can be used again.
    Free,
    /// Not due before its time.
    Resting,
    /// Due, and nothing has been done about it.
    Due,
    /// Being polled, or what was observed is being written.
    InHand,
    /// As `InHand`, of an invoice whose row is not due: a page showed it.
    Borrowed,
}

/// What may be done about an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::jobs::poll) enum EntryKind {
    /// It has no order yet: to be created. No page shows it.
    Create,
    /// Waits for money: a page that shows it open, on the same terms, is a poll and changes nothing.
    Open,
    /// Any poll of it writes its row: it has ended, or something about it is unsettled.
    Row,
    /// As `Row`, of one that has ended and about which nothing is unsettled.
    Ended,
    /// As `Row`, while its order's id is not known: it is found by its external id.
    Followed,
}

/// What polls of an entry came to, and how far the list is believed about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::jobs::poll) enum Trust {
    /// No poll ever brought an answer, or the last one did not.
    New,
    /// Polled before.
    Known,
    /// Its last polls failed.
    Failing,
    /// The list does not settle it: a request of its own does.
    Doubtful,
    /// A complete reading of the list did not show it.
    Missing,
}

/// One invoice in the schedule. A million of them must be small.
#[derive(Clone, Debug)]
pub(in crate::jobs::poll) struct Entry {
    pub(in crate::jobs::poll) id: InvoiceId,
    /// Fingerprint of what answers name it by.
    pub(in crate::jobs::poll) key: u64,
    /// Fingerprint of what a page must show for nothing to have changed.
    pub(in crate::jobs::poll) terms: u32,
    position: u32,
    created_s: u32,
    expiry_s: u32,
    /// When the provider last told of it, in whole seconds; 0 = never.
    known_s: u32,
    /// So many seconds before, capped, it told the state: since then only that no payment came.
    unpaid_for_s: u16,
    pub(in crate::jobs::poll) due: Tick,
    /// The number of the last page that had been begun when it came in.
    pub(in crate::jobs::poll) since_page: u32,
    /// A program asked for a poll: pages from this number on answer it. 0 = none did.
    pub(in crate::jobs::poll) nudged_for: u32,
    pub(in crate::jobs::poll) state: EntryState,
    pub(in crate::jobs::poll) kind: EntryKind,
    pub(in crate::jobs::poll) trust: Trust,
    /// Not where its creation time puts it.
    pub(in crate::jobs::poll) is_misplaced: bool,
    /// Its slot stands in the heap of resting entries, and in the list of due ones.
    pub(in crate::jobs::poll) in_heap: bool,
    pub(in crate::jobs::poll) is_listed: bool,
}

impl Entry {
    /// The entry of a row that is due at `now`.
    pub(in crate::jobs::poll) fn of(row: &DueRow, key: u64, terms: u32, now: Tick) -> Self {
        Self {
            id: row.id,
            key,
            terms,
            position: UNKNOWN,
            created_s: seconds(row.created_at.0),
            expiry_s: seconds(row.expiry.0.saturating_add(999)),
            known_s: row.polled_at.map_or(0, |at| seconds(at.0)),
            unpaid_for_s: 0,
            due: now,
            since_page: 0,
            nudged_for: 0,
            state: EntryState::Due,
            kind: kind_of(row),
            // After an error the next answer is written down, so that the error is gone.
            trust: match (row.fails, row.polled_at.is_some() && !row.has_error) {
                (true, _) => Trust::Failing,
                (false, true) => Trust::Known,
                (false, false) => Trust::New,
            },
            is_misplaced: false,
            in_heap: false,
            is_listed: false,
        }
    }

    /// As the planner sees it, where these requests may be made.
    pub(in crate::jobs::poll) fn candidate(&self, shapes: Shapes) -> Candidate {
        let is_settled_alone = matches!(self.trust, Trust::Doubtful | Trust::Missing);
        let by = if self.kind == EntryKind::Create
            || self.kind == EntryKind::Followed && shapes.page_limit == 0
        {
            By::Alone
        } else if self.kind == EntryKind::Followed {
            By::Page
        } else if is_settled_alone && shapes.has_fetches() {
            By::Alone
        } else {
            By::Any
        };
        let place = if let Some(position) = self.position() {
            Place::Shown(position)
        } else if self.is_misplaced || self.trust == Trust::Missing {
            Place::Elsewhere
        } else {
            Place::Guessed
        };
        Candidate {
            created_at: self.created_at(),
            place,
            by,
        }
    }

    /// Whether somebody works on it.
    pub(in crate::jobs::poll) fn is_in_hand(&self) -> bool {
        matches!(self.state, EntryState::InHand | EntryState::Borrowed)
    }

    /// Whether a page of this number answers its nudge: it was begun after it.
    pub(in crate::jobs::poll) fn is_answered_by(&self, page: u32) -> bool {
        self.nudged_for <= page
    }

    /// Whether a page that shows it soon will do: it is open, as far as is known, and its time is not
    /// over.
    pub(in crate::jobs::poll) fn may_be_watched(&self, now: UnixMillis) -> bool {
        self.trust == Trust::Known && self.kind == EntryKind::Open && now < self.expiry()
    }

    /// When it was last seen, where a list of all payments since then tells all that can happen to it:
    /// it is open, its time is not over and its state was told within `patience`, or it has ended.
    pub(in crate::jobs::poll) fn covered_by_payments_since(
        &self,
        now: UnixMillis,
        patience: Duration,
    ) -> Option<UnixMillis> {
        let polled_s = self.known_s.saturating_sub(self.unpaid_for_s.into());
        let polled_at = UnixMillis(i64::from(polled_s) * 1000);
        let is_told = match self.kind {
            EntryKind::Open => now < self.expiry() && now.since(polled_at) < patience,
            EntryKind::Ended => true,
            EntryKind::Create | EntryKind::Row | EntryKind::Followed => false,
        };
        let is_known = self.trust == Trust::Known && self.known_s > 0;
        (is_told && is_known).then(|| UnixMillis(i64::from(self.known_s) * 1000))
    }

    /// Its state was seen at `now`.
    pub(in crate::jobs::poll) fn note_seen_at(&mut self, now: UnixMillis) {
        self.note_unpaid_at(now);
        self.unpaid_for_s = 0;
    }

    /// No payment of it was seen at `now`.
    pub(in crate::jobs::poll) fn note_unpaid_at(&mut self, now: UnixMillis) {
        let polled_s = self.known_s.saturating_sub(self.unpaid_for_s.into());
        self.known_s = seconds(now.0);
        let unpaid_for = self.known_s.saturating_sub(polled_s);
        self.unpaid_for_s = u16::try_from(unpaid_for).unwrap_or(u16::MAX);
        if self.trust == Trust::New {
            self.trust = Trust::Known;
        }
    }

    /// Its place in the list, where a page has shown it.
    pub(in crate::jobs::poll) fn position(&self) -> Option<u64> {
        (self.position != UNKNOWN).then_some(self.position.into())
    }

    pub(in crate::jobs::poll) fn set_position(&mut self, position: Option<u64>) {
        let position = position.and_then(|position| u32::try_from(position).ok());
        self.position = position.unwrap_or(UNKNOWN);
    }

    pub(in crate::jobs::poll) fn created_at(&self) -> UnixMillis {
        UnixMillis(i64::from(self.created_s) * 1000)
    }

    pub(in crate::jobs::poll) fn expiry(&self) -> UnixMillis {
        UnixMillis(i64::from(self.expiry_s) * 1000)
    }
}

fn kind_of(row: &DueRow) -> EntryKind {
    match (row.status, &row.order_id) {
        (Status::Requested, _) => EntryKind::Create,
        (_, None) => EntryKind::Followed,
        (Status::Pending, Some(_)) if !row.unsettled && !row.is_nudged() => EntryKind::Open,
        (Status::Expired | Status::Cancelled, Some(_)) if !row.unsettled && !row.is_nudged() => {
            EntryKind::Ended
        }
        (
            Status::Pending
            | Status::Paid
            | Status::Expired
            | Status::Cancelled
            | Status::Rejected
            | Status::Review,
            Some(_),
        ) => EntryKind::Row,
    }
}

fn seconds(millis: i64) -> u32 {
    u32::try_from(millis.max(0) / 1000).unwrap_or(u32::MAX)
}
