//! The service manager's end of the notification socket.

use std::path::{Path, PathBuf};

use tokio::net::UnixDatagram;

use crate::PATIENCE;

/// A socket and everything received by it, line by line.
pub struct Notified {
    socket: UnixDatagram,
    path: PathBuf,
    pub messages: Vec<String>,
}

impl Notified {
    /// One socket per run, so that messages of an earlier run are not mistaken for this one's.
    pub fn bind(folder: &Path) -> Self {
        let path = folder.join("notify.sock");
        let _ = std::fs::remove_file(&path);
        Self {
            socket: UnixDatagram::bind(&path).unwrap(),
            path,
            messages: Vec::new(),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until a line begins with `words`.
    pub async fn until(&mut self, words: &str) {
        let waiting = async {
            while !self.messages.iter().any(|line| line.starts_with(words)) {
                self.hear().await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
        assert!(in_time, "{words} was not received: {:?}", self.messages);
    }

    /// Listens for `time`, then returns the messages received meanwhile.
    pub async fn received_within(&mut self, time: std::time::Duration) -> &[String] {
        self.messages.clear();
        let listening = async {
            loop {
                self.hear().await;
            }
        };
        assert!(tokio::time::timeout(time, listening).await.is_err());
        &self.messages
    }

    async fn hear(&mut self) {
        let mut datagram = [0; 4096];
        let length = self.socket.recv(&mut datagram).await.unwrap();
        let text = String::from_utf8_lossy(&datagram[..length]);
        self.messages.extend(text.lines().map(str::to_owned));
    }
}
