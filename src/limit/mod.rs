//! What an account may ask, and when: its rate limit and its circuit breaker under one facade. Pure:
//! monotonic time comes in, permits and waits come out.

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
