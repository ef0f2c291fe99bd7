//! The feed: a view of the outbox. Framing is pure: here, and in one file for each family of formats.
//! Delivery calls it.

pub mod jsonl;
pub mod nats;
mod pattern;
mod subscribe;

pub use pattern::{Pattern, PatternError};
pub use subscribe::{SubscribeError, Subscription, is_consumer_name};

/// The format of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Frames as a NATS subscriber receives them.
    Nats,
    /// Frames as a NATS publisher sends them, to be piped into a server.
    Hpub,
    /// The payloads, one per line.
    Jsonl,
}

/// The parts of an outbox row that a frame contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Subject, without white space.
    pub subject: &'a str,
    /// By which a consumer recognizes a repeated event.
    pub event_id: &'a str,
    /// One JSON object on one line.
    pub payload: &'a str,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Nats, Self::Hpub, Self::Jsonl];

    /// Its name in the configuration and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Hpub => "hpub",
            Self::Jsonl => "jsonl",
        }
    }

    /// The format with this name.
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
