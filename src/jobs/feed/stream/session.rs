//! A connection to the server, and the chain by which events are published over it.

use super::position::{LastEvent, find_last_event, position_after};
use super::{FeedError, StreamSetup};
use crate::jetstream::{BoundStream, Chain, Connection, NatsError};
use crate::store::Store;

/// A connection with its stream and its chain.
pub(super) struct StreamSession {
    connection: Connection,
    stream: BoundStream,
    /// None = the last event in the stream is not known.
    chain: Option<Chain>,
    /// Whether other publishers have written after the chain's last message.
    is_interrupted: bool,
}

impl StreamSession {
    /// Connects, and binds to the stream.
    ///
    /// # Errors
    /// `Stopped`.
    pub(super) async fn open(setup: &StreamSetup) -> Result<Self, FeedError> {
        let connection = setup.connector.connect().await?;
        let stream = connection
            .bind(setup.stream.as_deref(), &setup.subject_prefix)
            .await?;
        let servers = setup.connector.servers();
        tracing::info!(servers, stream = stream.name(), "connected to JetStream");
        Ok(Self {
            connection,
            stream,
            chain: None,
            is_interrupted: false,
        })
    }

    /// Whether the connection has failed.
    pub(super) fn is_lost(&self) -> bool {
        self.connection.is_lost()
    }

    /// The chain, where the last event in the stream is known.
    pub(super) fn chain(&mut self) -> Option<&mut Chain> {
        self.chain.as_mut()
    }

    /// Notes that other publishers have written after the chain's last message.
    pub(super) fn interrupt(&mut self) {
        self.is_interrupted = true;
    }

    /// Drops the chain: which events the stream holds must be found out.
    pub(super) fn forget(&mut self) {
        self.chain = None;
        self.is_interrupted = false;
    }

    /// Prepares the chain for the next message. Returns the event to continue after, if it had to be found.
    ///
    /// Where only others have written, nothing is read from the outbox: the more time passes before the next
    /// message, the more likely they write again.
    pub(super) async fn prepare(
        &mut self,
        store: &dyn Store,
        acknowledged: i64,
    ) -> Result<Option<i64>, FeedError> {
        if self.is_interrupted {
            self.is_interrupted = false;
            self.continue_after_others().await?;
        }
        if self.chain.is_some() {
            return Ok(None);
        }
        let position = self.begin_chain(store, acknowledged).await?;
        Ok(Some(position))
    }

    /// Makes a chain at the end of the stream. Returns the event to continue after.
    async fn begin_chain(
        &mut self,
        store: &dyn Store,
        acknowledged: i64,
    ) -> Result<i64, FeedError> {
        // The end is read before the message: a message stored in between then makes the chain fail.
        let end = self.stream.fetch_end().await?;
        let last = match self.stream.fetch_last_message().await? {
            None => None,
            Some(message) => {
                let from = message.sequence.min(end.last_sequence);
                let is_at_end = from == end.last_sequence;
                let seq = find_last_event(&self.stream, store, from).await?;
                seq.map(|seq| LastEvent {
                    seq,
                    nothing_deleted: is_at_end || end.is_whole,
                })
            }
        };
        self.chain = Some(Chain::new(
            &self.connection,
            &self.stream,
            end.last_sequence,
        ));
        Ok(position_after(
            self.stream.name(),
            last.as_ref(),
            acknowledged,
        ))
    }

    /// Continues the chain after the messages of other publishers. If it is not known which of our messages
    /// are stored, the chain is dropped.
    async fn continue_after_others(&mut self) -> Result<(), NatsError> {
        let end = self.stream.fetch_end().await?;
        let chain = self.chain.as_mut();
        if !chain.is_some_and(|chain| chain.continue_after(end.last_sequence)) {
            self.chain = None;
        }
        Ok(())
    }
}
