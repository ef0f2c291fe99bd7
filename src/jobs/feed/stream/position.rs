//! Where publishing continues: after the last event of this outbox that the stream holds.
//!
//! It may differ from the acknowledged position:
//!
//! - The stream is ahead: events were stored, and the process ended before it acknowledged them. They are
//!   acknowledged now.
//! - The stream is behind: it lost events at its end. They are published again.
//! - The stream holds no event of this outbox: it was purged, or is new. Publishing continues after the
//!   acknowledged position.
//!
//! An event is compared as a whole, not by its id alone. After a database was restored from a copy, an id
//! may occur again with a higher seq, and the events written between the two must be published.

use serde::Deserialize;

use crate::jetstream::{BoundStream, StreamMessage};
use crate::jobs::feed::FeedError;
use crate::store::{Store, StoreError, StoredEvent};

/// Messages, from the end of the stream, that are searched for an event of this outbox.
const SEARCHED_MESSAGES: u64 = 100_000;
/// Messages fetched at a time in that search.
const FETCHED_AT_ONCE: u64 = 64;

/// The last event of this outbox in a stream.
pub(super) struct LastEvent {
    /// Its place in the outbox.
    pub seq: i64,
    /// Whether no message after it was deleted: then events that the stream lacks were lost.
    pub nothing_deleted: bool,
}

/// The part of an event that tells its place in the outbox.
#[derive(Deserialize)]
struct SequencedEvent {
    sequence: String,
}

/// The event to continue after.
pub(super) fn position_after(stream: &str, last: Option<&LastEvent>, acknowledged: i64) -> i64 {
    match last {
        Some(last) if last.seq >= acknowledged => last.seq,
        Some(last) if last.nothing_deleted => {
            tracing::warn!(
                stream,
                seq = last.seq,
                acknowledged,
                "stream lacks events that it had acknowledged; publishing them again"
            );
            last.seq
        }
        Some(_) | None => {
            tracing::info!(
                stream,
                acknowledged,
                "stream does not end with an event of this database; continuing after the last acknowledged one"
            );
            acknowledged
        }
    }
}

/// Finds the newest message, from the number `last` back, that is an event of this outbox. Returns its
/// place in the outbox.
pub(super) async fn find_last_event(
    stream: &BoundStream,
    store: &dyn Store,
    last: u64,
) -> Result<Option<i64>, FeedError> {
    let first_kept = store.first_seq().await?;
    let oldest = last.saturating_sub(SEARCHED_MESSAGES).max(1);
    // Usually the last message is the one, so it is fetched alone.
    let (mut first, mut last) = (last, last);
    loop {
        for message in &stream.fetch_messages(first, last).await? {
            let Some(seq) = sequence_of(message) else {
                continue;
            };
            if is_in_outbox(store, seq, message).await? {
                return Ok(Some(seq));
            }
            if seq < first_kept {
                // Retention deleted it, and everything before it, after it was acknowledged.
                return Ok(None);
            }
        }
        if first <= oldest {
            return Ok(None);
        }
        last = first - 1;
        first = last.saturating_sub(FETCHED_AT_ONCE - 1).max(oldest);
    }
}

/// The place in an outbox that a message states, if it is an event.
fn sequence_of(message: &StreamMessage) -> Option<i64> {
    let event: SequencedEvent = serde_json::from_slice(&message.payload).ok()?;
    event.sequence.parse().ok()
}

async fn is_in_outbox(
    store: &dyn Store,
    seq: i64,
    message: &StreamMessage,
) -> Result<bool, StoreError> {
    let events = store.events_after(seq.saturating_sub(1), 1).await?;
    let is_same =
        |event: &StoredEvent| event.seq == seq && event.payload.as_bytes() == message.payload;
    Ok(events.first().is_some_and(is_same))
}
