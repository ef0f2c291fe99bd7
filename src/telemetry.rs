//! Logs to stderr, as text for people or JSON for programs.
//!
//! If stderr is closed, lines are lost, but no write can panic.

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The settings of the log.
#[derive(Clone, Copy, Debug)]
pub struct Logging<'a> {
    /// A level, or levels by module, as checked by the configuration.
    pub level: &'a str,
    /// One JSON object per line instead of text.
    pub json: bool,
    /// Whether text may have colours.
    pub colour: bool,
}

/// Starts logging. A second call changes nothing.
pub fn init(logging: &Logging<'_>) {
    let filter: Targets = directives(logging.level)
        .parse()
        .unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    let builder = tracing_subscriber::fmt()
        // The filter decides.
        .with_max_level(LevelFilter::TRACE)
        .with_writer(io::stderr)
        .with_ansi(logging.colour && !logging.json)
        // Otherwise a failed write is reported by eprintln!, which panics on a closed stderr.
        .log_internal_errors(false);
    // Fails only if logging was started before.
    let _ = if logging.json {
        builder.json().finish().with(filter).try_init()
    } else {
        builder.finish().with(filter).try_init()
    };
}

/// A level alone applies to payrecond; libraries log warnings only.
fn directives(level: &str) -> String {
    let alone = level.chars().all(char::is_alphabetic);
    if alone && level != "off" && level != "error" {
        // payrecond itself reports statements that waited for another program's lock, and what keeps it
        // from a NATS server.
        format!("warn,sqlx=error,async_nats=off,payrecond={level}")
    } else {
        level.to_owned()
    }
}
