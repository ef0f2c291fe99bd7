//! How a provider words what is no answer of an operation.

use super::answer::SimulatedAnswer;
use super::core::SandboxCore;
use super::faults::DataShape;

/// The words of one provider, and where its answers hold orders.
pub(super) trait Dialect: Sync {
    fn shape(&self) -> &'static DataShape;

    /// A missing or wrong key.
    fn unauthorized(&self, core: &SandboxCore) -> SimulatedAnswer;

    /// 429; `wait` is told in the body where the provider does so, in seconds.
    fn too_many_requests(&self, wait: Option<&str>) -> SimulatedAnswer;

    /// 500.
    fn server_error(&self) -> SimulatedAnswer;

    /// 404.
    fn not_found(&self) -> SimulatedAnswer;

    /// A failure in the provider's envelope, with HTTP 200 where it has such. `word` names it.
    fn envelope_error(&self, word: Option<&str>) -> SimulatedAnswer;
}
