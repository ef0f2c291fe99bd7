//! A row that a program inserts: it is refused in words that name a column, or taken, and then the
//! store reads it, a payment of it is written, and its event is JSON that tells the same again.
//!
//! A line each, the value of a column as SQL would take it: `external_id`, `order_id`, `amount`,
//! `currency`, `description`, `timeout_seconds`, `options`, `metadata`, `account`, `status`. Its
//! first letter says the type: `t` text, `i` integer, `r` real, `b` blob, anything else NULL. Within
//! text, `\n` stands for a line end, `\0` for a zero.

use std::cell::RefCell;

use payrecond::domain::decide::decide;
use payrecond::domain::invoice::{Invoice, InvoiceId};
use payrecond::domain::observation::{Observation, ObservedMoney, ObservedOrder, OrderState};
use payrecond::domain::state::Status;
use payrecond::domain::time::UnixMillis;
use payrecond::store::sqlite::{SqliteOptions, SqliteStore, migrate};
use payrecond::store::{Database as _, Reference, Reports as _, Store as _, Written};
use serde_json::Value;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

const COLUMNS: [&str; 10] = [
    "external_id",
    "order_id",
    "amount",
    "currency",
    "description",
    "timeout_seconds",
    "options",
    "metadata",
    "account",
    "status",
];
/// A database is used for so many rows.
const ROWS: u32 = 500;

thread_local! {
    static SCENE: RefCell<Option<Scene>> = const { RefCell::new(None) };
}

/// # Panics
/// When a law does not hold.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    SCENE.with_borrow_mut(|scene| {
        if let Some(used_up) = scene.take_if(|scene| scene.rows >= ROWS) {
            used_up.end();
        }
        scene.get_or_insert_with(Scene::set).row(text);
    });
}

struct Scene {
    runtime: Runtime,
    program: SqliteConnection,
    store: SqliteStore,
    rows: u32,
    _folder: TempDir,
}

impl Scene {
    fn set() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("fuzzed.db");
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let (program, store) = runtime.block_on(async {
            migrate(&path, UnixMillis(1)).await.expect("a database");
            let options = SqliteConnectOptions::new()
                .filename(&path)
                .pragma("synchronous", "OFF");
            let program = SqliteConnection::connect_with(&options)
                .await
                .expect("a program");
            let options = SqliteOptions {
                rest_beside_others: std::time::Duration::ZERO,
                ..SqliteOptions::new(path, "payments")
            };
            (program, SqliteStore::open(options).await.expect("a store"))
        });
        Self {
            runtime,
            program,
            store,
            rows: 0,
            _folder: folder,
        }
    }

    /// Closes what is open: its threads would end later than the sanitizer looks for leaks.
    fn end(self) {
        self.runtime.block_on(async {
            self.program.close().await.expect("a program that ends");
            self.store.close().await;
        });
    }

    fn row(&mut self, text: &str) {
        let Self {
            runtime,
            program,
            store,
            ..
        } = self;
        self.rows += 1;
        runtime.block_on(async {
            let Some(id) = insert(program, text).await else {
                return;
            };
            let found = store.find(&Reference::Id(InvoiceId(id)), None).await;
            let row = found.expect("a row that was taken can be read").remove(0);
            holds(&row);
            pay(store, &row).await;
        });
    }
}

/// The id of the row, if it was taken.
async fn insert(program: &mut SqliteConnection, text: &str) -> Option<i64> {
    let given: Vec<(&str, &str)> = COLUMNS.into_iter().zip(text.split('\n')).collect();
    let names: Vec<&str> = given.iter().map(|(name, _)| *name).collect();
    let marks = vec!["?"; given.len()].join(", ");
    let sql = format!(
        "INSERT INTO invoices ({}) VALUES ({marks})",
        names.join(", ")
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
    for (_, value) in given {
        let (kind, value) = value.split_at_checked(1).unwrap_or(("", ""));
        query = match kind {
            "t" => query.bind(value.replace("\\n", "\n").replace("\\0", "\0")),
            "i" => query.bind(value.parse::<i64>().ok()),
            "r" => query.bind(value.parse::<f64>().ok()),
            "b" => query.bind(value.as_bytes().to_vec()),
            _ => query.bind(None::<String>),
        };
    }
    match query.execute(program).await {
        Ok(done) => Some(done.last_insert_rowid()),
        Err(error) => {
            let error = error.to_string();
            let names_a_column = error.contains("invoices.") || error.contains("UNIQUE");
            assert!(names_a_column, "{error}");
            None
        }
    }
}

fn holds(row: &Invoice) {
    let length = row.external_id.0.chars().count();
    assert!((1..=255).contains(&length), "{length} characters");
    assert!(!row.external_id.0.contains(|c: char| c.is_ascii_control()));
    if let Some(order) = &row.facts.order_id {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        assert!(
            !order.0.is_empty() && order.0.bytes().all(is_fit),
            "{order:?}"
        );
    } else if row.facts.status == Status::Requested {
        assert!(row.facts.amount.is_some() && row.wish.description.is_some());
    }
    let description = row.wish.description.as_deref().unwrap_or_default();
    assert!(description.chars().count() <= 4096);
    if let Some(options) = &row.wish.options {
        let options: Value = serde_json::from_str(options).expect("options are JSON");
        assert!(options.is_object());
    }
}

/// The provider says that the order was paid: the event must be written, and be readable.
async fn pay(store: &SqliteStore, row: &Invoice) {
    let observed = ObservedOrder {
        order_id: row.facts.order_id.clone().unwrap_or_else(|| "1".into()),
        state: OrderState::Paid,
        provider_status: "PAID".into(),
        observed_at: UnixMillis(2),
        told_at: None,
        bare_amount: None,
        external_id: None,
        number: None,
        amount: None,
        created_at: None,
        expires_at: None,
        paid_at: None,
        pay_link: None,
        direct_pay_link: None,
        payment: None,
        money: ObservedMoney::default(),
    };
    if row.facts.order_id.is_none() {
        return;
    }
    let mut decision = decide(row, "walletpay", Observation::Seen(observed));
    decision.row.schedule.next_poll_at = None;
    let written = store
        .commit(&[decision], UnixMillis(3))
        .await
        .expect("a commit");
    let [Written::Yes { seq: Some(seq) }] = written[..] else {
        panic!("{written:?}")
    };
    let event = store
        .events_after(seq - 1, 1)
        .await
        .expect("an event")
        .remove(0);
    assert!(!event.payload.contains(['\n', '\r']));
    let told: Value = serde_json::from_str(&event.payload).expect("events are JSON");
    assert_eq!(told["subject"], row.external_id.0.as_str());
    assert_eq!(told["data"]["external_id"], row.external_id.0.as_str());
    let metadata = row.metadata.as_deref().unwrap_or("{}");
    // Half a surrogate pair is JSON to SQLite, and is mended in the event.
    if let Ok(metadata) = serde_json::from_str::<Value>(metadata) {
        assert_eq!(told["data"]["metadata"], metadata);
    }
}
