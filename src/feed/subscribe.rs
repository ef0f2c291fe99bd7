//! The first line of a client of the feed's socket: `SUB <consumer> [pattern]\r\n`.

use super::{Pattern, PatternError};

/// Longest name of a consumer, in characters.
const LONGEST_NAME: usize = 64;

/// A client's subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The consumer whose position is used.
    pub consumer: String,
    /// Which events; None = all.
    pub pattern: Option<Pattern>,
}

/// Why a first line is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// Longer than any valid line.
    #[error(
        "first line is too long; at most {} bytes are allowed",
        Subscription::LONGEST_LINE_BYTES
    )]
    TooLong,
    /// Not text.
    #[error("first line is not UTF-8")]
    NotText,
    /// Anything else.
    #[error("first line must be SUB <consumer> [pattern]")]
    NotSub,
    /// An invalid name of a consumer.
    #[error(
        "invalid consumer name {0:?}; expected 1 to 64 characters without spaces and control characters"
    )]
    Consumer(String),
    /// An invalid pattern.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

impl Subscription {
    /// Longest line, in bytes with its end.
    pub const LONGEST_LINE_BYTES: usize = 2048;

    /// Parses the line, with or without its end; `\n` alone also ends it.
    pub fn parse(line: &[u8]) -> Result<Self, SubscribeError> {
        if line.len() > Self::LONGEST_LINE_BYTES {
            return Err(SubscribeError::TooLong);
        }
        let text = std::str::from_utf8(line).map_err(|_| SubscribeError::NotText)?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        let mut words = text.split([' ', '\t']).filter(|word| !word.is_empty());
        let (verb, consumer, pattern) = (words.next(), words.next(), words.next());
        let asks = verb.is_some_and(|verb| verb.eq_ignore_ascii_case("SUB"));
        let (true, Some(consumer), None) = (asks, consumer, words.next()) else {
            return Err(SubscribeError::NotSub);
        };
        if !is_consumer_name(consumer) {
            return Err(SubscribeError::Consumer(consumer.to_owned()));
        }
        Ok(Self {
            consumer: consumer.to_owned(),
            pattern: pattern.map(Pattern::parse).transpose()?,
        })
    }
}

/// Whether `name` is a valid name of a consumer: 1 to 64 characters, no spaces, no control
/// characters. The same rule as in the database, so that every inserted name can be read.
pub fn is_consumer_name(name: &str) -> bool {
    let length = name.chars().take(LONGEST_NAME + 1).count();
    let is_refused = |c: char| matches!(c, '\0'..=' ' | '\u{7f}'..='\u{a0}');
    (1..=LONGEST_NAME).contains(&length) && !name.contains(is_refused)
}
