//! Leases: which of several daemons polls an account, by the database's clock alone.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use sqlx::Row as _;

use super::PostgresStore;
use super::fence::Fence;
use crate::domain::shares::{ClusterView, LeaseState, LiveDaemon};
use crate::domain::time::UnixMillis;
use crate::store::{Lease, Leases, Presence, Store, StoreError};

/// The daemon itself, and a row for each lease that it could take. Daemons that were not seen for a
/// day are deleted.
const ANNOUNCE: &str = "
    WITH seen AS (
        INSERT INTO payrecond.daemons (name, version, accounts, started_at, seen_at)
        VALUES ($1, $2, $3, payrecond.now_ms(), payrecond.now_ms())
        ON CONFLICT (name) DO UPDATE
           SET version = EXCLUDED.version, accounts = EXCLUDED.accounts, seen_at = EXCLUDED.seen_at
        RETURNING 1),
    gone AS (
        DELETE FROM payrecond.daemons WHERE seen_at < payrecond.now_ms() - 86400000 RETURNING 1),
    made AS (
        INSERT INTO payrecond.leases (name)
        SELECT wanted FROM unnest($4::text[]) AS wanted
         WHERE NOT EXISTS (SELECT 1 FROM payrecond.leases WHERE name = wanted)
        ON CONFLICT DO NOTHING RETURNING 1)
    SELECT (SELECT count(*) FROM seen) + (SELECT count(*) FROM gone) + (SELECT count(*) FROM made)";

/// `$1`: for how many milliseconds a daemon counts as running without being seen.
const VIEW: &str = "
    SELECT json_build_object(
               'now', payrecond.now_ms(),
               'daemons', (SELECT coalesce(json_agg(d ORDER BY name), '[]'::json)
                             FROM payrecond.daemons AS d WHERE seen_at > payrecond.now_ms() - $1),
               'leases', (SELECT coalesce(json_agg(l ORDER BY name), '[]'::json)
                            FROM payrecond.leases AS l))::text";

/// A lease whose owner is writing is locked against this, and skipped.
const TAKE: &str = "
    UPDATE payrecond.leases
       SET token = token + 1, owner = $1, until = payrecond.now_ms() + $3
     WHERE name IN (SELECT name FROM payrecond.leases
                     WHERE name = ANY ($2) AND (owner IS NULL OR until < payrecond.now_ms())
                       FOR UPDATE SKIP LOCKED)
    RETURNING name, token";

/// Changes no key, so it is not blocked by a write that holds the lease's row.
const RENEW: &str = "
    UPDATE payrecond.leases AS lease SET until = payrecond.now_ms() + $4
      FROM unnest($2::text[], $3::bigint[]) AS held (name, token)
     WHERE lease.name = held.name AND lease.token = held.token AND lease.owner = $1
    RETURNING lease.name";

const RELEASE: &str = "
    UPDATE payrecond.leases AS lease SET owner = NULL, until = payrecond.now_ms()
      FROM unnest($1::text[], $2::bigint[]) AS held (name, token)
     WHERE lease.name = held.name AND lease.token = held.token";

#[derive(Deserialize)]
struct ViewJson {
    now: i64,
    daemons: Vec<DaemonJson>,
    leases: Vec<LeaseJson>,
}

#[derive(Deserialize)]
struct DaemonJson {
    name: String,
    version: String,
    accounts: Vec<String>,
    seen_at: i64,
}

#[derive(Deserialize)]
struct LeaseJson {
    name: String,
    owner: Option<String>,
    until: i64,
}

#[async_trait]
impl Leases for PostgresStore {
    async fn announce(&self, presence: &Presence, names: &[String]) -> Result<(), StoreError> {
        let statement = sqlx::query(ANNOUNCE)
            .bind(&presence.name)
            .bind(&presence.version)
            .bind(&presence.accounts)
            .bind(names);
        self.connections.rows(statement).await?;
        Ok(())
    }

    async fn now(&self) -> Result<UnixMillis, StoreError> {
        let shown = sqlx::query("SELECT payrecond.now_ms()");
        let shown = self.connections.number(shown).await?;
        let shown = shown.ok_or_else(|| StoreError::Unavailable("no answer".into()))?;
        Ok(UnixMillis(shown))
    }

    async fn view(&self, alive: Duration) -> Result<ClusterView, StoreError> {
        let statement = sqlx::query(VIEW).bind(millis(alive));
        let row = self.connections.row(statement).await?;
        let text: String = row
            .map(|row| row.try_get(0))
            .transpose()?
            .unwrap_or_default();
        let view: ViewJson = serde_json::from_str(&text)
            .map_err(|error| StoreError::Unusable(format!("leases or daemons: {error}")))?;
        Ok(view.into())
    }

    async fn take(
        &self,
        owner: &str,
        names: &[String],
        term: Duration,
    ) -> Result<Vec<Lease>, StoreError> {
        let statement = sqlx::query(TAKE).bind(owner).bind(names).bind(millis(term));
        let rows = self.connections.rows(statement).await?;
        rows.iter()
            .map(|row| {
                Ok(Lease {
                    name: row.try_get(0)?,
                    token: row.try_get(1)?,
                })
            })
            .collect()
    }

    async fn renew(
        &self,
        owner: &str,
        held: &[Lease],
        term: Duration,
    ) -> Result<Vec<String>, StoreError> {
        let (names, tokens) = columns(held);
        let statement = sqlx::query(RENEW)
            .bind(owner)
            .bind(names)
            .bind(tokens)
            .bind(millis(term));
        let rows = self.connections.rows(statement).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    async fn release(&self, held: &[Lease]) -> Result<(), StoreError> {
        let (names, tokens) = columns(held);
        let statement = sqlx::query(RELEASE).bind(names).bind(tokens);
        self.connections.rows(statement).await?;
        Ok(())
    }

    async fn leave(&self, name: &str) -> Result<(), StoreError> {
        let statement = sqlx::query("DELETE FROM payrecond.daemons WHERE name = $1").bind(name);
        self.connections.rows(statement).await?;
        Ok(())
    }

    fn fenced(&self, lease: &Lease) -> Arc<dyn Store> {
        Arc::new(Self {
            fence: Fence {
                name: Some(lease.name.clone()),
                token: lease.token,
            },
            ..self.clone()
        })
    }
}

fn columns(held: &[Lease]) -> (Vec<&str>, Vec<i64>) {
    held.iter()
        .map(|lease| (lease.name.as_str(), lease.token))
        .unzip()
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

impl From<ViewJson> for ClusterView {
    fn from(view: ViewJson) -> Self {
        let daemon = |daemon: DaemonJson| LiveDaemon {
            name: daemon.name,
            version: daemon.version,
            accounts: daemon.accounts,
            seen_at: UnixMillis(daemon.seen_at),
        };
        let lease = |lease: LeaseJson| LeaseState {
            name: lease.name,
            owner: lease.owner,
            until: UnixMillis(lease.until),
        };
        Self {
            now: UnixMillis(view.now),
            daemons: view.daemons.into_iter().map(daemon).collect(),
            leases: view.leases.into_iter().map(lease).collect(),
        }
    }
}
