//! A connection to the server, and the chain by which events are published over it.

use super::position::{LastEvent, find_last_event, position_after};
use super::{FeedError, StreamSetup};
use crate::jetstream::{BoundStream, Chain, Connection, NatsError};
use crate::store::{RoleHold, Store, StoreError};

/// A connection with its role, its stream and its chain.
pub(super) struct StreamSession {
    role: Box<dyn RoleHold>,
    connection: Connection,
    stream: BoundStream,
    /// None = the last event in the stream is not known.
    chain: Option<Chain>,
}

impl StreamSession {
    /// Takes the role, connects, and binds to the stream.
    ///
    /// # Errors
    /// `Standby` when another process has the role; `Stopped`; `Store`.
    pub(super) async fn open(setup: &StreamSetup) -> Result<Self, FeedError> {
        let Some(role) = (setup.take_role)().await? else {
            return Err(FeedError::Standby(setup.consumer.clone()));
        };
        let connection = setup.connector.connect().await?;
        let stream = connection
            .bind(setup.stream.as_deref(), &setup.subject_prefix)
            .await?;
        let servers = setup.connector.servers();
        tracing::info!(servers, stream = stream.name(), "connected to JetStream");
        Ok(Self {
            role,
            connection,
            stream,
            chain: None,
        })
    }

    /// Checks that no other process could have taken the role.
    pub(super) fn require_role(&self) -> Result<(), StoreError> {
        self.role.require_held()
    }

    /// Whether the connection has failed.
    pub(super) fn is_lost(&self) -> bool {
        self.connection.is_lost()
    }

    /// The chain, where the last event in the stream is known.
    pub(super) fn chain(&mut self) -> Option<&mut Chain> {
        self.chain.as_mut()
    }

    /// Makes a chain at the end of the stream where there is none. Returns the event to continue after,
    /// if it had to be found.
    pub(super) async fn resume(
        &mut self,
        store: &dyn Store,
        consumer: &str,
    ) -> Result<Option<i64>, FeedError> {
        if self.chain.is_some() {
            return Ok(None);
        }
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
        // Read again: another process may have published since this one started.
        let acknowledged = store.consumer(consumer).await?;
        Ok(Some(position_after(
            self.stream.name(),
            last.as_ref(),
            acknowledged,
        )))
    }

    /// Continues the chain after the messages of other publishers. False when it is not known which of our
    /// messages are stored; then the chain is dropped, and `resume` finds out.
    ///
    /// Nothing is read from the outbox between this and the next message: the more time passes, the more
    /// likely others publish again.
    pub(super) async fn catch_up(&mut self) -> Result<bool, NatsError> {
        let end = self.stream.fetch_end().await?;
        // Checked after the end was read: if the role had been lost before, for example during a pause, the
        // messages up to the end may be events of ours that the next holder published.
        let is_holder = self.require_role().is_ok();
        let chain = self.chain.as_mut();
        let continues =
            is_holder && chain.is_some_and(|chain| chain.continue_after(end.last_sequence));
        if !continues {
            self.chain = None;
        }
        Ok(continues)
    }
}
