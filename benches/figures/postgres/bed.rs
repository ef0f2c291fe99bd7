//! A server with databases of any number of rows. The server and its roles are those of the tests.

use anyhow::{Context as _, Result};
use payrecond::domain::time::UnixMillis;
use payrecond::store::ServerLocation;
use payrecond::store::postgres::{PostgresOptions, PostgresStore, prepare};
use serde_json::{Value, json};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use crate::bed::{CHUNK, Order, idle_orders, now};
use crate::postgres_server::{self, As, TestDatabase};

/// A migrated database, made ready for a daemon.
pub async fn database() -> Result<Bed> {
    let database = postgres_server::database().await;
    let bed = Bed {
        database: database.context("PostgreSQL is not installed")?,
    };
    prepare(&bed.location()).await?;
    Ok(bed)
}

/// A database.
pub struct Bed {
    database: TestDatabase,
}

impl Bed {
    pub fn url(&self) -> String {
        self.database.url(As::Daemon)
    }

    fn location(&self) -> ServerLocation {
        ServerLocation::new(self.url(), None)
    }

    pub async fn store(&self) -> Result<PostgresStore> {
        let options = PostgresOptions {
            server: self.location(),
            subject_prefix: "payments".into(),
            off_consumers: Vec::new(),
        };
        Ok(PostgresStore::open(options).await?)
    }

    /// A connection with the daemon's rights.
    pub async fn connect(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.url()).await?)
    }

    pub async fn number(&self, query: &'static str) -> Result<i64> {
        let mut connection = self.connect().await?;
        Ok(sqlx::query_scalar(query).fetch_one(&mut connection).await?)
    }

    /// Puts invoices of `orders` in, due at `next_poll_at`, as the first poll of each left them.
    pub async fn fill(
        &self,
        account: &str,
        orders: &[Order],
        next_poll_at: UnixMillis,
    ) -> Result<()> {
        for chunk in orders.chunks(CHUNK) {
            self.insert(account, chunk, next_poll_at).await?;
        }
        self.settle().await
    }

    /// Puts `count` invoices in whose polls are planned minutes ahead.
    pub async fn fill_idle(&self, account: &str, count: usize) -> Result<()> {
        for (orders, next_poll_at) in idle_orders(count) {
            self.insert(account, &orders, next_poll_at).await?;
        }
        self.settle().await
    }

    /// The triggers are out of the way meanwhile: what they cost an insert is not measured here.
    async fn insert(&self, account: &str, orders: &[Order], next: UnixMillis) -> Result<()> {
        let rows = orders
            .iter()
            .map(|order| json!([order.external_id, order.id, order.number]));
        let mut admin = self.database.connect(As::Admin).await;
        let off = "SET session_replication_role = replica";
        sqlx::raw_sql(off).execute(&mut admin).await?;
        sqlx::query(FILL)
            .bind(account)
            .bind(Value::Array(rows.collect()).to_string())
            .bind(next.0)
            .bind(now().0)
            .execute(&mut admin)
            .await?;
        Ok(admin.close().await?)
    }

    /// What autovacuum does after a while.
    async fn settle(&self) -> Result<()> {
        let mut admin = self.database.connect(As::Admin).await;
        let vacuum = "VACUUM (ANALYZE) payrecond.invoices";
        sqlx::raw_sql(vacuum).execute(&mut admin).await?;
        Ok(admin.close().await?)
    }

    /// Where a daemon's configuration finds it.
    pub fn settings(&self) -> String {
        format!("[database]\nurl = \"{}\"\n", self.url())
    }
}

/// `$1` the account, `$2` the rows, `$3` their plan, `$4` now.
const FILL: &str = "
    INSERT INTO payrecond.invoices (account, external_id, order_id, order_number, status, created_at, updated_at,
                                    next_poll_at, polls, last_polled_at, amount, currency, provider_status,
                                    expires_at, inserted_by)
    SELECT $1, o.value ->> 0, o.value ->> 1, o.value ->> 2, 'pending', $4, $4, $3, 1, $4, '1.00', 'USD', 'ACTIVE',
           4070908800000, pg_current_xact_id()
      FROM json_array_elements($2::text::json) AS o (value)";
