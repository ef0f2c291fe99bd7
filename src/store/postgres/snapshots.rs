//! Open transactions that keep PostgreSQL from removing old versions of rows, so that tables and indices
//! grow. Those of other roles are visible to members of `pg_read_all_stats` only.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::Row as _;
use tokio::time::Instant;

use super::pool::Connections;
use crate::store::StoreError;

/// The server is asked this often.
const ASKED_EVERY: Duration = Duration::from_secs(30);

/// The oldest transaction that has been open for five minutes.
const OLDEST: &str = "
    SELECT pid, usename::text, application_name,
           (extract(epoch FROM clock_timestamp() - xact_start) / 60)::bigint AS minutes
      FROM pg_stat_activity
     WHERE datname = current_database() AND backend_xmin IS NOT NULL
       AND xact_start < clock_timestamp() - interval '5 minutes'
     ORDER BY xact_start LIMIT 1";

/// What was last found.
#[derive(Default)]
pub(super) struct OldSnapshots(Mutex<OldSnapshot>);

#[derive(Default)]
struct OldSnapshot {
    asked_at: Option<Instant>,
    found: Option<String>,
}

impl OldSnapshots {
    /// In words for people; None when there is none.
    pub(super) fn found(&self) -> Option<String> {
        self.lock().found.clone()
    }

    /// Asks the server, if it is time.
    pub(super) async fn look(&self, connections: &Connections) -> Result<(), StoreError> {
        let asked_at = self.lock().asked_at;
        if asked_at.is_some_and(|at| at.elapsed() < ASKED_EVERY) {
            return Ok(());
        }
        self.lock().asked_at = Some(Instant::now());
        let row = connections.row(sqlx::query(OLDEST)).await?;
        let found = match row {
            Some(row) => {
                let pid: i32 = row.try_get("pid")?;
                let minutes: i64 = row.try_get("minutes")?;
                let role: Option<String> = row.try_get("usename")?;
                let program: Option<String> = row.try_get("application_name")?;
                Some(format!(
                    "a transaction has been open for {minutes} min (process {pid}, role {}, program {:?}); old versions of rows are kept until it ends",
                    role.unwrap_or_default(),
                    program.unwrap_or_default()
                ))
            }
            None => None,
        };
        self.lock().found = found;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, OldSnapshot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
