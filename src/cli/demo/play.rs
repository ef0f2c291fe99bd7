//! The play: a shop whose customers pay, dawdle, cancel and forget, while the provider stumbles.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Environment};
use crate::daemon::{self, DaemonError};
use crate::sandbox::{
    Fault, FaultKind, NewOrder, Sandbox, SandboxOptions, SimulatedPayment, Variant, World,
};
use crate::store::{Database, NewInvoice, Reports};

/// Customers in the play.
pub(super) const CUSTOMERS: u16 = 60;
/// They come over this time.
const OPENING: Duration = Duration::from_secs(10);
/// The provider is away from then, for so long.
const OUTAGE_AT: Duration = Duration::from_secs(6);
const OUTAGE: Duration = Duration::from_secs(2);

/// What a customer does with the bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    Pays(Duration),
    /// Pays after the order has ended.
    PaysLate {
        ends: Duration,
        pays: Duration,
    },
    Cancels(Duration),
    /// Never pays: the order ends.
    Forgets(Duration),
}

/// Everything that is running.
pub(super) struct Play {
    pub(super) store: Arc<dyn Database>,
    pub(super) world: Arc<World>,
    pub(super) clock: Arc<dyn Clock>,
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
            variants: vec![Variant::WalletPayNumberId],
            seed,
            faults: everyday_faults(),
            ..SandboxOptions::default()
        })
        .await?;
        let path = folder.path().join("demo.db");
        let environment: Environment = [("PAYRECOND_API_KEY_DEFAULT", "demo")]
            .into_iter()
            .collect();
        let config = Config::parse(
            &settings(&path.display().to_string(), &sandbox.url()),
            &environment,
        )?;
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
            world: sandbox.world(),
            clock,
            sandbox,
            stop,
            daemon,
            customers: Vec::new(),
            _folder: folder,
        })
    }

    /// Lets the customers in, and the provider go away for a while.
    pub(super) fn let_in(&mut self, seed: u64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        for number in 0..CUSTOMERS {
            let share = f64::from(number) / f64::from(CUSTOMERS);
            let customer = Customer {
                number,
                comes: OPENING.mul_f64(share),
                habit: habit(&mut rng),
                store: Arc::clone(&self.store) as Arc<dyn Reports>,
                world: Arc::clone(&self.world),
                clock: Arc::clone(&self.clock),
            };
            self.customers.push(tokio::spawn(customer.visit()));
        }
        let (world, clock) = (Arc::clone(&self.world), Arc::clone(&self.clock));
        self.customers.push(tokio::spawn(async move {
            clock.sleep(OUTAGE_AT).await;
            world.set_faults(vec![Fault::new(FaultKind::Reset)]);
            clock.sleep(OUTAGE).await;
            world.set_faults(everyday_faults());
            Ok(())
        }));
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
fn settings(path: &str, base_url: &str) -> String {
    format!(
        "[database]\npath = {path:?}\n\
         [[account]]\nname = \"default\"\nbase_url = {base_url:?}\nrequests_per_second = 100.0\nburst = 100\n\
         [polling]\nmin_interval = \"200ms\"\nmax_interval = \"2s\"\nintake_interval = \"50ms\"\n\
         checks_after_expiry = [\"500ms\", \"1s\", \"2s\", \"4s\"]\n\
         [http]\nrequest_timeout = \"3s\"\n\
         [jobs]\naudit = \"\"\nretention = \"\"\n"
    )
}

fn habit(rng: &mut fastrand::Rng) -> Habit {
    let mut between = |least: u64, most: u64| Duration::from_millis(rng.u64(least..most));
    let (soon, later) = (between(400, 5000), between(2000, 4500));
    let pays = between(800, 1800);
    match rng.u8(0..20) {
        0..=10 => Habit::Pays(soon),
        11..=13 => Habit::PaysLate { ends: later, pays },
        14..=15 => Habit::Cancels(later),
        _ => Habit::Forgets(later),
    }
}

struct Customer {
    number: u16,
    comes: Duration,
    habit: Habit,
    store: Arc<dyn Reports>,
    world: Arc<World>,
    clock: Arc<dyn Clock>,
}

impl Customer {
    /// Comes, gets an order, and does as is the habit. Every other order is made by the bot itself,
    /// the rest by the daemon.
    async fn visit(self) -> anyhow::Result<()> {
        self.clock.sleep(self.comes).await;
        let external_id = format!("ORD-{:03}", self.number + 1);
        self.drop_invoice(&external_id).await?;
        while self.world.order(&external_id).is_none() {
            self.clock.sleep(Duration::from_millis(50)).await;
        }
        match self.habit {
            Habit::Pays(after) => {
                self.clock.sleep(after).await;
                self.world.pay(&external_id, &SimulatedPayment::default())?;
            }
            Habit::PaysLate { ends, pays } => {
                self.clock.sleep(ends).await;
                self.world.expire(&external_id, false)?;
                self.clock.sleep(pays).await;
                let late = SimulatedPayment {
                    late: true,
                    ..SimulatedPayment::default()
                };
                self.world.pay(&external_id, &late)?;
            }
            Habit::Cancels(after) => {
                self.clock.sleep(after).await;
                self.world.cancel(&external_id, false)?;
            }
            Habit::Forgets(after) => {
                self.clock.sleep(after).await;
                self.world.expire(&external_id, false)?;
            }
        }
        Ok(())
    }

    async fn drop_invoice(&self, external_id: &str) -> anyhow::Result<()> {
        let amount = format!("{}.{:02}", self.number % 9 + 1, self.number);
        let mut invoice = NewInvoice {
            external_id: external_id.to_owned(),
            metadata: Some(format!(
                r#"{{"chat":{}}}"#,
                100_000 + u32::from(self.number)
            )),
            ..NewInvoice::default()
        };
        if self.number.is_multiple_of(2) {
            let order = NewOrder::simple(external_id, &amount, "USD");
            invoice.order_id = Some(self.world.create(&order)?.order.id);
        } else {
            invoice.amount = Some(amount);
            invoice.currency = Some("USD".into());
            invoice.description = Some("Six eggs and bread".into());
            invoice.options = Some(r#"{"customerTelegramUserId":42}"#.into());
        }
        let inserted = self.store.insert(&invoice).await?;
        inserted.map(drop).map_err(anyhow::Error::msg)
    }
}
