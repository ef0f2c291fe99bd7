//! Which requests an account may make, and when: its rate limit and its circuit breaker under one
//! facade. Pure: takes monotonic time, returns permits and delays.

mod breaker;
mod limiter;
mod rate;
mod shared;

pub use self::breaker::StopReason;
pub use self::limiter::{Limiter, Permit};
pub use self::rate::Limits;
pub use self::shared::{Reservation, SharedLimiter};

#[cfg(test)]
mod tests;
