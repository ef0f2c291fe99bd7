//! The connections of a store, and how statements run on them.

use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgPool, PgPoolOptions, PgRow};
use sqlx::query::Query;
use sqlx::{Postgres, Row as _};

use super::connect::{self, ANSWER_WITHIN, CONNECT_WITHIN};
use super::place::ServerPlace;
use crate::store::{ServerLocation, StoreError};

/// Connections of one process: accounts commit at the same time, and pages must not wait for them.
const MOST: u32 = 6;
/// An idle connection is closed after this time.
const IDLE: Duration = Duration::from_mins(5);

pub(super) type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// A connection that goes back to the pool only after an answer. Without one, the pool would ask whether
/// it works and wait for that answer as well: a task that is aborted on a line without a sound would
/// keep one of the few connections for minutes.
struct UsedConnection {
    inner: PoolConnection<Postgres>,
    has_answered: bool,
}

impl UsedConnection {
    fn new(inner: PoolConnection<Postgres>) -> Self {
        Self {
            inner,
            has_answered: false,
        }
    }
}

impl Drop for UsedConnection {
    fn drop(&mut self) {
        if !self.has_answered {
            self.inner.close_on_drop();
        }
    }
}

/// A pool whose connections all lead to the place that was opened.
#[derive(Clone)]
pub(super) struct Connections {
    pool: PgPool,
    place: Arc<ServerPlace>,
}

impl Connections {
    /// Opens no connection yet.
    pub(super) fn open(
        server: &ServerLocation,
        place: Arc<ServerPlace>,
    ) -> Result<Self, StoreError> {
        let expected = Arc::clone(&place);
        let pool = PgPoolOptions::new()
            .max_connections(MOST)
            .acquire_timeout(CONNECT_WITHIN)
            .idle_timeout(IDLE)
            // It was tested when it was returned.
            .test_before_acquire(false)
            .after_connect(move |connection, _| {
                let expected = Arc::clone(&expected);
                Box::pin(async move { expected.require_same(connection).await })
            })
            .connect_lazy_with(connect::options(server)?);
        Ok(Self { pool, place })
    }

    pub(super) async fn acquire(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        self.place.require_in_place()?;
        let acquired = self.pool.acquire().await;
        // If the server has been replaced, this ends in a time-out.
        self.place.require_in_place()?;
        acquired.map_err(connect::explained)
    }

    /// All rows of a statement.
    pub(super) async fn rows(&self, statement: Statement<'_>) -> Result<Vec<PgRow>, StoreError> {
        self.try_rows(statement).await?.map_err(StoreError::from)
    }

    /// Like `rows`; the inner error is the server's answer.
    pub(super) async fn try_rows(
        &self,
        statement: Statement<'_>,
    ) -> Result<Result<Vec<PgRow>, sqlx::Error>, StoreError> {
        let mut connection = UsedConnection::new(self.acquire().await?);
        let statement = statement.fetch_all(&mut *connection.inner);
        match tokio::time::timeout(ANSWER_WITHIN, statement).await {
            Ok(Ok(rows)) => {
                connection.has_answered = true;
                Ok(Ok(rows))
            }
            Ok(Err(error)) if error.as_database_error().is_some() => {
                connection.has_answered = true;
                Ok(Err(error))
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(connect::no_answer()),
        }
    }

    /// The first row of a statement, if there is one.
    pub(super) async fn row(&self, statement: Statement<'_>) -> Result<Option<PgRow>, StoreError> {
        Ok(self.rows(statement).await?.into_iter().next())
    }

    /// One number, such as a count.
    pub(super) async fn number(&self, statement: Statement<'_>) -> Result<Option<i64>, StoreError> {
        let row = self.row(statement).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?.flatten())
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}
