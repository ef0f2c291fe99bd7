//! Roles that only one process can have: a consumer's name.
//!
//! A role is a lease that this process renews, and an advisory lock of its session on the lease's token. A
//! process that gets the lock of the current token knows that the holder's session has ended: with the
//! process, with its connection, or with the server. It takes the lease as soon as the holder, if it lives,
//! must have noticed; one that does not get the lock waits until the lease ends, since the holder may be
//! paused. Either way the token rises, and the previous holder finds that it lost the role. Its lock is on an
//! old token then, so the role is not taken from the new holder when that session ends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgConnection;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::connect;
use crate::store::{Role, RoleHold, ServerLocation, StoreError};

/// How long a role lasts without being renewed, and how often it is.
const TERM: Duration = Duration::from_secs(10);
const RENEWED_EVERY: Duration = Duration::from_millis(500);
/// How long this process uses the role after a renewal, and how long one that has the lock waits for that.
const TRUSTED_FOR: Duration = Duration::from_secs(2);
const NOTICED_AFTER: Duration = Duration::from_millis(2500);
/// How often, and how many times, one that has the lock tries to take the lease.
const TRIED_EVERY: Duration = Duration::from_millis(250);
const TRIES: u32 = 14;

/// The current token, and whether this session has its lock now.
const LOCK_CURRENT: &str = "
    SELECT token, pg_try_advisory_lock('payrecond.consumers'::regclass::oid::int,
                                       hashtext($1 || ':' || token))
      FROM payrecond.leases WHERE name = $1";

const LOCK_OWN: &str = "
    SELECT pg_try_advisory_lock('payrecond.consumers'::regclass::oid::int,
                                hashtext($1 || ':' || $2::bigint))";

/// `$4`: the token whose lock this session has. `$5`: what is left of a lease's term once its holder has
/// noticed that it cannot renew it.
const TAKE: &str = "
    INSERT INTO payrecond.leases AS lease (name, token, owner, until)
    VALUES ($1, 1, $2, payrecond.now_ms() + $3)
    ON CONFLICT (name) DO UPDATE
       SET token = lease.token + 1, owner = EXCLUDED.owner, until = EXCLUDED.until
     WHERE lease.owner IS NULL
        OR lease.until < payrecond.now_ms() + CASE WHEN lease.token = $4 THEN $5::bigint ELSE 0 END
    RETURNING token, pg_try_advisory_lock('payrecond.consumers'::regclass::oid::int,
                                          hashtext($1 || ':' || token))";

const RENEW: &str = "
    UPDATE payrecond.leases SET until = payrecond.now_ms() + $4
     WHERE name = $1 AND owner = $2 AND token = $3 RETURNING token";

const RELEASE: &str = "
    UPDATE payrecond.leases SET owner = NULL, until = payrecond.now_ms()
     WHERE name = $1 AND owner = $2 AND token = $3";

/// A role on a server, for as long as the value lives.
pub struct ConsumerHold {
    state: Arc<Mutex<HoldState>>,
    /// None: the role is shared by any number of processes. At its end the role is given back.
    keeper: Option<DropGuard>,
}

/// How long the role certainly belongs to this process, unless it was lost.
struct HoldState {
    trusted_until: Instant,
    is_lost: bool,
}

impl RoleHold for ConsumerHold {
    fn require_held(&self) -> Result<(), StoreError> {
        if self.keeper.is_none() {
            return Ok(());
        }
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_lost {
            return Err(StoreError::Replaced(
                "the consumer was taken by another process while this one was paused or cut off"
                    .into(),
            ));
        }
        if Instant::now() >= state.trusted_until {
            return Err(StoreError::Unavailable(
                "the consumer's lease could not be renewed in time".into(),
            ));
        }
        Ok(())
    }
}

/// A role that was taken, and the session that has its lock.
struct HeldRole {
    connection: PgConnection,
    lease: String,
    owner: String,
    token: i64,
}

/// Takes a role in the name of `process`; None when another process has it. Any number of daemons may run: leases share the work.
///
/// # Errors
/// If the server cannot be queried.
pub async fn hold(
    server: &ServerLocation,
    role: Role<'_>,
    process: &str,
) -> Result<Option<ConsumerHold>, StoreError> {
    let state = Arc::new(Mutex::new(HoldState {
        trusted_until: Instant::now() + TRUSTED_FOR,
        is_lost: false,
    }));
    let Role::Consumer(name) = role else {
        return Ok(Some(ConsumerHold {
            state,
            keeper: None,
        }));
    };
    let Some(held) = HeldRole::take(server, name, process).await? else {
        return Ok(None);
    };
    let end = CancellationToken::new();
    let keeper = keep(server.clone(), held, Arc::clone(&state), end.clone());
    tokio::spawn(keeper);
    Ok(Some(ConsumerHold {
        state,
        keeper: Some(end.drop_guard()),
    }))
}

impl HeldRole {
    async fn take(
        server: &ServerLocation,
        consumer: &str,
        process: &str,
    ) -> Result<Option<Self>, StoreError> {
        let mut connection = connect::connect(server).await?;
        let (lease, owner) = (format!("consumer:{consumer}"), process.to_owned());
        let locks = sqlx::query_as(LOCK_CURRENT).bind(&lease);
        let current: Option<(i64, bool)> =
            connect::within(async { Ok(locks.fetch_optional(&mut connection).await?) }).await?;
        let locked = current.and_then(|(token, has_lock)| has_lock.then_some(token));
        for _ in 0..if locked.is_some() { TRIES } else { 1 } {
            let takes = sqlx::query_scalar(TAKE)
                .bind(&lease)
                .bind(&owner)
                .bind(millis(TERM))
                .bind(locked)
                .bind(millis(TERM.saturating_sub(NOTICED_AFTER)));
            let token: Option<i64> =
                connect::within(async { Ok(takes.fetch_optional(&mut connection).await?) }).await?;
            if let Some(token) = token {
                return Ok(Some(Self {
                    connection,
                    lease,
                    owner,
                    token,
                }));
            }
            tokio::time::sleep(if locked.is_some() {
                TRIED_EVERY
            } else {
                Duration::ZERO
            })
            .await;
        }
        Ok(None)
    }

    /// False when another process has it.
    async fn renew(&mut self) -> Result<bool, StoreError> {
        let connection = &mut self.connection;
        let renews = sqlx::query(RENEW)
            .bind(&self.lease)
            .bind(&self.owner)
            .bind(self.token)
            .bind(millis(TERM));
        connect::within(async { Ok(renews.fetch_optional(connection).await?.is_some()) }).await
    }

    /// Gives the role back; if that fails, it ends by itself.
    async fn release(mut self) {
        let releases = sqlx::query(RELEASE)
            .bind(&self.lease)
            .bind(&self.owner)
            .bind(self.token);
        let connection = &mut self.connection;
        let _ = connect::within(async { Ok(releases.execute(connection).await?) }).await;
    }

    /// Connects again after a lost connection, and locks the token again.
    async fn reconnect(&mut self, server: &ServerLocation) -> Result<(), StoreError> {
        let mut connection = connect::connect(server).await?;
        let locks = sqlx::query(LOCK_OWN).bind(&self.lease).bind(self.token);
        connect::within(async { Ok(locks.execute(&mut connection).await?) }).await?;
        self.connection = connection;
        Ok(())
    }
}

/// Renews the role until it is lost, or not needed any more.
async fn keep(
    server: ServerLocation,
    mut held: HeldRole,
    state: Arc<Mutex<HoldState>>,
    end: CancellationToken,
) {
    loop {
        tokio::select! {
            biased;
            () = end.cancelled() => return held.release().await,
            () = tokio::time::sleep(RENEWED_EVERY) => {}
        }
        let asked = Instant::now();
        match held.renew().await {
            Ok(true) => {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                state.trusted_until = asked + TRUSTED_FOR;
            }
            Ok(false) => {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                state.is_lost = true;
                return;
            }
            // Still gone: tried again after the next sleep.
            Err(_) => drop(held.reconnect(&server).await),
        }
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
