//! Notices that another process wrote, within milliseconds and without asking all the time.
//!
//! The library tells nobody. But a commit writes the `-wal` file, and the daemon renames the high-water
//! mark into place after each commit that holds events: the kernel tells of both. The write to the
//! `-wal` comes a moment before the commit can be read, so each sign is followed by a few more
//! looks, ever further apart; where the kernel tells nothing, those looks are all there is.

use std::path::Path;
use std::time::Duration;

/// Least time between two looks: what comes in a burst is read together.
const BREATH: Duration = Duration::from_millis(2);
/// First wait after a sign; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(4);
/// Longest wait where the kernel tells of writes.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Longest wait where it does not.
const LONGEST_WAIT_BLIND: Duration = Duration::from_millis(200);

/// A watch on a database. It never touches the database's own files.
pub struct ChangeWatch {
    signs: Option<signs::Signs>,
    wait: Duration,
}

impl ChangeWatch {
    /// Begins to watch the database at `path`.
    pub fn on(path: &Path) -> Self {
        let signs = signs::Signs::of(path).inspect_err(|error| {
            tracing::debug!(%error, "writes of others are looked for by polling alone");
        });
        Self {
            signs: signs.ok(),
            wait: FIRST_WAIT,
        }
    }

    /// Returns when the database may have changed, and from time to time without that. Nothing is
    /// lost when the future is dropped.
    pub async fn changed(&mut self) {
        tokio::time::sleep(BREATH).await;
        match &mut self.signs {
            Some(signs) => {
                tokio::select! {
                    () = signs.next() => self.wait = FIRST_WAIT,
                    () = tokio::time::sleep(self.wait) => {
                        self.wait = (self.wait * 2).min(LONGEST_WAIT);
                    }
                }
            }
            None => tokio::time::sleep(LONGEST_WAIT_BLIND).await,
        }
    }
}

#[cfg(target_os = "linux")]
mod signs {
    use std::ffi::OsString;
    use std::io;
    use std::path::Path;

    use futures::StreamExt as _;
    use inotify::{EventStream, Inotify, WatchMask};

    /// Bytes for the kernel's messages: some dozens of them.
    const BUFFER_BYTES: usize = 4096;

    /// What the kernel tells of the database's folder.
    pub(super) struct Signs {
        events: EventStream<[u8; BUFFER_BYTES]>,
        names: [OsString; 2],
    }

    impl Signs {
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
                names: [beside("-wal"), beside(".high-water")],
            })
        }

        pub(super) async fn next(&mut self) {
            loop {
                match self.events.next().await {
                    Some(Ok(event)) => match event.name {
                        Some(name) if !self.names.contains(&name) => {}
                        // Without a name: messages were lost.
                        Some(_) | None => return,
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

    /// Nothing is told here.
    pub(super) struct Signs;

    impl Signs {
        pub(super) fn of(_path: &Path) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(super) async fn next(&mut self) {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_write_to_the_wal_is_noticed_before_the_next_planned_look() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        std::fs::write(&path, "").unwrap();
        let mut watch = ChangeWatch::on(&path);
        let Some(signs) = &mut watch.signs else {
            return;
        };
        std::fs::write(folder.path().join("other"), "x").unwrap();
        std::fs::write(folder.path().join("a.db-wal"), "x").unwrap();
        signs.next().await;
        watch.wait = LONGEST_WAIT;
        std::fs::write(folder.path().join("a.db-wal"), "y").unwrap();
        watch.changed().await;
        assert_eq!(watch.wait, FIRST_WAIT);
    }
}
