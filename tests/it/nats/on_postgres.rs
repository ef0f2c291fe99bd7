//! The publisher with an outbox on PostgreSQL: one process of several publishes, and another one takes over.

use std::process::Stdio;

use payrecond::domain::invoice::InvoiceId;
use payrecond::sandbox::SimulatedPayment;
use payrecond::store::postgres::{PostgresOptions, PostgresStore, prepare};
use payrecond::store::{Database as _, ServerLocation};
use sqlx::{AssertSqlSafe, Connection as _};

use super::broken::until_stored;
use super::reported::until_state;
use super::scene::{BEHIND, RECORDED, Recorded, assert_stream_holds, pay_all};
use super::server::{NatsServer, STREAM, forgetful};
use crate::faults::program::{self, Program, Stdout};
use crate::postgres::server::{self, As, TestDatabase};
use crate::shop::Shop;
use crate::until::eventually;

/// A shop whose database is on a server.
struct PublishingShop {
    shop: Shop,
    database: TestDatabase,
}

impl PublishingShop {
    /// None where the machine has no PostgreSQL.
    async fn open(server: &NatsServer) -> Option<Self> {
        let database = server::database().await?;
        let mut shop = Shop::open().await;
        shop.publish_to(server);
        // Settles the epoch, as a daemon does before it opens the database.
        let location = ServerLocation::new(database.url(As::Daemon), None);
        prepare(&location).await.unwrap();
        let own = format!("path = {:?}", shop.database().display().to_string());
        let url = format!("url = \"{}\"", database.url(As::Daemon));
        let config = shop.config_text().replace(&own, &url);
        std::fs::write(shop.folder.path().join("payrecond.toml"), config).unwrap();
        Some(Self { shop, database })
    }

    fn start(&self, arguments: &[&str]) -> Program {
        let mut command = program::program(self.shop.folder.path());
        command.args(arguments);
        Program::spawn(&self.shop, command, Stdout::Read, Stdio::piped())
    }

    /// Writes an event for each of `count` new invoices, without a daemon.
    async fn record_payments(&self, prefix: &str, count: usize) {
        let mut program = self.database.connect(As::App).await;
        let ids: Vec<i64> = sqlx::query_scalar(
            "INSERT INTO invoices (external_id, order_id, amount, currency)
             SELECT $1 || n, 'o' || $1 || n, '1.00', 'USD' FROM generate_series(1, $2) AS n
             RETURNING id",
        )
        .bind(prefix)
        .bind(i32::try_from(count).unwrap())
        .fetch_all(&mut program)
        .await
        .unwrap();
        program.close().await.unwrap();
        let options = PostgresOptions {
            server: ServerLocation::new(self.database.url(As::Daemon), None),
            subject_prefix: "payments".to_owned(),
            off_consumers: Vec::new(),
        };
        let store = PostgresStore::open(options).await.unwrap();
        pay_all(&store, ids.into_iter().map(InvoiceId).collect()).await;
        store.close().await;
    }

    /// Adds an invoice that is paid at the provider.
    async fn add_paid(&self, external_id: &str) {
        let order = payrecond::sandbox::NewOrder::simple(external_id, "1.00", "USD");
        let id = self.shop.world.create(&order).unwrap().order.id;
        self.shop
            .world
            .pay(&id, &SimulatedPayment::default())
            .unwrap();
        let insert = format!(
            "INSERT INTO invoices (external_id, order_id) VALUES ('{external_id}', '{id}')"
        );
        let mut program = self.database.connect(As::App).await;
        sqlx::query(AssertSqlSafe(insert))
            .execute(&mut program)
            .await
            .unwrap();
        program.close().await.unwrap();
    }

    async fn ask(&self, sql: &str) -> String {
        let mut program = self.database.connect(As::App).await;
        let sql = format!("SELECT coalesce(({sql})::text, '')");
        let answer = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut program);
        let answer = answer.await.unwrap();
        program.close().await.unwrap();
        answer
    }

    async fn until(&self, sql: &str, expected: &str) {
        eventually(async || (self.ask(sql).await == expected).then_some(())).await;
    }

    async fn until_published(&self) {
        self.until(BEHIND, "0").await;
    }

    async fn outbox(&self) -> Vec<Recorded> {
        let mut program = self.database.connect(As::App).await;
        let rows = sqlx::query_as(RECORDED).fetch_all(&mut program).await;
        let rows: Vec<(String, String, String)> = rows.unwrap();
        rows.into_iter().map(Recorded::from).collect()
    }

    async fn assert_stream_is_outbox(&self, server: &NatsServer) {
        assert_stream_holds(server, &self.outbox().await).await;
    }
}

/// The name of the process that has the role.
const PUBLISHER: &str = "SELECT owner FROM leases WHERE name = 'consumer:nats'";

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_on_postgres_publishes_the_events_from_before_and_its_own() {
    let Some(server) = NatsServer::start() else {
        return;
    };
    server.make_stream().await;
    let Some(shop) = PublishingShop::open(&server).await else {
        return;
    };
    shop.record_payments("BEFORE-", 1300).await;
    let daemon = shop.start(&["run"]).until_ready().await;
    for n in 0..5 {
        shop.add_paid(&format!("ORD-{n}")).await;
    }
    shop.until("SELECT count(*) FROM outbox", "1305").await;
    shop.until_published().await;
    let left = daemon.stop().await;
    assert!(!left.stderr.contains("ERROR"), "{}", left.stderr);
    shop.assert_stream_is_outbox(&server).await;
    let left = shop.start(&["publish", "--once"]).ended().await;
    assert_eq!(left.code, Some(0), "{}", left.stderr);
    shop.assert_stream_is_outbox(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_publisher_on_postgres_takes_over_when_the_first_is_killed_while_publishing() {
    let Some(server) = NatsServer::start() else {
        return;
    };
    // Shorter than the take-over: ids alone would store events twice.
    server.make_stream_as(forgetful()).await;
    let Some(shop) = PublishingShop::open(&server).await else {
        return;
    };
    shop.record_payments("A-", 10).await;
    let first = shop.start(&["publish"]);
    shop.until_published().await;
    until_state(&shop.shop, "delivering").await;
    let owner = shop.ask(PUBLISHER).await;
    let second = shop.start(&["publish"]);
    second.until_said("held by another process").await;
    shop.record_payments("B-", 4000).await;
    until_stored(&server, 500).await;
    first.kill().await;
    shop.until_published().await;
    shop.assert_stream_is_outbox(&server).await;
    assert_ne!(shop.ask(PUBLISHER).await, owner);
    server
        .jetstream()
        .await
        .delete_stream(STREAM)
        .await
        .unwrap();
    shop.record_payments("C-", 1).await;
    let stopped = until_state(&shop.shop, "stopped").await;
    assert!(stopped["last_error"].is_string(), "{stopped}");
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_publisher_on_postgres_is_replaced_and_publishes_nothing_twice_when_it_goes_on() {
    let Some(server) = NatsServer::start() else {
        return;
    };
    server.make_stream_as(forgetful()).await;
    let Some(shop) = PublishingShop::open(&server).await else {
        return;
    };
    shop.record_payments("A-", 10).await;
    let first = shop.start(&["publish"]);
    shop.until_published().await;
    let second = shop.start(&["publish"]);
    second.until_said("held by another process").await;
    shop.record_payments("B-", 4000).await;
    until_stored(&server, 500).await;
    first.signal("STOP").await;
    // The lease ends, and with it the role.
    second.until_said("connected to JetStream").await;
    shop.until_published().await;
    shop.record_payments("C-", 2000).await;
    first.signal("CONT").await;
    shop.until_published().await;
    first.until_said("held by another process").await;
    shop.record_payments("D-", 10).await;
    shop.until_published().await;
    shop.assert_stream_is_outbox(&server).await;
    first.stop().await;
    second.stop().await;
}
