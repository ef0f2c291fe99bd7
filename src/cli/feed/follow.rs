//! `feed --follow`: waits for new events, for the reader to close its end, or for a signal.
//!
//! A reader that closes its end is noticed even while nothing is written. On a signal, frames in
//! progress are written completely, unless they are not read.

use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;

use tokio::io::{AsyncWrite, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use super::{FeedProgress, FeedSession};
use crate::jobs::feed::FeedError;
use crate::store::{Database, StoreError};

/// Maximum time that a blocked stdout may delay the exit.
const PATIENCE: Duration = Duration::from_secs(2);
/// Delay before a retry when the database cannot be read.
const RETRY: Duration = Duration::from_secs(1);

pub(super) async fn follow<W: AsyncWrite + Unpin + Send>(
    reading: &mut FeedSession<W>,
    store: &dyn Database,
    reader: &Reader,
) -> Result<(), FeedError> {
    let mut stop = StopSignals::listen().map_err(FeedError::Output)?;
    let mut changes = store.watch_changes();
    let mut unreadable = false;
    loop {
        let turn = {
            let turn = async {
                store.require_in_place()?;
                reading.turn().await
            };
            tokio::pin!(turn);
            tokio::select! {
                turn = &mut turn => turn,
                () = stop.asked() => {
                    tokio::select! {
                        _ = &mut turn => {}
                        () = sleep(PATIENCE) => {}
                        () = stop.asked() => {}
                    }
                    return Ok(());
                }
            }
        };
        let waits = match turn {
            Ok(FeedProgress::Finished) => return Ok(()),
            Ok(turn) => {
                unreadable = false;
                turn == FeedProgress::CaughtUp
            }
            Err(FeedError::Store(StoreError::Unavailable(why))) => {
                if !unreadable {
                    tracing::warn!(%why, "database unavailable; retrying");
                }
                unreadable = true;
                true
            }
            Err(FeedError::Unconfirmed(why)) => {
                if !unreadable {
                    tracing::warn!(%why, "consumer may be held by another process; retrying");
                }
                unreadable = true;
                true
            }
            Err(error) => return Err(error),
        };
        if !waits {
            continue;
        }
        tokio::select! {
            () = changes.changed(), if !unreadable => {}
            () = sleep(RETRY), if unreadable => {}
            () = reader.gone() => return Err(FeedError::ReaderGone),
            () = stop.asked() => return Ok(()),
        }
    }
}

/// SIGINT and SIGTERM.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The other end of stdout.
pub(super) enum Reader {
    /// The reader of a pipe.
    Pipe(pipe::Sender),
    /// The client of a socket. This handle is only for watching: it clears its own readiness to
    /// write, which must not affect the handle that writes.
    Socket(UnixStream),
    /// Neither: a closed reader is noticed at the next write.
    Unknown,
}

impl Reader {
    pub(super) fn of_stdout() -> Self {
        // A second handle to the same pipe, never written to; the pipe's mode stays as it is.
        let handle = io::stdout().as_fd().try_clone_to_owned();
        handle
            .and_then(pipe::Sender::from_owned_fd_unchecked)
            .map_or(Self::Unknown, Self::Pipe)
    }

    /// Returns when the reader has closed its end.
    async fn gone(&self) {
        let gone = match self {
            Self::Pipe(pipe) => pipe.ready(Interest::ERROR).await.is_ok(),
            Self::Socket(socket) => hung_up(socket).await.is_ok(),
            Self::Unknown => false,
        };
        if !gone {
            std::future::pending::<()>().await;
        }
    }
}

/// Returns when the client has closed both directions. A client that has closed only its sending
/// direction still reads.
async fn hung_up(socket: &UnixStream) -> io::Result<()> {
    while !socket.ready(Interest::WRITABLE).await?.is_write_closed() {
        // Clears the readiness to write, so that the next change of the socket is waited for.
        let _ = socket.try_io(Interest::WRITABLE, || {
            Err::<(), _>(io::ErrorKind::WouldBlock.into())
        });
    }
    Ok(())
}
