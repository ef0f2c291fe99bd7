//! Whether stdout can be written at all. The standard library takes a write to a descriptor that is not
//! open for writing for a success, so what went there would be lost, and look delivered.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

/// The bits of a descriptor's flags that say what it is open for.
const ACCESS_MODE: u32 = 0b11;
const READ_ONLY: u32 = 0b00;
const READ_AND_WRITE: u32 = 0b10;

/// Fails where what is written to stdout would be acknowledged and arrive nowhere.
///
/// # Errors
/// It is open for reading alone, or it was closed when the process began. A /dev/null that was opened
/// for reading as well cannot be told from that.
pub(super) fn require() -> io::Result<()> {
    require_writable()?;
    match flags() {
        Some(flags) if flags & ACCESS_MODE == READ_AND_WRITE && was_closed() => Err(unwritable(
            "it is closed, or a /dev/null open for reading too",
        )),
        Some(_) | None => Ok(()),
    }
}

/// Fails where stdout is there and cannot be written. Where it was closed, or leads to /dev/null, nobody
/// wants the results.
///
/// # Errors
/// It is open for reading alone.
pub(super) fn require_writable() -> io::Result<()> {
    match flags() {
        Some(flags) if flags & ACCESS_MODE == READ_ONLY => {
            Err(unwritable("it is open for reading only"))
        }
        Some(_) | None => Ok(()),
    }
}

/// stdout, or what tells at the first write that there is none.
pub(super) fn open() -> Box<dyn AsyncWrite + Unpin + Send> {
    match require() {
        Ok(()) => Box::new(tokio::io::stdout()),
        Err(_) => Box::new(Unwritable),
    }
}

fn unwritable(why: &str) -> io::Error {
    io::Error::other(format!("stdout cannot be written: {why}"))
}

/// None where the system does not tell.
fn flags() -> Option<u32> {
    let info = std::fs::read_to_string("/proc/self/fdinfo/1").ok()?;
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
    u32::from_str_radix(flags.trim(), 8).ok()
}

/// Whether stdout was closed when the process began. The standard library then puts a /dev/null
/// there, open for reading as well, which no shell's `>/dev/null` is.
fn was_closed() -> bool {
    std::fs::read_link("/proc/self/fd/1").is_ok_and(|file| file == Path::new("/dev/null"))
}

/// An output that takes nothing.
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
