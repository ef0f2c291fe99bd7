//! Virtual time. It stands still while anybody has something to do, and jumps to the next sleeper's
//! moment when nobody has: the runtime tells so just before it would park its thread.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use payrecond::clock::Clock;
use payrecond::domain::time::UnixMillis;

/// Where virtual time begins: 2026-11-21T20:30:00Z.
pub const BEGINNING: UnixMillis = UnixMillis(1_795_293_000_000);
/// More sleepers woken within a second of virtual time are a spin, not work.
const MOST_WAKES_A_SECOND: u32 = 600;
/// So many are the end: time may not pass any more.
const MOST_WAKES: u32 = 100_000;

/// The daemon's clock. The provider's never jumps: it is `BEGINNING` and the monotonic time.
#[derive(Default)]
pub struct SimClock {
    hands: Arc<Mutex<Hands>>,
    /// What this wall clock is ahead of the truth, in milliseconds.
    ahead: AtomicI64,
    /// More sleepers were woken than there was work.
    pub spins: Arc<AtomicBool>,
}

#[derive(Default)]
struct Hands {
    monotonic: Duration,
    sleepers: BTreeMap<(Duration, u64), Waker>,
    next_sleeper: u64,
    /// The second of virtual time that it is, and the sleepers woken in it.
    wakes: (u64, u32),
    /// Daemons beside the first.
    others: u32,
}

impl SimClock {
    /// The clock of another machine: the same time, and a wall clock that is so many milliseconds ahead.
    pub fn of_another_machine(&self, ahead: i64) -> Self {
        self.hands().others += 1;
        Self {
            hands: Arc::clone(&self.hands),
            ahead: AtomicI64::new(ahead),
            spins: Arc::clone(&self.spins),
        }
    }

    /// The wall clock jumps by so many milliseconds.
    pub fn jump(&self, by: i64) {
        self.ahead.fetch_add(by, Ordering::Relaxed);
    }

    /// When the next sleeper wakes.
    pub fn next_wake(&self) -> Option<Duration> {
        let hands = self.hands();
        let (&(at, _), _) = hands.sleepers.first_key_value()?;
        Some(at.max(hands.monotonic))
    }

    /// Time passes while nobody lives who could sleep.
    pub fn pass_to(&self, at: Duration) {
        let mut hands = self.hands();
        hands.monotonic = hands.monotonic.max(at);
    }

    /// Nobody has anything to do: on to the next sleeper.
    pub fn advance(&self) {
        let mut hands = self.hands();
        let Some(((at, _), waker)) = hands.sleepers.pop_first() else {
            return;
        };
        hands.monotonic = hands.monotonic.max(at);
        let second = hands.monotonic.as_secs();
        let before = if hands.wakes.0 == second {
            hands.wakes.1
        } else {
            0
        };
        hands.wakes = (second, before + 1);
        let most = MOST_WAKES_A_SECOND * (1 + hands.others);
        drop(hands);
        self.spins.fetch_or(before >= most, Ordering::Relaxed);
        assert!(before < MOST_WAKES, "somebody spins: time hardly passes");
        waker.wake();
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> UnixMillis {
        let ahead = self.ahead.load(Ordering::Relaxed);
        UnixMillis(BEGINNING.plus(self.hands().monotonic).0 + ahead)
    }

    fn monotonic(&self) -> Duration {
        self.hands().monotonic
    }

    async fn sleep(&self, duration: Duration) {
        let until = self.monotonic().saturating_add(duration);
        Sleep {
            clock: self,
            until,
            place: None,
        }
        .await;
    }
}

/// One who sleeps, and is forgotten when dropped.
struct Sleep<'a> {
    clock: &'a SimClock,
    until: Duration,
    place: Option<(Duration, u64)>,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut hands = self.clock.hands();
        let place = match self.place {
            Some(place) if hands.sleepers.contains_key(&place) => place,
            // It was woken, or time passed otherwise.
            Some(_) => return Poll::Ready(()),
            None => {
                hands.next_sleeper += 1;
                (self.until, hands.next_sleeper)
            }
        };
        hands.sleepers.insert(place, context.waker().clone());
        drop(hands);
        self.place = Some(place);
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.clock.hands().sleepers.remove(&place);
        }
    }
}

/// A clock that is shared.
pub type SharedClock = Arc<SimClock>;
