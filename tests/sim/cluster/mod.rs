//! Several daemons on one database. Each has a runtime of its own, which the story turns while its machine
//! runs: a machine that is paused is not turned while time passes, one that is killed is dropped. The
//! database is the SQLite store behind a table of leases (`leases`), and a server (`server`) where a commit
//! goes on whatever becomes of the daemon that sent it. `member` is one daemon, `story` what happens to
//! them, `laws` what must hold of all of them together.

pub mod laws;
pub mod leases;
pub mod machine;
pub mod member;
pub mod nature;
pub mod server;
mod stdout;
mod story;

use std::sync::Arc;
use std::time::Duration;

use payrecond::store::sqlite::SqliteStore;

use crate::clock::SharedClock;
use crate::cluster::laws::Watch;
use crate::cluster::member::Member;
use crate::cluster::server::Server;

/// All daemons, and what they share.
pub struct Cluster {
    pub store: Arc<SqliteStore>,
    pub server: Server,
    pub slots: Vec<Slot>,
    pub watch: Watch,
}

/// The machine of one daemon.
pub struct Slot {
    pub n: usize,
    pub clock: SharedClock,
    /// How often a daemon was started here.
    pub lives: u32,
    pub started_at: Duration,
    pub member: Option<Member>,
    pub is_paused: bool,
    /// Nothing has been wrong with it since then.
    pub well_since: Option<Duration>,
    pub stopping_since: Option<Duration>,
}

impl Slot {
    pub fn new(n: usize, clock: SharedClock) -> Self {
        Self {
            n,
            clock,
            lives: 0,
            started_at: Duration::ZERO,
            member: None,
            is_paused: false,
            well_since: None,
            stopping_since: None,
        }
    }

    /// Whether nothing is wrong with the daemon.
    pub fn is_well(&self) -> bool {
        let member = self.member.as_ref();
        !self.is_paused && self.stopping_since.is_none() && member.is_some_and(Member::is_well)
    }
}
