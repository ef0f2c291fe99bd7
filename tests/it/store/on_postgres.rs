//! PostgreSQL as a store: the suite of every store, and what several sessions on one database do to
//! each other.

use async_trait::async_trait;
use payrecond::domain::invoice::Invoice;
use payrecond::store::postgres::{PostgresOptions, PostgresStore, prepare};
use payrecond::store::{Reference, Reports, ServerLocation, Store};
use sqlx::AssertSqlSafe;

use super::conformance::{self, Backend};
use crate::postgres::server::{self, As, TestDatabase};

#[tokio::test]
async fn postgres_does_what_every_store_must() {
    if server::database().await.is_none() {
        return;
    }
    conformance::suite(async || Postgres::make().await.unwrap()).await;
}

/// A database on a server, and a program beside the store.
pub(super) struct Postgres {
    pub(super) database: TestDatabase,
    pub(super) store: PostgresStore,
}

impl Postgres {
    /// None where the machine has no server.
    pub(super) async fn make() -> Option<Self> {
        let database = server::database().await?;
        prepare(&location(&database)).await.unwrap();
        let store = open(&database).await;
        Some(Self { database, store })
    }

    async fn change(&self, sql: &str, external_id: &str) -> bool {
        let mut program = self.database.connect(As::App).await;
        let query = sqlx::query(AssertSqlSafe(sql.to_owned())).bind(external_id);
        query.execute(&mut program).await.is_ok()
    }
}

pub(super) fn location(database: &TestDatabase) -> ServerLocation {
    ServerLocation::new(database.url(As::Daemon), None)
}

pub(super) async fn open(database: &TestDatabase) -> PostgresStore {
    let options = PostgresOptions {
        server: location(database),
        subject_prefix: "payments".into(),
        off_consumers: Vec::new(),
    };
    PostgresStore::open(options).await.unwrap()
}

#[async_trait]
impl Backend for Postgres {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn reports(&self) -> &dyn Reports {
        &self.store
    }

    async fn insert(&self, account: &str, external_id: &str, order_id: Option<&str>) -> bool {
        let wish = |text: &str| order_id.is_none().then(|| text.to_owned());
        let mut program = self.database.connect(As::App).await;
        sqlx::query(
            "INSERT INTO invoices (account, external_id, order_id, amount, currency, description)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(account)
        .bind(external_id)
        .bind(order_id)
        .bind(wish("1.00"))
        .bind(wish("USD"))
        .bind(wish("Six eggs"))
        .execute(&mut program)
        .await
        .is_ok()
    }

    async fn nudge(&self, external_id: &str) {
        let sql = "UPDATE invoices SET next_poll_at = 0 WHERE external_id = $1";
        assert!(self.change(sql, external_id).await);
    }

    async fn withdraw(&self, external_id: &str) -> bool {
        let sql = "DELETE FROM invoices WHERE external_id = $1";
        self.change(sql, external_id).await
    }

    /// The server's write-ahead log is one for all its databases.
    fn sees_foreign_changes(&self) -> bool {
        true
    }

    async fn read(&self, external_id: &str) -> Option<Invoice> {
        let reference = Reference::Text(external_id.to_owned());
        self.store.find(&reference, None).await.unwrap().pop()
    }
}
