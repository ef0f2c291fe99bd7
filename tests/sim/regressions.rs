//! Worlds that showed a defect, lived through whenever the worlds of every day are. Where the
//! drawing of worlds has changed since a defect was found, its first world no longer shows it: then
//! the defect was put back into the code, and a world that shows it today stands here.

/// The seed, and what it showed.
pub const WORLDS: &[(u64, &str)] = &[
    (
        25,
        "a poller spun while the database failed, for pages were due",
    ),
    (
        219,
        "a wait asked of the request that proves the service was not heeded (first in world 149)",
    ),
    (
        538,
        "an order missing when the clock went back waited as long as the jump (first in 184, 207)",
    ),
    (
        1_000_105,
        "what could not be marked as sent was not asked about again (first in world 146)",
    ),
    (
        2361,
        "of the simulation: a reader took a number of one epoch for a place in another",
    ),
    (
        10_014,
        "of the simulation: what the last look of all showed was decided by nobody",
    ),
];

/// What a seed showed once, to be told when it fails again.
pub fn shown_by(seed: u64) -> Option<&'static str> {
    let world = WORLDS.iter().find(|(known, _)| *known == seed)?;
    Some(world.1)
}
