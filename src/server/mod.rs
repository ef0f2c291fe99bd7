//! The HTTP server: health checks, metrics and the status page.
//!
//! It only reads, with its own database connections, so polling never waits for it. There is no
//! password, so it listens on loopback or a unix socket unless configured otherwise.
//! Absent on purpose: anything that changes data.

mod files;
mod guard;
mod health;
mod invoice;
mod listen;
mod notice;
mod page;
mod render;
mod scrape;
mod snapshot;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::http::Uri;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use self::guard::Hosts;
use self::health::Health;
use self::listen::Listener;
use self::snapshot::Keeper;
use crate::clock::Clock;
use crate::config::Listen;
use crate::domain::cadence::Cadence;
use crate::domain::time::UnixMillis;
use crate::jobs::Heartbeat;
use crate::metrics::{AccountMeter, FeedMeter, Metrics};
use crate::store::{Database, Reports};

pub use self::listen::ListenError;

/// What the server needs.
pub struct Setup {
    /// The database, on separate connections.
    pub store: Arc<dyn Database>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The metrics.
    pub metrics: Metrics,
    /// The enabled accounts.
    pub accounts: Vec<AccountMeter>,
    /// The feeds that are on.
    pub feeds: Vec<FeedMeter>,
    /// The heartbeats of the tasks.
    pub heartbeats: BTreeMap<String, Heartbeat>,
    /// The polling cadence.
    pub cadence: Cadence,
    /// Every account of the configuration, and whether it is enabled.
    pub configured: BTreeMap<String, bool>,
}

/// The state shared by all handlers.
struct Site {
    setup: Setup,
    health: Health,
    keeper: Arc<Keeper>,
    started_at: UnixMillis,
}

/// A bound address; no request is answered yet.
pub struct Server {
    listener: Listener,
    hosts: Hosts,
}

impl Server {
    /// Binds the address.
    ///
    /// # Errors
    /// If it cannot be bound; the message names `server.listen`.
    pub async fn bind(listen: &Listen, allow_remote: bool) -> Result<Self, ListenError> {
        let listener = Listener::bind(listen).await?;
        let hosts = match &listener {
            Listener::Tcp(_, address) if !allow_remote => Hosts::OfMachine(address.ip()),
            // A browser cannot be tricked into using a unix socket.
            Listener::Tcp(..) | Listener::Unix(..) => Hosts::Any,
        };
        Ok(Self { listener, hosts })
    }

    /// The address, for people.
    pub fn place(&self) -> String {
        self.listener.to_string()
    }

    /// Answers requests until `stop`.
    pub async fn run(self, setup: Setup, stop: CancellationToken) {
        let names = setup.accounts.iter().map(|meter| meter.name().into());
        let keeper = Arc::new(Keeper::new(
            Arc::clone(&setup.store) as Arc<dyn Reports>,
            Arc::clone(&setup.clock),
            names.collect(),
        ));
        let site = Arc::new(Site {
            health: Health::new(Arc::clone(&setup.clock)),
            keeper: Arc::clone(&keeper),
            started_at: setup.clock.now(),
            setup,
        });
        let store = Arc::clone(&site.setup.store);
        let catching_up = tokio::spawn(keeper.catch_up());
        listen::serve(self.listener, routes(site, self.hosts), stop).await;
        catching_up.abort();
        store.close().await;
    }
}

fn routes(site: Arc<Site>, hosts: Hosts) -> Router {
    Router::new()
        .route("/", get(page::index))
        .route("/invoice", get(invoice::invoice))
        .route("/status.css", get(files::style))
        .route("/status.js", get(files::script))
        .route("/icon.svg", get(files::icon))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(scrape::metrics))
        .fallback(nothing_here)
        .with_state(site)
        .layer(from_fn(guard::read_only))
        .layer(from_fn_with_state(hosts, guard::known_host))
        .layer(from_fn(guard::headers))
}

async fn nothing_here(asked: Uri) -> Response {
    let sentence = "The status page is at /, an invoice at /invoice?ref=ID. Programs use /livez, /readyz \
                    and /metrics.";
    notice::not_found_page(asked.path(), sentence)
}
