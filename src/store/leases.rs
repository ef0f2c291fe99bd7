//! What several daemons on one database need to share the work. The database decides, and its clock alone
//! counts.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{Store, StoreError};
use crate::domain::shares::ClusterView;
use crate::domain::time::UnixMillis;

/// A name for this process that no other one on these machines has: host name and process id.
pub fn process_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = match host.trim() {
        "" => "process",
        host => host,
    };
    format!("{host}-{}", std::process::id())
}

/// A lease that this process took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What it is for.
    pub name: String,
    /// Rises with each change of owner: a write that bears an old one writes nothing.
    pub token: i64,
}

/// What a daemon tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// A name that no other daemon has.
    pub name: String,
    /// The program's version.
    pub version: String,
    /// The accounts that it could poll.
    pub accounts: Vec<String>,
}

/// Leases, and the daemons that share them.
#[async_trait]
pub trait Leases: Send + Sync + 'static {
    /// Says that this daemon lives, and that these leases may be taken.
    async fn announce(&self, presence: &Presence, names: &[String]) -> Result<(), StoreError>;

    /// The time by the database's clock.
    async fn now(&self) -> Result<UnixMillis, StoreError>;

    /// The daemons that were seen within `alive`, and every lease.
    async fn view(&self, alive: Duration) -> Result<ClusterView, StoreError>;

    /// Takes those of `names` that are free, for `term`. Waits for nobody: a lease whose owner is just
    /// writing is not free yet.
    async fn take(
        &self,
        owner: &str,
        names: &[String],
        term: Duration,
    ) -> Result<Vec<Lease>, StoreError>;

    /// Prolongs `held`. Returns the names of those that are still held; the others are another's.
    async fn renew(
        &self,
        owner: &str,
        held: &[Lease],
        term: Duration,
    ) -> Result<Vec<String>, StoreError>;

    /// Gives leases back.
    async fn release(&self, held: &[Lease]) -> Result<(), StoreError>;

    /// Takes this daemon off the list.
    async fn leave(&self, name: &str) -> Result<(), StoreError>;

    /// The store for the holder of a lease: it writes as long as the lease is its own.
    fn fenced(&self, lease: &Lease) -> Arc<dyn Store>;
}
