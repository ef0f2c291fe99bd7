//! The feed: a view of the outbox. Framing is pure and lives here and in one file a family of
//! formats; delivery is what calls it.

pub mod jsonl;
pub mod nats;
mod pattern;
mod subscribe;

pub use pattern::{Pattern, PatternError};
pub use subscribe::{SubscribeError, Subscription, is_consumer_name};

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// As a NATS subscriber reads them.
    Nats,
    /// As a NATS publisher sends them, ready to be piped into a server.
    Hpub,
    /// The payloads, one line each.
    Jsonl,
}

/// One row of the outbox, as far as a frame tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Subject, without white space.
    pub subject: &'a str,
    /// What a reader tells repetitions by.
    pub event_id: &'a str,
    /// One JSON object on one line.
    pub payload: &'a str,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Nats, Self::Hpub, Self::Jsonl];

    /// The word for it in the configuration and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Hpub => "hpub",
            Self::Jsonl => "jsonl",
        }
    }

    /// The format a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == word)
    }

    /// What is written once, before the first frame.
    pub fn preamble(self) -> &'static [u8] {
        match self {
            Self::Hpub => nats::CONNECT,
            Self::Nats | Self::Jsonl => b"",
        }
    }

    /// Appends one frame to `out`.
    pub fn encode(self, frame: &Frame<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Nats => nats::message(frame, out),
            Self::Hpub => nats::publication(frame, out),
            Self::Jsonl => jsonl::line(frame, out),
        }
    }
}
