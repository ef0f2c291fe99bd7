//! A stream as the daemon's second sink: it takes a part of what it is given, loses answers, refuses for a
//! while, and now and then loses its end, as a server does that is put back from an older copy.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use payrecond::jobs::feed::{Delivered, FeedError, Sink};
use payrecond::store::{Store, StoredEvent};

use crate::disk::{Place, Reaper};
use crate::trace::Trace;

/// The consumer of this sink.
pub const STREAM: &str = "nats";

/// What the stream holds, in order.
#[derive(Default)]
pub struct SimStream {
    kept: Vec<StoredEvent>,
    /// Nothing goes wrong any more.
    is_well: bool,
}

pub type SharedStream = Arc<Mutex<SimStream>>;

fn lock(stream: &SharedStream) -> MutexGuard<'_, SimStream> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on nothing goes wrong.
pub fn heal(stream: &SharedStream) {
    lock(stream).is_well = true;
}

/// Everything in the stream: number and event.
pub fn read(stream: &SharedStream) -> Vec<(i64, String)> {
    let kept = &lock(stream).kept;
    let each = kept.iter();
    each.map(|event| (event.seq, event.event_id.clone()))
        .collect()
}

/// An event that the stream holds twice, if there is one.
pub fn held_twice(stream: &SharedStream) -> Option<String> {
    let mut payloads = BTreeSet::new();
    let kept = &lock(stream).kept;
    let twice = kept.iter().find(|event| !payloads.insert(&event.payload));
    twice.map(|event| event.payload.clone())
}

/// The daemon's end of the stream.
pub struct StreamEnd {
    pub stream: SharedStream,
    pub store: Arc<dyn Store>,
    pub reaper: Arc<Reaper>,
    pub trace: Arc<Trace>,
    pub rng: fastrand::Rng,
    /// The end of the stream is known.
    pub knows_end: bool,
}

impl StreamEnd {
    fn fails(&mut self, one_in: u8) -> bool {
        let strikes = self.rng.u8(..one_in) == 0;
        strikes && !lock(&self.stream).is_well
    }

    /// The number of the newest of these events that the outbox has.
    async fn place_in(&self, kept: &[StoredEvent]) -> Result<Option<i64>, FeedError> {
        for event in kept.iter().rev() {
            let found = self.store.events_after(event.seq - 1, 1).await?;
            if found.first() == Some(event) {
                return Ok(Some(event.seq));
            }
        }
        Ok(None)
    }

    fn stopped(&mut self, why: &str) -> FeedError {
        self.knows_end = false;
        self.trace.tell(format_args!("stream: {why}"));
        FeedError::Stopped(why.to_owned())
    }
}

#[async_trait]
impl Sink for StreamEnd {
    fn batch_size(&self) -> u32 {
        7
    }

    async fn prepare(&mut self, acknowledged: i64) -> Result<Option<i64>, FeedError> {
        if self.knows_end {
            return Ok(None);
        }
        if self.fails(4) {
            return Err(self.stopped("no server"));
        }
        let mut kept = lock(&self.stream).kept.clone();
        if self.fails(6) {
            let lost = self.rng.usize(..=kept.len().min(5));
            let left = kept[..kept.len() - lost].to_vec();
            // Where nothing left is in the outbox, it is a new stream, which goes on after what was acknowledged.
            if self.place_in(&left).await?.is_some() {
                lock(&self.stream).kept.clone_from(&left);
                kept = left;
            }
        }
        if let Some(place) = self.place_in(&kept).await? {
            self.knows_end = true;
            return Ok(Some(place));
        }
        self.knows_end = true;
        Ok(Some(acknowledged))
    }

    async fn deliver(&mut self, events: &[StoredEvent], _left: u64) -> Delivered {
        let death = self.reaper.comes_to(Place::Flush);
        let stored = if self.fails(3) {
            self.rng.usize(..=events.len())
        } else {
            events.len()
        };
        if death.is_none_or(|death| death.after) {
            lock(&self.stream).kept.extend_from_slice(&events[..stored]);
        }
        if death.is_some() {
            self.trace
                .tell(format_args!("killed while the stream answers"));
            self.reaper.kill();
            std::future::pending::<()>().await;
        }
        // Of what was stored, not every answer comes.
        let answered = if self.fails(3) {
            self.rng.usize(..=stored)
        } else {
            stored
        };
        let failure = (answered < events.len()).then(|| self.stopped("no answer"));
        Delivered {
            events: answered,
            frames: answered as u64,
            failure,
        }
    }
}
