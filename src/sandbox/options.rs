//! The options of a sandbox.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::faults::Fault;
use super::variant::Variant;

/// The options. The default: port 8181 on loopback, any key, no latency, no limit, no faults.
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// A loopback address; port 0 selects a free one.
    pub listen: SocketAddr,
    /// The key required by every provider; `None` accepts any nonempty key.
    pub api_key: Option<String>,
    /// Ids, rates, sweeps and the selection of faults follow from it.
    pub seed: u64,
    /// Delay before each answer of a provider's operation.
    pub latency: Duration,
    /// Requests per second at each provider, up to one second's worth at once; `None` = no limit.
    pub rate_limit: Option<f64>,
    /// Whether the 429 of the rate limit contains the wait. No provider documents such a header.
    pub rate_limit_retry_after: bool,
    /// Active from the start.
    pub faults: Vec<Fault>,
    pub variants: Vec<Variant>,
    /// Whether to compress for clients that accept it.
    pub gzip: bool,
}

impl Default for SandboxOptions {
    fn default() -> SandboxOptions {
        SandboxOptions {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8181)),
            api_key: None,
            seed: 0,
            latency: Duration::ZERO,
            rate_limit: None,
            rate_limit_retry_after: false,
            faults: Vec::new(),
            variants: Vec::new(),
            gzip: true,
        }
    }
}
