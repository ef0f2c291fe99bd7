//! The sandbox: simulators of payment providers on loopback.
//!
//! It serves each provider's API under the provider's own paths, with quirks and limits, so that
//! any client of the real API works against it with a changed base URL. A control API
//! (`/sandbox/…`) makes payers pay and injects faults. Orders live in memory; everything random
//! follows from a seed.
//!
//! Each provider has a directory with its orders and a router. Shared parts are above: `core`
//! (clock, counters, rate limits), `faults`, `call`, `serve` and `play` (the steps of a request),
//! `simulator` (what the control API needs of each provider), `world` (all of them).

mod answer;
mod bill;
mod call;
mod control;
mod core;
mod crypto_pay;
mod cryptocloud;
mod decimal;
mod dialect;
mod faults;
mod installed;
mod ledger;
mod limit;
mod link;
mod moment;
mod new_order;
mod operation;
mod options;
mod params;
mod play;
mod registry;
mod reply;
mod sample;
mod serve;
mod shelf;
mod simulator;
mod tally;
mod telegram_stars;
mod variant;
mod walletpay;
mod world;
mod yookassa;
mod yoomoney;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use bill::{Bill, BillPayment, BillTruth};
pub use faults::{Fault, FaultError, FaultKind, FaultTarget, parse_faults};
pub use ledger::{NewTransaction, TransactionView};
pub use moment::Moment;
pub use new_order::NewOrder;
pub use operation::{Operation, SimulatedProvider};
pub use options::SandboxOptions;
pub use sample::{PayerHabit, SampleShop};
pub use simulator::{
    ControlError, CreateError, Created, OrderAction, OrderBatch, OrderEnding, OrderTruth,
    OrderView, SimulatedPayment, SimulatedRefund, ViewedAmount,
};
pub use tally::SandboxStats;
pub use variant::Variant;
pub use world::World;

use self::core::SandboxCore;
use link::{Link, LinkListener};

/// How long a stopping sandbox waits for answers in progress.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// A running sandbox. Dropped without [`Sandbox::stop`] it stops accepting connections.
pub struct Sandbox {
    address: SocketAddr,
    world: Arc<World>,
    stopping: CancellationToken,
    server: JoinHandle<io::Result<()>>,
}

impl Sandbox {
    /// Listens and serves in the background of the current tokio runtime. An address that is not
    /// loopback, or a rate limit that is not above zero, is an [`io::ErrorKind::InvalidInput`].
    pub async fn start(options: SandboxOptions) -> io::Result<Sandbox> {
        check(&options)?;
        let listener = TcpListener::bind(options.listen).await.map_err(|error| {
            let advice = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    "; stop the program that listens there, perhaps another sandbox, or choose another port with --listen"
                }
                _ => "",
            };
            io::Error::new(
                error.kind(),
                format!(
                    "sandbox could not listen on {}: {error}{advice}",
                    options.listen
                ),
            )
        })?;
        let address = listener.local_addr()?;
        let core = Arc::new(SandboxCore::new(&options));
        let stopping = core.stopping.clone();
        let (world, providers) = World::new(&core);
        let world = Arc::new(world);
        let service = providers.merge(control::routes(Arc::clone(&world)));
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

    /// The base URL for clients: `http://127.0.0.1:8181`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The orders, faults and counters, for use in the same process.
    pub fn world(&self) -> Arc<World> {
        Arc::clone(&self.world)
    }

    /// Ends intentional waits, lets answers in progress finish for up to two seconds, and stops.
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
            "{} is not a loopback address; the sandbox listens on loopback only, because its control side has no key",
            options.listen
        ));
    }
    match options.rate_limit {
        Some(rate) if !(rate.is_finite() && rate > 0.0) => refuse(format!(
            "rate limit: {rate}; expected: requests a second, above 0"
        )),
        _ => Ok(()),
    }
}
