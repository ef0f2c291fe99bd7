//! The one rule for overdue polls, for the status page, metrics, health checks and commands: a poll is
//! overdue from a second after its planned time on, unless a reading of the account's list or ledger
//! has covered it since. A nudge counts from its writing, and no earlier reading covers it.

use std::time::Duration;

use super::ListRecord;
use crate::domain::invoice::Invoice;
use crate::domain::time::UnixMillis;

/// How long `caught_up_at` covers invoices that became due after it: it is renewed every ten
/// seconds, and readings have most likely covered them.
const CAUGHT_UP_HOLDS: Duration = Duration::from_secs(30);
/// How long `caught_up_at` proves that readings had covered everything due until then.
const COVERED_FOR: Duration = Duration::from_mins(3);
/// A poll whose time passed less than this ago is about to be made.
const OVERDUE_FROM: Duration = Duration::from_secs(1);

/// A plan up to this time means "at once": a nudge, or a plan that a wrong clock made void. Such a
/// poll is due since the row was last written.
pub(super) const AT_ONCE: UnixMillis = UnixMillis(1);

/// Plans between two times: later than `after`, and not later than `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OverdueSpan {
    pub(super) after: UnixMillis,
    pub(super) until: UnixMillis,
}

impl OverdueSpan {
    /// The plans of an account that are overdue at `now`. `caught_up_at`: as in `ListRecord`.
    pub(super) fn of(caught_up_at: Option<UnixMillis>, now: UnixMillis) -> Self {
        let covered = caught_up_at.and_then(|at| match now.since(at) {
            age if age < CAUGHT_UP_HOLDS => Some(now),
            age if age < COVERED_FOR => Some(at),
            _ => None,
        });
        Self {
            after: covered.unwrap_or(AT_ONCE).max(AT_ONCE),
            until: now.minus(OVERDUE_FROM),
        }
    }
}

/// Since when the poll of an invoice has been overdue, if it is. `list`: what is known of its
/// account's list or ledger.
pub fn overdue_since(
    invoice: &Invoice,
    list: Option<&ListRecord>,
    now: UnixMillis,
) -> Option<UnixMillis> {
    let planned = invoice.schedule.next_poll_at?;
    let span = OverdueSpan::of(list.and_then(|list| list.caught_up_at), now);
    if planned <= AT_ONCE {
        return Some(invoice.updated_at).filter(|at| *at <= span.until);
    }
    Some(planned).filter(|at| span.after < *at && *at <= span.until)
}
