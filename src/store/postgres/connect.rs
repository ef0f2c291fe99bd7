//! How the server is reached: verified TLS, checked session settings, and no transaction pooler.

use std::net::IpAddr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _};
use url::Url;

use crate::store::{ServerLocation, StoreError};

/// Maximum time for a connection, and for an answer.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(5);
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How long a statement waits for another session's lock before it fails.
const LOCK_TIMEOUT: &str = "2s";

/// The settings of every session. Time-outs make the server end what a client left behind; the
/// planner is restricted to indexes, since the statistics of a fast-growing table are outdated.
const SESSION: [(&str, &str); 10] = [
    ("lock_timeout", LOCK_TIMEOUT),
    ("statement_timeout", "30s"),
    ("idle_in_transaction_session_timeout", "3s"),
    ("tcp_user_timeout", "8s"),
    ("default_transaction_isolation", "read committed"),
    ("search_path", "payrecond,pg_temp"),
    ("jit", "off"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("client_min_messages", "warning"),
];

/// The options of every connection.
///
/// # Errors
/// `Unusable` for an invalid address, or one that requests less than verified TLS.
pub(super) fn options(server: &ServerLocation) -> Result<PgConnectOptions, StoreError> {
    let wrong = |what: &str| StoreError::Unusable(format!("database.url: {what}"));
    let address = Url::parse(server.url()).map_err(|_| {
        wrong("expected an address such as postgres://payrecond_daemon@db.example/shop")
    })?;
    let mut options = PgConnectOptions::from_url(&address)
        .map_err(|error| wrong(&format!("could not be read: {error}")))?;
    if let Some(password) = server.password() {
        options = options.password(password);
    }
    let asked = asked_for_tls(&address, &options);
    let mode = match (is_local(&options), asked) {
        (true, asked) => asked.unwrap_or(PgSslMode::Prefer),
        (false, None | Some(PgSslMode::VerifyFull)) => PgSslMode::VerifyFull,
        (false, Some(_)) => {
            return Err(wrong(
                "a server that is not on this machine needs verified TLS; leave sslmode out, or set verify-full",
            ));
        }
    };
    Ok(options
        .ssl_mode(mode)
        .application_name("payrecond")
        .options(SESSION)
        .disable_statement_logging())
}

/// `sslmode` as in the address; the environment is ignored.
fn asked_for_tls(address: &Url, options: &PgConnectOptions) -> Option<PgSslMode> {
    let mut asked = address.query_pairs();
    let is_there = asked.any(|(key, _)| key == "sslmode" || key == "ssl-mode");
    is_there.then(|| options.get_ssl_mode())
}

fn is_local(options: &PgConnectOptions) -> bool {
    let host = options.get_host().trim_matches(['[', ']']);
    options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

pub(super) async fn connect(server: &ServerLocation) -> Result<PgConnection, StoreError> {
    let options = options(server)?;
    let opened = tokio::time::timeout(CONNECT_WITHIN, PgConnection::connect_with(&options)).await;
    match opened {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(explained(error).at(server.to_string())),
        Err(_) => {
            Err(StoreError::Unavailable("no connection within 5 s".into()).at(server.to_string()))
        }
    }
}

/// Explains the error of a pooler that refuses session settings.
pub(super) fn explained(error: sqlx::Error) -> StoreError {
    let text = error.to_string();
    if text.contains("unsupported startup parameter") {
        return behind_a_pooler(&text);
    }
    error.into()
}

fn behind_a_pooler(how: &str) -> StoreError {
    StoreError::Unusable(format!(
        "database.url leads to a transaction pooler ({how}), which hands one session's statements to another; use the server's own address for payrecond, programs may use the pooler"
    ))
}

/// Limits the time of an answer: a connection that was cut off reports nothing.
pub(super) async fn within<T>(
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let answer = tokio::time::timeout(ANSWER_WITHIN, work).await;
    answer.unwrap_or_else(|_| Err(no_answer()))
}

pub(super) fn no_answer() -> StoreError {
    StoreError::Unavailable("the server did not answer within 10 s".into())
}

pub(super) async fn close(connection: PgConnection) {
    // A connection that cannot be closed properly is dropped.
    let _ = tokio::time::timeout(CONNECT_WITHIN, connection.close()).await;
}

/// Checks that there is no transaction pooler in between. It would run statements of one client in
/// the sessions of others, which silently gives wrong answers with prepared statements.
///
/// There are two reliable signs: settings that have no effect, and two open connections with one
/// session.
pub(super) async fn require_direct(server: &ServerLocation) -> Result<(), StoreError> {
    let mut first = connect(server).await?;
    let mut second = connect(server).await?;
    let checked = within(async {
        let timeout: String = sqlx::query_scalar("SELECT current_setting('lock_timeout')")
            .persistent(false)
            .fetch_one(&mut first)
            .await
            .map_err(explained)?;
        if timeout != LOCK_TIMEOUT {
            return Err(behind_a_pooler("settings of a session are dropped"));
        }
        let of_first = session(&mut first).await?;
        let mut transaction = second.begin().await?;
        let of_second = session(&mut transaction).await?;
        let again = session(&mut first).await?;
        transaction.rollback().await?;
        if of_first == of_second || of_first != again {
            return Err(behind_a_pooler("two connections share one session"));
        }
        Ok(())
    });
    let checked = checked.await;
    close(first).await;
    close(second).await;
    checked.map_err(|error| error.at(server.to_string()))
}

async fn session(connection: &mut PgConnection) -> Result<i32, StoreError> {
    let asked = sqlx::query_scalar("SELECT pg_backend_pid()").persistent(false);
    asked.fetch_one(connection).await.map_err(explained)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> Result<PgSslMode, String> {
        let location = ServerLocation::new(url, Some("s3cret".into()));
        let options = options(&location).map_err(|error| error.to_string())?;
        Ok(options.get_ssl_mode())
    }

    #[test]
    fn a_server_elsewhere_needs_verified_tls() {
        for url in [
            "postgres://a@db.example/shop",
            "postgres://a@db.example/shop?sslmode=verify-full",
            "postgres://a@10.0.0.7/shop",
        ] {
            assert!(matches!(mode(url), Ok(PgSslMode::VerifyFull)), "{url}");
        }
        for asked in ["disable", "allow", "prefer", "require", "verify-ca"] {
            let error = mode(&format!("postgres://a@db.example/shop?sslmode={asked}"));
            assert!(error.unwrap_err().contains("verified TLS"), "{asked}");
        }
    }

    #[test]
    fn a_server_on_loopback_may_do_without_tls() {
        for url in [
            "postgres://a@localhost/shop?sslmode=disable",
            "postgres://a@127.0.0.1:5433/shop?sslmode=disable",
            "postgres://a@[::1]/shop?sslmode=disable",
            "postgres://a@%2Frun%2Fpostgresql/shop?sslmode=disable",
        ] {
            assert!(matches!(mode(url), Ok(PgSslMode::Disable)), "{url}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let location = ServerLocation::new("postgres://a@localhost/shop", Some("s3cret".into()));
        assert!(!format!("{location:?} {location}").contains("s3cret"));
    }
}
