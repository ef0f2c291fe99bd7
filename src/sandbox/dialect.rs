//! How a provider words answers that are not those of an operation.

use super::answer::SimulatedAnswer;
use super::core::SandboxCore;
use super::faults::DataShape;

/// The failures of one provider, and where its answers contain orders.
pub(super) trait Dialect: Sync {
    fn shape(&self) -> &'static DataShape;

    /// A missing or wrong key.
    fn unauthorized(&self, core: &SandboxCore) -> SimulatedAnswer;

    /// 429; `wait`, in seconds, is in the body where the provider puts it there.
    fn too_many_requests(&self, wait: Option<&str>) -> SimulatedAnswer;

    /// 500.
    fn server_error(&self) -> SimulatedAnswer;

    /// 404.
    fn not_found(&self) -> SimulatedAnswer;

    /// A failure in the provider's envelope, with HTTP 200 where the provider uses it. `word` is
    /// its code.
    fn envelope_error(&self, word: Option<&str>) -> SimulatedAnswer;
}
