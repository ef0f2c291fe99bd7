//! The end of a task spawned by the poller.

use tokio::task::JoinError;

/// The result of a task. A panic in it is passed on; a task that is waited for is never cancelled.
pub(super) fn join_result<T>(ended: Result<T, JoinError>) -> T {
    ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
