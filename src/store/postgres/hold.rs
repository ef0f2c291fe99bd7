//! Roles that only one process can have: a consumer's name is an advisory lock of a session, which
//! ends with the process or its connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::postgres::PgConnection;
use tokio::task::JoinHandle;

use super::connect;
use crate::store::{Role, RoleHold, ServerLocation, StoreError};

/// Interval of checks of the session, and delay before a lost one is opened again.
const TRIED_EVERY: Duration = Duration::from_secs(1);

const TAKE: &str = "
    SELECT pg_try_advisory_lock('payrecond.consumers'::regclass::oid::int, hashtext($1))";

/// A role on a server, for as long as the value lives.
pub struct ConsumerHold {
    taken_by_another: Arc<AtomicBool>,
    session: Option<JoinHandle<()>>,
}

impl RoleHold for ConsumerHold {
    fn require_held(&self) -> Result<(), StoreError> {
        if self.taken_by_another.load(Ordering::Relaxed) {
            return Err(StoreError::Replaced(
                "the consumer was taken by another process while the server could not be reached"
                    .into(),
            ));
        }
        Ok(())
    }
}

impl Drop for ConsumerHold {
    fn drop(&mut self) {
        if let Some(session) = &self.session {
            session.abort();
        }
    }
}

/// Takes a role; None if another process has it. Any number of daemons may run, because leases
/// share the work.
///
/// # Errors
/// If the server cannot be queried.
pub async fn hold(
    server: &ServerLocation,
    role: Role<'_>,
) -> Result<Option<ConsumerHold>, StoreError> {
    let taken_by_another = Arc::new(AtomicBool::new(false));
    let Role::Consumer(name) = role else {
        return Ok(Some(ConsumerHold {
            taken_by_another,
            session: None,
        }));
    };
    let Some(connection) = take(server, name).await? else {
        return Ok(None);
    };
    let keeper = keep(
        server.clone(),
        name.to_owned(),
        connection,
        Arc::clone(&taken_by_another),
    );
    Ok(Some(ConsumerHold {
        taken_by_another,
        session: Some(tokio::spawn(keeper)),
    }))
}

async fn take(server: &ServerLocation, name: &str) -> Result<Option<PgConnection>, StoreError> {
    let mut connection = connect::connect(server).await?;
    let taken: bool = connect::within(async {
        let asked = sqlx::query_scalar(TAKE).bind(name);
        Ok(asked.fetch_one(&mut connection).await?)
    })
    .await?;
    Ok(taken.then_some(connection))
}

/// Keeps the session open. If the connection was lost, the lock is taken again, unless another
/// process was faster.
async fn keep(
    server: ServerLocation,
    name: String,
    mut connection: PgConnection,
    taken_by_another: Arc<AtomicBool>,
) {
    loop {
        tokio::time::sleep(TRIED_EVERY).await;
        let alive = connect::within(async {
            sqlx::query("SELECT 1").execute(&mut connection).await?;
            Ok(())
        });
        if alive.await.is_ok() {
            continue;
        }
        match take(&server, &name).await {
            Ok(Some(again)) => connection = again,
            Ok(None) => {
                taken_by_another.store(true, Ordering::Relaxed);
                return;
            }
            // Still unreachable.
            Err(_) => {}
        }
    }
}
