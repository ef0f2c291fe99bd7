//! NATS JetStream: the connection to a server, the stream that events are published into, and the chain
//! by which they are in it once and in order. It knows messages; what an outbox is, it does not.
//!
//! A connection is used until its first failure and never mended: the client would drop what it had
//! buffered and send what came after it. Whoever publishes connects anew and asks the stream where it is.

mod address;
mod advice;
mod chain;
mod connection;
mod credential;
mod error;
mod message;
mod stream;

pub use advice::{Advice, SubjectSpace};
pub use chain::{Chain, Published};
pub use connection::{Connection, Connector};
pub use credential::{Credential, CredentialReader};
pub use error::NatsError;
pub use message::Message;
pub use stream::{BoundStream, StreamMessage, StreamPosition, stream_add_line};

use std::time::Duration;

/// How long connecting, and each answer, may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
