//! The sandbox: a simulator of the Wallet Pay store API on loopback.
//!
//! It serves the four operations of the provider with their quirks and limits, so that any client of the
//! real API works against it by its base URL alone, and a control side (`/sandbox/…`) on which payers
//! pay and things go wrong. Orders live in memory; what looks random follows from a seed.
//!
//! `book`, `order`, `money` decide; `world` holds; `api`, `control` speak HTTP; `deck`, `play`, `spoil`
//! are the faults.

mod api;
mod book;
mod control;
mod deck;
mod dump;
mod fault;
mod fault_json;
mod limit;
mod link;
mod moment;
mod money;
mod order;
mod play;
mod reply;
mod spoil;
mod tally;
mod wire;
mod world;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use book::{ControlError, CreateError, Payment};
pub use fault::{Fault, FaultKind, Operation};
pub use fault_json::{FaultError, parse_faults};
pub use moment::Moment;
pub use money::{Currency, Money, PaymentOption};
pub use order::{NewOrder, OrderView, Status};
pub use tally::Stats;
pub use world::{Batch, Created, World};

use api::App;
use link::{Link, LinkListener};

/// How long a stopping sandbox waits for answers under way.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// How the sandbox behaves. The default: port 8181 of loopback, any key, no latency, no limit, no faults.
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// A loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The key that clients must show; `None` accepts any that is not empty.
    pub api_key: Option<String>,
    /// Ids, rates, sweeps and the chance of faults follow from it.
    pub seed: u64,
    /// Waited before each answer of a store operation.
    pub latency: Duration,
    /// Requests a second over all store operations, up to one second's worth at once; `None` = no limit.
    pub rate_limit: Option<f64>,
    /// Whether the 429 of the rate limit tells the wait. The provider documents no such header.
    pub rate_limit_retry_after: bool,
    /// In force from the start.
    pub faults: Vec<Fault>,
    pub preview_id: PreviewId,
    /// Compress for clients that accept it.
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
            preview_id: PreviewId::Text,
            gzip: true,
        }
    }
}

/// How create and preview write the id: the specification says text, its own example is a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PreviewId {
    #[default]
    Text,
    Number,
}

impl FromStr for PreviewId {
    type Err = String;

    fn from_str(text: &str) -> Result<PreviewId, String> {
        match text {
            "text" => Ok(PreviewId::Text),
            "number" => Ok(PreviewId::Number),
            _ => Err(format!("{text:?}; accepted: text, number")),
        }
    }
}

/// A running sandbox. Dropped without [`Sandbox::stop`] it stops taking connections.
pub struct Sandbox {
    address: SocketAddr,
    world: Arc<World>,
    stopping: CancellationToken,
    server: JoinHandle<io::Result<()>>,
}

impl Sandbox {
    /// Listens and serves in the background of the current tokio runtime. An address that is not
    /// loopback and a rate limit that is not above zero are [`io::ErrorKind::InvalidInput`].
    pub async fn start(options: SandboxOptions) -> io::Result<Sandbox> {
        check(&options)?;
        let listener = TcpListener::bind(options.listen).await.map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("the sandbox cannot listen on {}: {error}", options.listen),
            )
        })?;
        let address = listener.local_addr()?;
        let world = Arc::new(World::new(&options));
        let stopping = CancellationToken::new();
        let app = App {
            world: Arc::clone(&world),
            api_key: options.api_key.map(Into::into),
            latency: options.latency,
            preview_id: options.preview_id,
            gzip: options.gzip,
            limit_tells_wait: options.rate_limit_retry_after,
            stopping: stopping.clone(),
        };
        let service = api::routes().merge(control::routes()).with_state(app);
        let service = service.into_make_service_with_connect_info::<Link>();
        let server = axum::serve(LinkListener(listener), service)
            .with_graceful_shutdown(stopping.clone().cancelled_owned());
        let server = tokio::spawn(server.into_future());
        Ok(Sandbox {
            address,
            world,
            stopping,
            server,
        })
    }

    /// What clients use as base URL: `http://127.0.0.1:8181`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The orders, faults and counters, for use in the same process.
    pub fn world(&self) -> Arc<World> {
        Arc::clone(&self.world)
    }

    /// Ends what waits on purpose, lets answers under way finish for up to two seconds, and stops.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        if tokio::time::timeout(STOP_PATIENCE, &mut self.server)
            .await
            .is_err()
        {
            self.server.abort();
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

fn check(options: &SandboxOptions) -> io::Result<()> {
    let refuse = |problem: String| Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    if !options.listen.ip().to_canonical().is_loopback() {
        return refuse(format!(
            "the sandbox listens on loopback only, its control side has no key: {} is not a loopback address",
            options.listen
        ));
    }
    match options.rate_limit {
        Some(rate) if !(rate.is_finite() && rate > 0.0) => refuse(format!(
            "rate limit: {rate}; accepted: requests a second, above 0"
        )),
        _ => Ok(()),
    }
}
