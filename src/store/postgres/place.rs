//! Where the database is: which server, which database on it, and which timeline. This is stored in
//! the database itself, so that a copy restored elsewhere, or a promoted standby, is detected by
//! the difference, and a new epoch begins.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};
use uuid::Uuid;

use crate::store::StoreError;

/// The server's identifier, the oids of the database and the outbox, the timeline; then the epoch
/// and the highest number ever assigned, the highest in the outbox, then the ends of the write-ahead log:
/// inserted after that number was read, and flushed. A standby has no timeline of its own to write on.
const WHERE: &str = "
    SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE
               system_identifier::text || ' ' || d.oid::text || ' '
               || 'payrecond.outbox'::regclass::oid::text || ' '
               || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END AS fingerprint,
           (SELECT value FROM payrecond.meta WHERE key = 'epoch') AS epoch,
           (SELECT value FROM payrecond.meta WHERE key = 'place') AS remembered,
           (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM payrecond.outbox_seq)
               AS highest_seq,
           (SELECT coalesce(max(seq), 0) FROM payrecond.outbox) AS newest_seq,
           CASE WHEN pg_is_in_recovery() THEN 0
                ELSE (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint END AS inserted_to,
           CASE WHEN pg_is_in_recovery() THEN 0
                ELSE (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint END AS flushed_to
      FROM pg_control_system(), pg_database AS d WHERE d.datname = current_database()";

struct Found {
    fingerprint: String,
    epoch: Option<String>,
    remembered: Option<String>,
    highest_seq: i64,
    newest_seq: i64,
    inserted_to: i64,
    flushed_to: i64,
}

impl Found {
    async fn at(connection: &mut PgConnection) -> Result<Self, StoreError> {
        let row = sqlx::query(WHERE).fetch_one(connection).await?;
        let fingerprint: Option<String> = row.try_get("fingerprint")?;
        let fingerprint = fingerprint.ok_or_else(|| {
            StoreError::Unavailable(
                "this server is a standby, which cannot be written; use the primary's address"
                    .into(),
            )
        })?;
        Ok(Self {
            fingerprint,
            epoch: row.try_get("epoch")?,
            remembered: row.try_get("remembered")?,
            highest_seq: row.try_get("highest_seq")?,
            newest_seq: row.try_get("newest_seq")?,
            inserted_to: row.try_get("inserted_to")?,
            flushed_to: row.try_get("flushed_to")?,
        })
    }
}

impl Found {
    /// Whether the sequence stands before numbers that are in the outbox: a restore set it back and failed
    /// otherwise. Such numbers would be assigned again.
    fn is_set_back(&self) -> bool {
        self.newest_seq > self.highest_seq
    }
}

/// The place at which a store was opened.
pub(super) struct ServerPlace {
    fingerprint: String,
    epoch: String,
    numbers: Mutex<SeenNumbers>,
    is_replaced: AtomicBool,
}

/// The highest numbers that were seen in the sequence. A number that was assigned by a transaction which
/// did not commit is not on the server's disk yet, and a crash takes it back.
#[derive(Default)]
struct SeenNumbers {
    /// The highest that no crash takes back.
    lasting: i64,
    /// A higher one, and how far the write-ahead log must be flushed for it to last.
    pending: Option<(i64, i64)>,
}

impl SeenNumbers {
    /// Records what was found. Returns whether lasting numbers are missing.
    fn note(&mut self, found: &Found) -> bool {
        if let Some((seq, until)) = self.pending
            && found.flushed_to >= until
        {
            self.lasting = self.lasting.max(seq);
            self.pending = None;
        }
        if self.pending.is_none() {
            self.pending = Some((found.highest_seq, found.inserted_to));
        }
        found.highest_seq < self.lasting
    }
}

impl ServerPlace {
    pub(super) async fn of(connection: &mut PgConnection) -> Result<Self, StoreError> {
        let found = Found::at(connection).await?;
        let mut numbers = SeenNumbers::default();
        numbers.note(&found);
        let epoch = found.epoch.ok_or_else(|| {
            StoreError::Unusable(
                "the database has no epoch; `payrecond migrate` completes it".into(),
            )
        })?;
        Ok(Self {
            fingerprint: found.fingerprint,
            epoch,
            numbers: Mutex::new(numbers),
            is_replaced: AtomicBool::new(false),
        })
    }

    pub(super) fn epoch(&self) -> &str {
        &self.epoch
    }

    pub(super) fn require_in_place(&self) -> Result<(), StoreError> {
        if self.is_replaced.load(Ordering::Relaxed) {
            return Err(StoreError::Replaced(
                "the server holds another history of the database than the one that was opened: a standby was promoted, or a copy was put back".into(),
            ));
        }
        Ok(())
    }

    /// Checks that a connection leads to the place that was opened; for the pool, whose callers
    /// then call `require_in_place`.
    pub(super) async fn require_same(
        &self,
        connection: &mut PgConnection,
    ) -> Result<(), sqlx::Error> {
        match self.check(connection).await {
            Ok(()) => Ok(()),
            Err(error) => Err(sqlx::Error::Configuration(error.to_string().into())),
        }
    }

    /// Notices another place, another epoch, and numbers that have decreased. The last is a sign of
    /// a restored copy of the whole server, which contains no other sign: deleting the stored place
    /// makes the next start begin a new epoch.
    pub(super) async fn check(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        let found = Found::at(connection).await?;
        let has_fallen = {
            let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
            numbers.note(&found) || found.is_set_back()
        };
        if has_fallen {
            sqlx::query("UPDATE payrecond.meta SET value = 'fell back' WHERE key = 'place'")
                .execute(connection)
                .await?;
        }
        let is_same = found.fingerprint == self.fingerprint
            && found.epoch.as_deref() == Some(self.epoch.as_str());
        if has_fallen || !is_same {
            self.is_replaced.store(true, Ordering::Relaxed);
        }
        self.require_in_place()
    }
}

/// Ties the epoch to the place: a new one begins if the database is elsewhere than before. It
/// continues above every number ever assigned, and every lease is free, so that no write of the old
/// epoch follows.
pub(super) async fn settle(connection: &mut PgConnection) -> Result<(String, bool), StoreError> {
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT value FROM payrecond.meta WHERE key = 'epoch' FOR UPDATE")
        .fetch_optional(&mut *transaction)
        .await?;
    let found = Found::at(&mut transaction).await?;
    let is_elsewhere = found
        .remembered
        .as_ref()
        .is_some_and(|place| *place != found.fingerprint);
    let put_back = found.epoch.is_some() && (is_elsewhere || found.is_set_back());
    let epoch = match found.epoch {
        Some(epoch) if !put_back => epoch,
        Some(_) | None => Uuid::new_v4().to_string(),
    };
    for (key, value) in [("epoch", epoch.as_str()), ("place", &found.fingerprint)] {
        sqlx::query(
            "INSERT INTO payrecond.meta (key, value) VALUES ($1, $2)
             ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value
              WHERE meta.value <> EXCLUDED.value",
        )
        .bind(key)
        .bind(value)
        .execute(&mut *transaction)
        .await?;
    }
    if put_back {
        // Of the database's clock: one of a daemon that is behind would assign numbers again.
        sqlx::query("SELECT setval('payrecond.outbox_seq', greatest($1, payrecond.now_ms()))")
            .bind(found.highest_seq.max(found.newest_seq))
            .execute(&mut *transaction)
            .await?;
        sqlx::query("UPDATE payrecond.leases SET token = token + 1, owner = NULL, until = 0")
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok((epoch, put_back))
}
