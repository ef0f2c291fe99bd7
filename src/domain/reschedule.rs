//! Computes the next poll of an invoice from the outcome of the last one. After a decision, no
//! other code edits the plan.

use super::cadence::Cadence;
use super::invoice::{Invoice, PollPlan};
use super::state::Status;
use super::time::UnixMillis;

/// The outcome of a poll, or why the invoice was not polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollOutcome<'a> {
    /// A request for this order alone brought an answer.
    Answered,
    /// Its order was created and has already changed; it is polled at once.
    CreatedPaid,
    /// A page or a ledger reading showed it. It counts in `polls` only if it answers a nudge.
    Shown {
        /// Whether the time of the last poll is updated.
        is_poll: bool,
        /// Whether the request began after the nudge that it answers.
        answers_nudge: bool,
    },
    /// A complete reading showed nothing new about it.
    Unchanged,
    /// There was nothing to request.
    NotPolled,
    /// The request failed.
    Failed {
        /// Why, on one line.
        error: &'a str,
        /// Whether the order may be the cause; otherwise the account is.
        is_order_at_fault: bool,
    },
    /// A person decided.
    Resolved,
}

impl Cadence {
    /// Updates the plan of `row`, after the decision has changed the row, for `outcome` at `now`.
    /// `roll` in 0..1 selects the point within the jitter.
    pub fn reschedule(
        &self,
        row: &mut Invoice,
        outcome: PollOutcome<'_>,
        now: UnixMillis,
        roll: f64,
    ) {
        let next = self.next_poll(row, now, roll);
        match outcome {
            PollOutcome::Answered => row.schedule.note_poll(now, next),
            PollOutcome::CreatedPaid => row.schedule.note_poll(now, Some(now)),
            PollOutcome::Shown {
                is_poll,
                answers_nudge,
            } => {
                let is_final = matches!(row.facts.status, Status::Paid | Status::Rejected);
                let plan = &mut row.schedule;
                let keeps_nudge = plan.is_nudged() && !answers_nudge && !is_final;
                plan.forget_failures();
                if is_poll || answers_nudge {
                    plan.last_polled_at = Some(now);
                }
                plan.polls += i64::from(answers_nudge);
                if !keeps_nudge {
                    plan.next_poll_at = next;
                }
            }
            PollOutcome::Unchanged => {
                row.schedule.last_polled_at = Some(now);
                row.schedule.next_poll_at = next;
            }
            PollOutcome::NotPolled | PollOutcome::Resolved => row.schedule.next_poll_at = next,
            PollOutcome::Failed {
                error,
                is_order_at_fault,
            } => {
                row.schedule.last_error = Some(error.to_owned());
                row.schedule.failures += i64::from(is_order_at_fault);
                let next = if is_order_at_fault {
                    self.after_failure(row, now, roll)
                } else {
                    self.after_account_failure(row, now, roll)
                };
                row.schedule.next_poll_at = Some(next);
            }
        }
    }
}

impl Invoice {
    /// Plans a poll of an invoice in review that has none left: invoices in review are always
    /// polled.
    pub fn poll_while_in_review(&mut self, now: UnixMillis) {
        if self.facts.status == Status::Review {
            self.schedule.next_poll_at.get_or_insert(now);
        }
    }
}

impl PollPlan {
    fn note_poll(&mut self, now: UnixMillis, next: Option<UnixMillis>) {
        self.forget_failures();
        self.last_polled_at = Some(now);
        self.polls += 1;
        self.next_poll_at = next;
    }

    fn forget_failures(&mut self) {
        self.failures = 0;
        self.last_error = None;
    }
}
