//! Notices writes by other processes within milliseconds, without polling all the time.
//!
//! SQLite offers no notification. But every commit writes the `-wal` file, and a commit with events
//! is followed by the high-water mark, and the kernel reports both. A change of the mark means that
//! there is something to read now. A write to the `-wal` comes a moment before its commit can be
//! read, and most contain no event: it is followed by checks at growing intervals. Where the kernel
//! reports nothing, these checks are all there is.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;

#[cfg(target_os = "linux")]
use self::signs::InotifySigns as FileSigns;
#[cfg(not(target_os = "linux"))]
use self::signs::NoSigns as FileSigns;
use crate::store::ChangeWatch;

/// Minimum time between two checks: a burst of writes is read together.
const BREATH: Duration = Duration::from_millis(1);
/// First delay after a write; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(15);
/// Maximum delay where the kernel reports writes.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Maximum delay where it does not.
const LONGEST_WAIT_BLIND: Duration = Duration::from_millis(200);

/// A watch on a database. It never touches the database's own files.
pub(super) struct FileWatch {
    signs: Option<FileSigns>,
    wait: Duration,
}

impl FileWatch {
    /// Begins to watch the database at `path`.
    pub(super) fn on(path: &Path) -> Self {
        let signs = FileSigns::of(path).inspect_err(|error| {
            tracing::debug!(%error, "file notifications unavailable; writes of other programs are found by polling only");
        });
        Self {
            signs: signs.ok(),
            wait: FIRST_WAIT,
        }
    }
}

#[async_trait]
impl ChangeWatch for FileWatch {
    async fn changed(&mut self) {
        sleep(BREATH).await;
        let Some(signs) = &mut self.signs else {
            return sleep(LONGEST_WAIT_BLIND).await;
        };
        let next_check = sleep(self.wait);
        tokio::pin!(next_check);
        loop {
            tokio::select! {
                sign = signs.next() => match sign {
                    Sign::Marked => {
                        self.wait = FIRST_WAIT;
                        return;
                    }
                    Sign::Written => {
                        let soon = sleep(FIRST_WAIT).deadline();
                        if soon < next_check.deadline() {
                            next_check.as_mut().reset(soon);
                            self.wait = FIRST_WAIT;
                        }
                    }
                },
                () = &mut next_check => {
                    self.wait = (self.wait * 2).min(LONGEST_WAIT);
                    return;
                }
            }
        }
    }
}

/// A report of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// Events were committed.
    Marked,
    /// A write is in progress.
    Written,
}

#[cfg(target_os = "linux")]
mod signs {
    use std::ffi::OsString;
    use std::io;
    use std::path::Path;

    use futures::StreamExt as _;
    use inotify::{EventStream, Inotify, WatchMask};

    use super::Sign;

    /// Buffer for the kernel's messages: some dozens of them.
    const BUFFER_BYTES: usize = 4096;

    /// The kernel's reports about the database's directory.
    pub(super) struct InotifySigns {
        events: EventStream<[u8; BUFFER_BYTES]>,
        wal: OsString,
        mark: OsString,
    }

    impl InotifySigns {
        pub(super) fn of(path: &Path) -> io::Result<Self> {
            // SQLite puts the -wal beside the file that a link leads to.
            let path = path.canonicalize()?;
            let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(io::ErrorKind::InvalidInput.into());
            };
            let beside = |suffix: &str| {
                let mut name = name.to_owned();
                name.push(suffix);
                name
            };
            let inotify = Inotify::init()?;
            let mask = WatchMask::MODIFY | WatchMask::CREATE | WatchMask::MOVED_TO;
            inotify.watches().add(folder, mask)?;
            Ok(Self {
                events: inotify.into_event_stream([0; BUFFER_BYTES])?,
                wal: beside("-wal"),
                mark: beside(".high-water"),
            })
        }

        pub(super) async fn next(&mut self) -> Sign {
            loop {
                match self.events.next().await {
                    Some(Ok(event)) => match event.name {
                        Some(name) if name == self.wal => return Sign::Written,
                        Some(name) if name != self.mark => {}
                        // Without a name: messages were lost.
                        Some(_) | None => return Sign::Marked,
                    },
                    Some(Err(_)) | None => return std::future::pending().await,
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod signs {
    use std::io;
    use std::path::Path;

    use super::Sign;

    /// For systems without such reports.
    pub(super) struct NoSigns;

    impl NoSigns {
        pub(super) fn of(_path: &Path) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(super) async fn next(&mut self) -> Sign {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_kernel_events_of_the_database_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        std::fs::write(&path, "").unwrap();
        let mut watch = FileWatch::on(&path);
        let Some(signs) = &mut watch.signs else {
            return;
        };
        std::fs::write(folder.path().join("other"), "x").unwrap();
        std::fs::write(folder.path().join("a.db-wal"), "").unwrap();
        std::fs::rename(
            folder.path().join("other"),
            folder.path().join("a.db.high-water"),
        )
        .unwrap();
        assert_eq!(signs.next().await, Sign::Written);
        assert_eq!(signs.next().await, Sign::Marked);
        watch.wait = LONGEST_WAIT;
        std::fs::write(folder.path().join("a.db-wal"), "y").unwrap();
        watch.changed().await;
        // The check came soon after the write, which reset the delay.
        assert_eq!(watch.wait, FIRST_WAIT * 2);
    }
}
