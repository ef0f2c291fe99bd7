//! Notices that the database is no longer the one that was opened: removed, replaced by another
//! file, or filled with older content. The daemon then exits with code 1, since its state in memory
//! belongs to the previous database; the next start settles the epoch.

use std::time::Duration;

use super::parts::Parts;
use crate::store::StoreError;

/// Interval of the check, which costs two `stat` calls and a read of three numbers.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Returns when the database was replaced; otherwise never.
pub(super) async fn until_replaced(parts: &Parts) -> StoreError {
    loop {
        parts.clock.sleep(CHECK_EVERY).await;
        let unchanged = parts.store.require_unchanged().await;
        if let Err(error @ StoreError::Replaced(_)) = unchanged.and_then(|()| require_roles(parts))
        {
            return error;
        }
    }
}

fn require_roles(parts: &Parts) -> Result<(), StoreError> {
    parts.roles.iter().try_for_each(|role| role.require_held())
}
