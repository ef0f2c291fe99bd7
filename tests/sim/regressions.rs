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
        2_000_074,
        "while no invoice was open, a search behind entries that a ledger leaves out went on every 30 s only",
    ),
    (
        2_000_188,
        "a payment behind entries that are left out was held while reading went on place by place, and a balance that \
         was not told once began a search anew",
    ),
    (
        2_002_411,
        "after a kill in the middle of a reading, invoices were compared with what was kept before its last pages came",
    ),
    (
        2_003_283,
        "as 2000074, with a strategy or a limit of bytes that watches no list",
    ),
    (
        2_000_296,
        "of the simulation: a creation counted from when it was acted upon, not from when it was sent",
    ),
    (
        3_000_190,
        "a wait that the request for an order's refunds was answered with did not hold the account",
    ),
    (
        4_000_164,
        "a refused key was forgotten once the daemons that knew the account were gone",
    ),
    (
        4_000_323,
        "of the simulation: a lease of one that was killed counted as that of the next one on its machine",
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
