//! Tests from outside the crate: one binary, one module a subject.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod cli;
mod config;
mod decide;
mod feed_frames;
mod rows;
