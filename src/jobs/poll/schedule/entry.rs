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

/// The state of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::jobs::poll) enum EntryState {
    /// Unused: the slot can be assigned again.
    Free,
    /// Not due before its time.
    Resting,
    /// Due, and not yet in hand.
    Due,
    /// Being polled, or its observation is being written.
    InHand,
    /// Like `InHand`, but the invoice's row is not due: a page showed it.
    Borrowed,
}

/// Which requests an entry needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::jobs::poll) enum EntryKind {
    /// It has no order yet, so one must be created. No page shows it.
    Create,
    /// Waits for money: a page that shows it open on the same terms is a poll that changes nothing.
    Open,
    /// Every poll of it writes its row: it has ended, or something about it is unsettled.
    Row,
    /// Like `Row`, for an invoice that has ended and has nothing unsettled.
    Ended,
    /// Like `Row`, while its order's id is not known: it is found by its external id.
    Followed,
}

/// The outcome of an entry's polls, and how far the list is trusted for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::jobs::poll) enum Trust {
    /// No poll was ever answered, or the last one failed.
    New,
    /// Polled before.
    Known,
    /// Its last polls failed.
    Failing,
    /// The list does not settle it; a request of its own will.
    Doubtful,
    /// A complete reading of the list did not show it.
    Missing,
}

/// One invoice in the schedule. Must be small, since there can be a million.
#[derive(Clone, Debug)]
pub(in crate::jobs::poll) struct Entry {
    pub(in crate::jobs::poll) id: InvoiceId,
    /// Fingerprint of the id that answers contain.
    pub(in crate::jobs::poll) key: u64,
    /// Fingerprint of the terms that a page must show if nothing has changed.
    pub(in crate::jobs::poll) terms: u32,
    position: u32,
    created_s: u32,
    expiry_s: u32,
    /// When the provider last reported it, in whole seconds; 0 = never.
    known_s: u32,
    /// How many seconds before `known_s`, capped, its state was reported; since then only that no
    /// payment came.
    unpaid_for_s: u16,
    pub(in crate::jobs::poll) due: Tick,
    /// Number of the last page begun before the entry was added.
    pub(in crate::jobs::poll) since_page: u32,
    /// Nudged: pages from this number on answer it. 0 = not nudged.
    pub(in crate::jobs::poll) nudged_for: u32,
    pub(in crate::jobs::poll) state: EntryState,
    pub(in crate::jobs::poll) kind: EntryKind,
    pub(in crate::jobs::poll) trust: Trust,
    /// Not at the position that its creation time implies.
    pub(in crate::jobs::poll) is_misplaced: bool,
    /// Whether its slot is in the heap of resting entries, and in the list of due ones.
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
            // After an error the next answer is written, to clear the error.
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

    /// The planner's view of it, where these requests may be made.
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

    /// Whether it is in hand.
    pub(in crate::jobs::poll) fn is_in_hand(&self) -> bool {
        matches!(self.state, EntryState::InHand | EntryState::Borrowed)
    }

    /// Whether a page of this number answers its nudge: the page was begun after it.
    pub(in crate::jobs::poll) fn is_answered_by(&self, page: u32) -> bool {
        self.nudged_for <= page
    }

    /// Whether it can wait for a page that will show it soon: it is open, as far as is known, and
    /// not expired.
    pub(in crate::jobs::poll) fn may_be_watched(&self, now: UnixMillis) -> bool {
        self.trust == Trust::Known && self.kind == EntryKind::Open && now < self.expiry()
    }

    /// When it was last seen, if a list of all payments since then shows everything that can happen
    /// to it: it is open, not expired, and its state was reported within `patience`; or it has
    /// ended.
    pub(in crate::jobs::poll) fn covered_by_payments_since(
        &self,
        now: UnixMillis,
        patience: Duration,
    ) -> Option<UnixMillis> {
        let polled_s = self.known_s.saturating_sub(self.unpaid_for_s.into());
        let polled_at = UnixMillis(i64::from(polled_s) * 1000);
        let is_covered = match self.kind {
            EntryKind::Open => now < self.expiry() && now.since(polled_at) < patience,
            EntryKind::Ended => true,
            EntryKind::Create | EntryKind::Row | EntryKind::Followed => false,
        };
        let is_known = self.trust == Trust::Known && self.known_s > 0;
        (is_covered && is_known).then(|| UnixMillis(i64::from(self.known_s) * 1000))
    }

    /// Records that its state was observed at `now`.
    pub(in crate::jobs::poll) fn note_seen_at(&mut self, now: UnixMillis) {
        self.note_unpaid_at(now);
        self.unpaid_for_s = 0;
    }

    /// Records that it was known to be unpaid at `now`.
    pub(in crate::jobs::poll) fn note_unpaid_at(&mut self, now: UnixMillis) {
        let polled_s = self.known_s.saturating_sub(self.unpaid_for_s.into());
        self.known_s = seconds(now.0);
        let unpaid_for = self.known_s.saturating_sub(polled_s);
        self.unpaid_for_s = u16::try_from(unpaid_for).unwrap_or(u16::MAX);
        if self.trust == Trust::New {
            self.trust = Trust::Known;
        }
    }

    /// Its position in the list, if a page has shown it.
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
