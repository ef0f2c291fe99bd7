//! Checks that stdout can be written. The standard library reports success for a write to a descriptor
//! that is not open for writing, so output would be lost and counted as delivered.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

/// The access mode in a descriptor's flags.
const ACCESS_MODE: u32 = 0b11;
const READ_ONLY: u32 = 0b00;
const READ_AND_WRITE: u32 = 0b10;

/// Fails if output would be acknowledged without arriving anywhere.
///
/// # Errors
/// It is open only for reading, or it was closed when the process started. /dev/null opened for
/// reading and writing looks the same.
pub(super) fn require() -> io::Result<()> {
    require_writable()?;
    match flags() {
        Some(flags) if flags & ACCESS_MODE == READ_AND_WRITE && was_closed() => Err(unwritable(
            "it is closed, or /dev/null opened for reading and writing",
        )),
        Some(_) | None => Ok(()),
    }
}

/// Fails if stdout is open but cannot be written. A closed stdout, or /dev/null, is not an error:
/// the results are not wanted.
///
/// # Errors
/// It is open only for reading.
pub(super) fn require_writable() -> io::Result<()> {
    match flags() {
        Some(flags) if flags & ACCESS_MODE == READ_ONLY => {
            Err(unwritable("it is open for reading only"))
        }
        Some(_) | None => Ok(()),
    }
}

/// stdout, or a writer whose first write fails.
pub(super) fn open() -> Box<dyn AsyncWrite + Unpin + Send> {
    match require() {
        Ok(()) => Box::new(tokio::io::stdout()),
        Err(_) => Box::new(Unwritable),
    }
}

fn unwritable(why: &str) -> io::Error {
    io::Error::other(format!("stdout cannot be written: {why}"))
}

/// None where unknown.
fn flags() -> Option<u32> {
    let info = std::fs::read_to_string("/proc/self/fdinfo/1").ok()?;
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
    u32::from_str_radix(flags.trim(), 8).ok()
}

/// Whether stdout was closed when the process began. The standard library then opens /dev/null
/// there for reading and writing, which a shell's `>/dev/null` never does.
fn was_closed() -> bool {
    std::fs::read_link("/proc/self/fd/1").is_ok_and(|file| file == Path::new("/dev/null"))
}

/// A writer that refuses every write.
struct Unwritable;

impl AsyncWrite for Unwritable {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(require().map(|()| 0))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(require())
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
