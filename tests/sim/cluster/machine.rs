//! The machine of a daemon: its tasks run when the story turns it, until none has anything to do.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use futures::task::AtomicWaker;
use tokio::runtime::{Builder, Handle, Runtime};

/// Tasks that run in turns. They are gone with it, at once and without a word.
pub struct Machine {
    runtime: Runtime,
    idle: Arc<Idle>,
}

#[derive(Default)]
struct Idle {
    is_idle: AtomicBool,
    waker: AtomicWaker,
}

impl Machine {
    pub fn new() -> Self {
        let idle = Arc::new(Idle::default());
        let noted = Arc::clone(&idle);
        let runtime = Builder::new_current_thread()
            .on_thread_park(move || {
                noted.is_idle.store(true, Ordering::Relaxed);
                noted.waker.wake();
            })
            .build()
            .unwrap();
        Self { runtime, idle }
    }

    pub fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Runs its tasks until none has anything to do.
    pub fn turn(&self) {
        self.idle.is_idle.store(false, Ordering::Relaxed);
        self.runtime.block_on(poll_fn(|context| {
            self.idle.waker.register(context.waker());
            if self.idle.is_idle.load(Ordering::Relaxed) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
    }
}
