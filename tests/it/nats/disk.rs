//! A server whose disk is full.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::scene::assert_stream_is_outbox;
use super::server::{NatsServer, usual};
use crate::faults::program::is_missing;
use crate::shop::Shop;

/// A small file system in memory; None, with a word, where only root could make one.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(kib: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={kib}k");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder.path())
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self { folder });
        }
        is_missing("the right to mount a file system");
        None
    }

    fn grow(&self, kib: u32) {
        let options = format!("remount,size={kib}k");
        let grown = Command::new("mount")
            .args(["-o", &options])
            .arg(self.folder.path())
            .status();
        assert!(grown.unwrap().success());
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("js")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let path: &Path = self.folder.path();
        drop(Command::new("umount").arg("-l").arg(path).status());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_the_server_stops_the_publisher_and_loses_no_event() {
    let Some(disk) = SmallDisk::mount(600) else {
        return;
    };
    let Some(mut server) = NatsServer::start_with("", Some(&disk.store())) else {
        return;
    };
    server.make_stream_as(usual()).await;
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    shop.record_payments("ORD-", 1500).await;
    let publisher = shop.start_publisher();
    publisher.until_said("feed stopped; retrying").await;
    // A server that ran out of space turns JetStream off until its next start.
    disk.grow(100_000);
    server.kill();
    server.run();
    shop.until_published().await;
    publisher.stop().await;
    assert_stream_is_outbox(&server, &shop).await;
}
