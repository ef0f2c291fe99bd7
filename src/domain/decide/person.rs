//! What a person decided about an invoice in `review`.

use super::facts::move_to;
use crate::domain::event::EventType;
use crate::domain::invoice::Facts;
use crate::domain::observation::Verdict;
use crate::domain::state::{Status, reason};

pub(super) fn resolve(facts: &mut Facts, verdict: Verdict) -> Option<EventType> {
    if facts.status != Status::Review {
        return None;
    }
    let status = match verdict {
        Verdict::Paid => Status::Paid,
        Verdict::Expired => Status::Expired,
        Verdict::Cancelled => Status::Cancelled,
    };
    move_to(facts, status, Some(reason::RESOLVED))
}
