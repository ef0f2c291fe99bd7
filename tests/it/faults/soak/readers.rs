//! The consumers of the events: a program that reads the outbox, and the reader of stdout.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use payrecond::sandbox::{OrderTruth, World};
use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection as _, Row as _};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::ChildStdout;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::shop::Shop;

/// External ids are this prefix and the index of the order in the provider's list, from 1.
pub const PREFIX: &str = "SOAK-";
const AT_ONCE: u32 = 500;
/// One batch in this many is not acknowledged at once, as if the program had died.
const FORGETS: u8 = 20;

/// A program's connection, with a long time-out for a locked database.
pub async fn connect(shop: &Shop) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(shop.database())
        .busy_timeout(Duration::from_mins(1))
        .pragma("wal_autocheckpoint", "0");
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// The events that one reader has received, without repetitions.
pub struct Heard {
    world: Arc<World>,
    ids: Mutex<HashSet<Uuid>>,
    orders: Mutex<HashSet<usize>>,
    repeats: AtomicUsize,
}

impl Heard {
    pub fn of(shop: &Shop) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::clone(&shop.world),
            ids: Mutex::default(),
            orders: Mutex::default(),
            repeats: AtomicUsize::new(0),
        })
    }

    /// Adds one event, which must match the provider's state of that order.
    fn take_in(&self, id: &str, event_type: &str, external_id: &str) {
        if !self
            .ids
            .lock()
            .unwrap()
            .insert(Uuid::parse_str(id).unwrap())
        {
            self.repeats.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let truth = match self.world.order(external_id).unwrap().state {
            OrderTruth::Open | OrderTruth::Partial | OrderTruth::Held | OrderTruth::Deleted => {
                panic!("{external_id}: {event_type} of an open order")
            }
            OrderTruth::Paid => "payment.paid",
            OrderTruth::Expired => "payment.expired",
            OrderTruth::Cancelled => "payment.cancelled",
        };
        assert_eq!(event_type, truth, "{external_id}");
        let place = external_id.strip_prefix(PREFIX).unwrap().parse().unwrap();
        let is_new = self.orders.lock().unwrap().insert(place);
        assert!(is_new, "{external_id}: a second event");
    }

    /// Number of distinct events, and of orders in them.
    pub fn distinct(&self) -> (usize, usize) {
        let ids = self.ids.lock().unwrap().len();
        (ids, self.orders.lock().unwrap().len())
    }
}

/// A program that reads and acknowledges, and sometimes reads the same again.
pub struct Bot {
    heard: Arc<Heard>,
    ending: CancellationToken,
    running: JoinHandle<()>,
}

impl Bot {
    pub async fn start(shop: &Shop, heard: Arc<Heard>) -> Self {
        let mut connection = connect(shop).await;
        let insert = "INSERT INTO consumers (name) VALUES ('bot')";
        sqlx::query(insert).execute(&mut connection).await.unwrap();
        let ending = CancellationToken::new();
        let (token, kept) = (ending.clone(), Arc::clone(&heard));
        let running = tokio::spawn(async move {
            while !token.is_cancelled() {
                if !read_on(&mut connection, &kept).await {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            connection.close().await.unwrap();
        });
        Self {
            heard,
            ending,
            running,
        }
    }

    pub fn repeats(&self) -> usize {
        self.heard.repeats.load(Ordering::Relaxed)
    }

    pub async fn stop(self) {
        self.ending.cancel();
        self.running.await.unwrap();
    }
}

async fn read_on(connection: &mut SqliteConnection, heard: &Heard) -> bool {
    let rows = sqlx::query(
        "SELECT seq, event_id, type, external_id FROM outbox_unread WHERE consumer = 'bot' ORDER BY seq LIMIT ?",
    )
    .bind(AT_ONCE)
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    for row in &rows {
        heard.take_in(row.get("event_id"), row.get("type"), row.get("external_id"));
    }
    let Some(last) = rows.last().map(|row| row.get::<i64, _>("seq")) else {
        return false;
    };
    if fastrand::u8(..) >= u8::MAX / FORGETS {
        sqlx::query("UPDATE consumers SET acked_seq = ? WHERE name = 'bot'")
            .bind(last)
            .execute(connection)
            .await
            .unwrap();
    }
    true
}

/// The reader of one run's stdout. A line cut short by a kill does not count.
pub struct Stdout {
    running: JoinHandle<()>,
    /// Held to make it stall.
    pub gate: Arc<tokio::sync::Mutex<()>>,
}

impl Stdout {
    pub fn start(pipe: ChildStdout, heard: Arc<Heard>) -> Self {
        let gate = Arc::new(tokio::sync::Mutex::new(()));
        let may_read = Arc::clone(&gate);
        let running = tokio::spawn(async move {
            let (mut reader, mut line, mut last) = (BufReader::new(pipe), Vec::new(), 0);
            loop {
                drop(may_read.lock().await);
                line.clear();
                reader.read_until(b'\n', &mut line).await.unwrap();
                if line.pop() != Some(b'\n') {
                    return;
                }
                let event: Value = serde_json::from_slice(&line).unwrap();
                let word = |name: &str| event[name].as_str().unwrap();
                let seq: i64 = word("sequence").parse().unwrap();
                assert!(last < seq, "{seq} after {last}");
                last = seq;
                heard.take_in(word("id"), word("type"), word("subject"));
            }
        });
        Self { running, gate }
    }

    pub async fn ended(self) {
        self.running.await.unwrap();
    }
}
