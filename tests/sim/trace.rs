//! What happened, line by line, in words that are the same in every run of a seed.

use std::fmt::{self, Display, Formatter};
use std::sync::{Mutex, MutexGuard, PoisonError};

use payrecond::clock::Clock as _;

use crate::clock::SharedClock;

/// A law that was broken, and how.
#[derive(Clone, Debug)]
#[allow(dead_code, reason = "shown by Debug")]
pub struct Broken {
    pub law: &'static str,
    pub how: String,
}

impl Display for Broken {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.law, self.how)
    }
}

/// The story of a seed. The first broken law ends it.
pub struct Trace {
    clock: SharedClock,
    story: Mutex<Story>,
}

#[derive(Default)]
struct Story {
    lines: Vec<String>,
    broken: Option<Broken>,
}

impl Trace {
    pub fn new(clock: SharedClock) -> Self {
        let story = Mutex::default();
        Self { clock, story }
    }

    /// Tells what happens now.
    pub fn tell(&self, what: impl Display) {
        let seconds = self.clock.monotonic().as_secs_f64();
        self.story().lines.push(format!("{seconds:10.3} {what}"));
    }

    /// A law is broken; the first is what counts.
    pub fn broken(&self, law: &'static str, how: impl Display) {
        self.tell(format_args!("BROKEN {law}: {how}"));
        let how = how.to_string();
        self.story().broken.get_or_insert(Broken { law, how });
    }

    /// Breaks `law` unless it holds.
    pub fn hold(&self, law: &'static str, holds: bool, how: impl FnOnce() -> String) {
        if !holds {
            self.broken(law, how());
        }
    }

    pub fn first_broken(&self) -> Option<Broken> {
        self.story().broken.clone()
    }

    pub fn lines(&self) -> Vec<String> {
        self.story().lines.clone()
    }

    fn story(&self) -> MutexGuard<'_, Story> {
        self.story.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
