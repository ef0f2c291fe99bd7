//! Logs: tracing to stderr, as text for people or JSON for machines.
//!
//! A closed stderr loses the lines and nothing else: no write to it can panic.

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

/// What is logged, and how.
#[derive(Clone, Copy, Debug)]
pub struct Logging<'a> {
    /// A level or filters by part, as the configuration has checked them.
    pub level: &'a str,
    /// One JSON object a line instead of text.
    pub json: bool,
    /// Whether text may have colours.
    pub colour: bool,
}

/// Begins to log. A second call changes nothing.
pub fn init(logging: &Logging<'_>) {
    let filter = EnvFilter::try_new(directives(logging.level))
        .unwrap_or_else(|_| EnvFilter::default().add_directive(LevelFilter::INFO.into()));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(logging.colour && !logging.json)
        // Else a failed write is reported by eprintln!, which panics on a closed stderr.
        .log_internal_errors(false);
    // Fails only when somebody logs already.
    let _ = if logging.json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
}

/// A level alone is meant for this program; what libraries say below a warning concerns nobody.
fn directives(level: &str) -> String {
    let alone = level.chars().all(char::is_alphabetic);
    if alone && level != "off" && level != "error" {
        // That a statement waited for another program's lock is told by ourselves, in plain words.
        format!("warn,sqlx=error,payrecond={level}")
    } else {
        level.to_owned()
    }
}
