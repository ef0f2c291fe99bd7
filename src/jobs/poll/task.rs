//! The end of a task of the poller's own.

use tokio::task::JoinError;

/// What a task brought. A panic in there is ours; nobody cancels one that is still waited for.
pub(super) fn join_result<T>(ended: Result<T, JoinError>) -> T {
    ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
