//! The daemon's duties, one file each. Each can be turned once by hand; timers only trigger.

pub mod feed;
pub mod intake;
pub mod poll;
pub mod retention;
