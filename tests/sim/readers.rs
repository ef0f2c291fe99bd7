//! Those who read the outbox: the reader of the daemon's stdout, a bot that acknowledges in the
//! database, and one who keeps its place itself. All of them die now and then and come back.

use std::future::Future;
use std::io::{Error, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use payrecond::clock::Clock as _;
use serde_json::Value;
use tokio::io::AsyncWrite;

use crate::clock::SharedClock;
use crate::disk::{Place, Reaper};
use crate::shop::Shop;
use crate::trace::Trace;

/// The consumer that acknowledges in the database.
pub const BOT: &str = "bot";

/// The pipe between the daemon and the reader of its stdout.
#[derive(Default)]
pub struct Pipe {
    /// Written and not flushed.
    pending: Vec<u8>,
    /// What the reader has.
    taken: Vec<u8>,
    /// The reader takes nothing until then.
    pub stalled_until: Duration,
    /// The reader is gone.
    pub is_broken: bool,
}

pub type SharedPipe = Arc<Mutex<Pipe>>;

pub fn lock(pipe: &SharedPipe) -> MutexGuard<'_, Pipe> {
    pipe.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pipe {
    /// The daemon's end is gone: of what was not flushed, some may have come through.
    pub fn end(&mut self, rng: &mut fastrand::Rng) -> Vec<(i64, String)> {
        let through = rng.usize(..=self.pending.len());
        self.taken.extend(self.pending.drain(..).take(through));
        let text = String::from_utf8(std::mem::take(&mut self.taken)).unwrap();
        *self = Self::default();
        // A line that was cut off is no event.
        let whole = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        whole.map(event_of).collect()
    }
}

fn event_of(line: &str) -> (i64, String) {
    let event: Value = serde_json::from_str(line).unwrap();
    let text = |key: &str| event[key].as_str().unwrap().to_owned();
    (text("sequence").parse().unwrap(), text("id"))
}

/// The daemon's end of the pipe.
pub struct Output {
    pub pipe: SharedPipe,
    pub clock: SharedClock,
    pub reaper: Arc<Reaper>,
    pub trace: Arc<Trace>,
    pub rng: fastrand::Rng,
    pub stall: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Output {
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            if let Some(stall) = &mut self.stall {
                std::task::ready!(stall.as_mut().poll(context));
                self.stall = None;
            }
            let pipe = lock(&self.pipe);
            if pipe.is_broken {
                return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
            }
            let wait = pipe.stalled_until.saturating_sub(self.clock.monotonic());
            if wait.is_zero() {
                return Poll::Ready(Ok(()));
            }
            drop(pipe);
            let clock = Arc::clone(&self.clock);
            self.stall = Some(Box::pin(async move { clock.sleep(wait).await }));
        }
    }
}

impl AsyncWrite for Output {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Error>> {
        std::task::ready!(self.poll_room(context))?;
        let most = bytes.len().min(self.rng.usize(1..4096));
        lock(&self.pipe).pending.extend_from_slice(&bytes[..most]);
        Poll::Ready(Ok(most))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        std::task::ready!(self.poll_room(context))?;
        let death = self.reaper.comes_to(Place::Flush);
        if death.is_none_or(|death| death.after) {
            let mut pipe = lock(&self.pipe);
            let pending = std::mem::take(&mut pipe.pending);
            pipe.taken.extend(pending);
        }
        if let Some(death) = death {
            self.trace
                .tell(format_args!("killed at a flush: {death:?}"));
            self.reaper.kill();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }
}

/// What all of them have read so far, in order.
#[derive(Default)]
pub struct Readers {
    pub pipe: SharedPipe,
    pub of_stdout: Vec<(i64, String)>,
    pub of_bot: Vec<(i64, String)>,
    pub of_keeper: Vec<(i64, String)>,
    /// A number counts within an epoch: in a database that was put back, what the keeper has not
    /// read may stand below the number it reached in another.
    place_of_keeper: (String, i64),
}

impl Readers {
    /// The bot reads, and acknowledges unless it dies of it. False when nothing was left.
    pub fn bot_reads(&mut self, shop: &mut Shop, rng: &mut fastrand::Rng, may_die: bool) -> bool {
        let mut events = shop.unread(BOT, rng.u32(1..6));
        let dies = may_die && rng.u8(..4) == 0;
        if dies {
            events.truncate(rng.usize(..=events.len()));
        }
        let last = events.last().map(|(seq, _)| *seq);
        self.of_bot.extend(events);
        if let Some(seq) = last.filter(|_| !dies) {
            shop.acknowledge(BOT, seq);
        }
        last.is_some()
    }

    /// The one who keeps its own place reads, from the beginning where an epoch is new to it. False when nothing was left.
    pub fn keeper_reads(&mut self, shop: &mut Shop, rng: &mut fastrand::Rng) -> bool {
        let epoch = shop.epoch();
        let place = match &self.place_of_keeper {
            (before, place) if *before == epoch => *place,
            _ => 0,
        };
        let events = shop.after(place, rng.u32(1..6));
        let Some((last, _)) = events.last().cloned() else {
            return false;
        };
        self.of_keeper.extend(events);
        // It may die before it has noted how far it came.
        if rng.u8(..4) != 0 {
            self.place_of_keeper = (epoch, last);
        }
        true
    }
}
