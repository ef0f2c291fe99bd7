//! What must be true where most orders fail, and where programs ask for everything at once.

use std::time::Duration;

use crate::model::Verdict;
use crate::nature::{Nature, Shape};
use crate::world::{Wish, World};

/// The time that one answer takes, about, where some never come.
const AN_ANSWER: f64 = 2.5;
/// A pause of the account, restarts, commits.
const ANYTHING_ELSE: Duration = Duration::from_mins(1);
/// After so long all nudges must have been answered.
pub const ANSWERED_WITHIN: Duration = Duration::from_mins(1);

/// Whether a payment was noticed in bounded time, in a world where nothing goes wrong but most orders.
pub fn is_prompt(world: &World, wish: &Wish, now: Duration) -> Verdict {
    let paid_at = world.order_of(wish)?.paid_at(now)?;
    let key = (wish.account, wish.external_id.clone());
    let noticed_at = world.paid_said_at.get(&key).copied().unwrap_or(now);
    let took = noticed_at.saturating_sub(paid_at.max(wish.drop_in_at));
    let most = a_round(&world.nature);
    (took > most).then(|| {
        let how = format!("{} took {took:?}, allowed {most:?}", wish.external_id);
        (
            "a payment is noticed in bounded time beside failing orders",
            how,
        )
    })
}

/// In which every invoice has its turn, twice.
fn a_round(nature: &Nature) -> Duration {
    let limits = nature.accounts[0].limits;
    #[expect(clippy::cast_precision_loss, reason = "a few")]
    let (orders, in_flight) = (nature.orders as f64, limits.max_in_flight as f64);
    let each = (1.0 / limits.requests_per_second).max(AN_ANSWER / in_flight);
    let round = Duration::from_secs_f64(2.0 * orders * each);
    nature.cadence.max_interval.mul_f64(1.5) + round + ANYTHING_ELSE
}

/// Requests that polls of so many orders may take.
fn requests_for(shape: Shape, orders: u64, page_limit: u64) -> u64 {
    let pages = orders.div_ceil(page_limit.max(1));
    match shape {
        Shape::Batch(limit) => orders.div_ceil(u64::from(limit)) + 3,
        // Pages overlap, and refunds are read as well.
        Shape::Positions | Shape::Spans => 2 * pages + 8,
        Shape::Ledger(_) => 8,
    }
}

/// Whether so many nudges of one moment were answered, and by few requests; `left`: those that were not.
pub fn are_answered(nature: &Nature, nudged: u64, left: u64, requests: u64) -> Verdict {
    let own = &nature.accounts[0];
    if left > 0 {
        return Some((
            "every nudge is answered",
            format!("{left} of {nudged} were not"),
        ));
    }
    let most = requests_for(own.shape, nudged, u64::from(own.page_limit));
    (requests > most).then(|| {
        let how = format!("{requests} requests for {nudged} nudges, allowed {most}");
        ("many nudges are answered by few requests", how)
    })
}
