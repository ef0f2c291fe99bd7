//! The play: a shop with an account at every provider, whose customers pay, dawdle, cancel and forget,
//! while the providers stumble.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::customer::Customer;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Environment, key_variable};
use crate::daemon::{self, DaemonError};
use crate::sandbox::{
    Bill, Fault, FaultKind, SampleShop, Sandbox, SandboxOptions, SimulatedProvider, World,
};
use crate::store::{Database, Reports};

/// Customers of each provider.
pub(super) const CUSTOMERS_EACH: u16 = 10;
/// They come over this time.
const OPENING: Duration = Duration::from_secs(10);
/// The providers are away from then, for so long.
const OUTAGE_AT: Duration = Duration::from_secs(6);
const OUTAGE: Duration = Duration::from_secs(2);

/// Everything that is running.
pub(super) struct Play {
    pub(super) store: Arc<dyn Database>,
    pub(super) world: Arc<World>,
    pub(super) clock: Arc<dyn Clock>,
    /// What the customers are asked for, in the order in which they come.
    pub(super) bills: Vec<Bill>,
    sandbox: Sandbox,
    stop: CancellationToken,
    daemon: JoinHandle<Result<(), DaemonError>>,
    customers: Vec<JoinHandle<anyhow::Result<()>>>,
    _folder: TempDir,
}

impl Play {
    /// Opens the shop: sandbox, database, daemon; its feed goes to `feed`.
    pub(super) async fn begin<W>(seed: u64, feed: W) -> anyhow::Result<Self>
    where
        W: tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let folder = tempfile::tempdir()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let sandbox = Sandbox::start(SandboxOptions {
            listen: ([127, 0, 0, 1], 0).into(),
            latency: Duration::from_millis(20),
            seed,
            faults: everyday_faults(),
            ..SandboxOptions::default()
        })
        .await?;
        let world = sandbox.world();
        let path = folder.path().join("demo.db");
        let mut text = settings(&path.display().to_string());
        let mut keys = Vec::new();
        for provider in SimulatedProvider::ALL {
            let sample = sample(&world, *provider)?;
            text.push_str(&account(*provider, sample, &sandbox.url()));
            keys.push((key_variable(provider.name()), sample.key));
        }
        let environment: Environment = keys.into_iter().collect();
        let config = Config::parse(&text, &environment)?;
        let options = daemon::database_options(&config);
        options.migrate(clock.now()).await?;
        let store = options.open().await?;
        let stop = CancellationToken::new();
        let token = stop.clone();
        let daemon = tokio::spawn(async move {
            daemon::run_until(config, &environment, feed, token, Arc::new(Notify::new())).await
        });
        Ok(Self {
            store,
            bills: bills(&world)?,
            world,
            clock,
            sandbox,
            stop,
            daemon,
            customers: Vec::new(),
            _folder: folder,
        })
    }

    /// Lets the customers in, and the providers go away for a while.
    pub(super) fn let_in(&mut self, seed: u64) -> anyhow::Result<()> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let providers = SimulatedProvider::ALL.len();
        let each = OPENING / u32::try_from(self.bills.len().max(1))?;
        let mut comes = Duration::ZERO;
        for (place, bill) in self.bills.iter().enumerate() {
            let sample = sample(&self.world, bill.provider)?;
            let number = place / providers;
            let customer = Customer::new(bill.clone(), sample, number, comes, &mut rng);
            let store = Arc::clone(&self.store) as Arc<dyn Reports>;
            let (world, clock) = (Arc::clone(&self.world), Arc::clone(&self.clock));
            self.customers
                .push(tokio::spawn(customer.visit(store, world, clock)));
            comes += each;
        }
        let (world, clock) = (Arc::clone(&self.world), Arc::clone(&self.clock));
        self.customers.push(tokio::spawn(async move {
            clock.sleep(OUTAGE_AT).await;
            world.set_faults(vec![Fault::new(FaultKind::Reset)]);
            clock.sleep(OUTAGE).await;
            world.set_faults(everyday_faults());
            Ok(())
        }));
        Ok(())
    }

    /// Whether every customer has gone.
    pub(super) fn is_over(&self) -> bool {
        self.customers.iter().all(JoinHandle::is_finished)
    }

    /// What went wrong among the customers, which must be nothing.
    pub(super) async fn complaints(&mut self) -> anyhow::Result<()> {
        for customer in self.customers.drain(..) {
            if !customer.is_finished() {
                customer.abort();
                anyhow::bail!(
                    "an order was not created in time; the machine may be overloaded, try again"
                );
            }
            customer.await??;
        }
        Ok(())
    }

    /// Stops the daemon and waits for its end.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        (&mut self.daemon).await??;
        Ok(())
    }

    /// Closes the sandbox.
    pub(super) async fn close(self) {
        self.sandbox.stop().await;
    }
}

fn sample(world: &World, provider: SimulatedProvider) -> anyhow::Result<&'static SampleShop> {
    let sample = world.sample(provider);
    sample.with_context(|| format!("the sandbox has no sample shop at {provider}"))
}

/// The customers of all providers by turns.
fn bills(world: &World) -> anyhow::Result<Vec<Bill>> {
    let mut bills = Vec::new();
    for round in 0..usize::from(CUSTOMERS_EACH) {
        for provider in SimulatedProvider::ALL {
            let prices = sample(world, *provider)?.prices;
            bills.push(Bill {
                provider: *provider,
                external_id: format!("ORD-{:03}", bills.len() + 1),
                price: prices[round % prices.len()].to_owned(),
            });
        }
    }
    Ok(bills)
}

/// What any provider does to its clients now and then.
fn everyday_faults() -> Vec<Fault> {
    vec![
        Fault::new(FaultKind::Status429).with_probability(0.01),
        Fault::new(FaultKind::Status500).with_probability(0.03),
        Fault::new(FaultKind::TruncatedBody).with_probability(0.02),
        Fault::new(FaultKind::Status502Html).with_probability(0.02),
    ]
}

/// A shop's settings, hurried: a day in 20 seconds.
fn settings(path: &str) -> String {
    format!(
        "[database]\npath = {path:?}\n\
         [polling]\nmin_interval = \"200ms\"\nmax_interval = \"2s\"\nintake_interval = \"50ms\"\n\
         checks_after_expiry = [\"500ms\", \"1s\", \"2s\", \"4s\"]\n\
         [http]\nrequest_timeout = \"3s\"\n\
         [jobs]\naudit = \"\"\nretention = \"\"\n"
    )
}

/// The account at `provider`, named as it is.
fn account(provider: SimulatedProvider, sample: &SampleShop, base_url: &str) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "[[account]]\nname = \"{provider}\"\nprovider = \"{provider}\"\nbase_url = {base_url:?}\n\
         requests_per_second = 10.0\nburst = 20\n{}",
        sample.account
    );
    text
}
