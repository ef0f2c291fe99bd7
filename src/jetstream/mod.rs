//! NATS JetStream: the connection to a server, the stream that messages are published into, and the chain
//! that stores each of them once and in order. Absent: anything about the outbox.
//!
//! A connection is used until its first failure. The client library would reconnect by itself, but then it
//! drops the messages that it had buffered and sends later ones. So a publisher makes a new connection and
//! reads the end of the stream again.

mod address;
mod advice;
mod chain;
mod connection;
mod credential;
mod error;
mod message;
mod refusal;
mod stream;

pub use advice::{Advice, SubjectSpace};
pub use chain::{Chain, Published};
pub use connection::{Connection, Connector};
pub use credential::{Credential, CredentialReader};
pub use error::NatsError;
pub use message::Message;
pub use stream::{BoundStream, StreamEnd, StreamMessage, stream_add_line};

use std::time::Duration;

/// The time limit for connecting, and for each answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
