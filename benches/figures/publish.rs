//! The publisher: events a second into a stream, beside a bare chained loop with the same window, and how
//! soon after its commit an event is acknowledged.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use async_nats::HeaderMap;
use async_nats::jetstream::{self, stream};
use async_trait::async_trait;
use futures::FutureExt as _;
use payrecond::clock::SystemClock;
use payrecond::daemon::{FeedWakes, NATS_CONSUMER, feed_loop};
use payrecond::domain::invoice::AccountName;
use payrecond::jetstream::Connector;
use payrecond::jobs::feed::{Delivered, Feed, FeedError, FeedRole, Sink, StreamSetup, StreamSink};
use payrecond::store::{
    Database as _, DatabaseLocation, DatabaseOptions, QueuePlace, Role, Store, StoredEvent,
};
use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::commits::{due_orders, paid};
use crate::Scale;
use crate::bed::{Database, Rows, daemon, folder, now};
use crate::process::Process;
use crate::table::{Row, Table, alone, per_second, percent, quantile, rate};

const SECTION: &str = "publish";
/// As the publisher's own.
const WINDOW: usize = 256;
/// Commits whose way to the stream is timed.
const COMMITS: usize = 300;

pub async fn measure(scale: Scale, table: &mut Table) -> Result<()> {
    rates(scale, table).await?;
    let delays = delays().await?;
    let figure = format!(
        "p50 {:.2} ms, p99 {:.2} ms",
        quantile(&delays, 0.5),
        quantile(&delays, 0.99)
    );
    let what = format!("commit to acknowledgement by JetStream, {COMMITS} commits");
    table.add(SECTION, alone(what, figure, "p50 ≤ 5 ms"));
    Ok(())
}

async fn rates(scale: Scale, table: &mut Table) -> Result<()> {
    let count: i64 = if scale.quick { 50_000 } else { 300_000 };
    let folder = folder()?;
    let database = Database::create(folder.path(), "publish.db").await?;
    database.fill_outbox(count).await?;
    let count = count.unsigned_abs();
    let server = Server::start(&folder.path().join("ours")).await?;
    let mut command = daemon(
        &database,
        "http://127.0.0.1:1",
        "preview",
        "off",
        &["publish", "--once"],
    )?;
    command
        .env("PAYRECOND__NATS__URL", &server.url)
        .stderr(Stdio::null());
    let ours = Process::spawn(&mut command)?.finish().await?;
    server.require(count).await?;
    drop(server);
    let server = Server::start(&folder.path().join("bare")).await?;
    let bare = bare(&server, &database, count).await?;
    server.require(count).await?;
    table.add(
        SECTION,
        Row {
            what: format!("publish --once, {count} events, beside a chained loop of async-nats, window {WINDOW}"),
            figure: per_second(count, ours.wall),
            beside: per_second(count, bare),
            ratio: percent(rate(count, ours.wall) / rate(count, bare)),
            target: "≥ 60 %".to_owned(),
        },
    );
    Ok(())
}

/// A nats-server with an empty stream.
struct Server {
    _process: Process,
    url: String,
    context: jetstream::Context,
}

impl Server {
    async fn start(store: &Path) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new("nats-server");
        command
            .args([
                "--addr",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--jetstream",
                "--store_dir",
            ])
            .arg(store)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = Process::spawn(&mut command)?;
        let url = format!("nats://127.0.0.1:{port}");
        for _ in 0..200 {
            if let Ok(client) = async_nats::connect(&url).await {
                let context = jetstream::new(client);
                let made = context
                    .create_stream(stream::Config {
                        name: "PAYMENTS".to_owned(),
                        subjects: vec!["payments.>".to_owned()],
                        ..stream::Config::default()
                    })
                    .await;
                if made.is_ok() {
                    return Ok(Self {
                        _process: process,
                        url,
                        context,
                    });
                }
            }
            sleep(Duration::from_millis(20)).await;
        }
        bail!("nats-server does not answer")
    }

    async fn require(&self, count: u64) -> Result<()> {
        let stream = self.context.get_stream("PAYMENTS").await?;
        let held = stream.get_info().await?.state.messages;
        if held != count {
            bail!("{held} of {count} events are in the stream");
        }
        Ok(())
    }
}

/// Time in which a loop without a database of its own publishes the same events, read before.
async fn bare(server: &Server, database: &Database, count: u64) -> Result<Duration> {
    let store = database.store().await?;
    let limit = u32::try_from(count)?;
    let events = store.events_after(0, limit).await?;
    store.close().await;
    let began = Instant::now();
    let mut in_flight = VecDeque::new();
    for (index, event) in events.iter().enumerate() {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", event.event_id.as_str());
        headers.insert("Nats-Expected-Last-Sequence", index.to_string().as_str());
        if let Some(before) = index.checked_sub(1) {
            headers.insert(
                "Nats-Expected-Last-Msg-Id",
                events[before].event_id.as_str(),
            );
        }
        let payload = event.payload.clone().into();
        let answer = server
            .context
            .publish_with_headers(event.subject.clone(), headers, payload)
            .await?;
        in_flight.push_back(answer);
        if in_flight.len() == WINDOW {
            in_flight.pop_front().context("one is in flight")?.await?;
        }
    }
    for answer in in_flight {
        answer.await?;
    }
    Ok(began.elapsed())
}

/// The publisher's sink, whose deliveries are timed.
struct Timed {
    sink: StreamSink,
    acknowledged: mpsc::Sender<Instant>,
}

#[async_trait]
impl Sink for Timed {
    fn batch_size(&self) -> u32 {
        self.sink.batch_size()
    }

    async fn prepare(&mut self, acknowledged: i64) -> Result<Option<i64>, FeedError> {
        self.sink.prepare(acknowledged).await
    }

    fn forget(&mut self) {
        self.sink.forget();
    }

    async fn deliver(&mut self, events: &[StoredEvent], left: u64) -> Delivered {
        let delivered = self.sink.deliver(events, left).await;
        // Nobody listens at the end.
        let _ = self.acknowledged.send(Instant::now());
        delivered
    }
}

/// Milliseconds from each commit's return to the server's acknowledgement, sorted.
async fn delays() -> Result<Vec<f64>> {
    let folder = folder()?;
    let database = Database::create(folder.path(), "delays.db").await?;
    database.fill(&due_orders(COMMITS), Rows::Fresh).await?;
    let server = Server::start(&folder.path().join("js")).await?;
    let store = Arc::new(database.store().await?);
    let options = DatabaseOptions {
        location: DatabaseLocation::File(database.path.clone()),
        subject_prefix: "payments".to_owned(),
        off_consumers: Vec::new(),
        process: "bench".to_owned(),
    };
    let (sender, heard) = mpsc::channel();
    let sink = Timed {
        sink: StreamSink::new(StreamSetup {
            connector: Connector {
                servers: vec![server.url.parse()?],
                credential: Arc::new(|| Ok(None)),
                tls_ca_file: None,
            },
            stream: None,
            subject_prefix: "payments".to_owned(),
            store: Arc::clone(&store) as Arc<dyn Store>,
        }),
        acknowledged: sender,
    };
    let place = store.consumer(NATS_CONSUMER).await?;
    let consumer = Some(NATS_CONSUMER.to_owned());
    let role = FeedRole::in_turn(
        NATS_CONSUMER,
        Arc::new(move || {
            let options = options.clone();
            async move { options.hold(Role::Consumer(NATS_CONSUMER)).await }.boxed()
        }),
    );
    let feed = Feed::into_sink(Arc::clone(&store) as Arc<dyn Store>, consumer, place, sink);
    let feed = feed.under(role);
    let (committed, stop) = (Arc::new(Notify::new()), CancellationToken::new());
    let (_changed, changed) = watch::channel(());
    let wakes = FeedWakes {
        clock: Arc::new(SystemClock::new()),
        committed: Arc::clone(&committed),
        changed,
        interval: Duration::from_millis(500),
    };
    let publishing = tokio::spawn(feed_loop(feed, wakes, stop.clone()));
    let account = AccountName("default".into());
    let start = QueuePlace::default();
    let limit = u32::try_from(COMMITS)?;
    let due = store.due_after(&account, start, now(), limit).await?;
    let ids: Vec<_> = due.iter().map(|row| row.id).collect();
    sleep(Duration::from_millis(500)).await;
    let mut chance = fastrand::Rng::with_seed(7);
    let mut delays = Vec::new();
    for invoice in &store.load(&ids).await? {
        store.commit(&[paid(invoice)], now()).await?;
        let began = Instant::now();
        committed.notify_one();
        let heard = tokio::task::block_in_place(|| heard.recv_timeout(Duration::from_secs(10)))?;
        delays.push(heard.saturating_duration_since(began).as_secs_f64() * 1000.0);
        sleep(Duration::from_millis(chance.u64(5..30))).await;
    }
    stop.cancel();
    publishing.await?;
    store.close().await;
    delays.sort_by(f64::total_cmp);
    Ok(delays)
}
