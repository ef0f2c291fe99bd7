//! `check`: verifies configuration, database, clock, and each account's key with one harmless
//! request. One line a check, and one for what works but can hardly be meant.

use std::time::Duration;

use anyhow::anyhow;
use serde::Serialize;

use super::Exit;
use super::session::Session;
use crate::config::{self, AccountConfig};
use crate::daemon;
use crate::domain::text::one_line;
use crate::domain::time::UnixMillis;

/// A clock before this shows a machine that has not set its own: 1 January 2026.
const CLOCK_NOT_BEFORE: UnixMillis = UnixMillis(1_767_225_600_000);

/// One thing that was looked at.
#[derive(Serialize)]
struct Check {
    #[serde(rename = "check")]
    subject: String,
    ok: bool,
    /// It works, and can hardly be meant.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    warning: bool,
    message: String,
}

pub(super) async fn run(session: Session, json: bool) -> anyhow::Result<Exit> {
    let mut checks = vec![
        configuration(&session),
        database(&session).await,
        clock(&session),
    ];
    for account in session
        .config
        .accounts
        .iter()
        .filter(|account| account.enabled)
    {
        checks.push(key(&session, account).await);
    }
    checks.extend(shared_stores(&session));
    let mut output = session.output();
    if json {
        output.json(&checks)?;
    } else {
        for check in &checks {
            let word = match (check.ok, check.warning) {
                (true, false) => "ok    ",
                (true, true) => "WARN  ",
                (false, _) => "FAILED",
            };
            output.line(format_args!(
                "{word}  {:<16} {}",
                check.subject, check.message
            ));
        }
    }
    output.send()?;
    Ok(if checks.iter().all(|check| check.ok) {
        Exit::Done
    } else {
        Exit::Failed
    })
}

impl Check {
    fn of(subject: impl Into<String>, outcome: anyhow::Result<String>) -> Self {
        let (ok, message) = match outcome {
            Ok(message) => (true, message),
            Err(error) => (false, format!("{error:#}")),
        };
        Self {
            subject: subject.into(),
            ok,
            warning: false,
            message: one_line(&message),
        }
    }
}

/// A configuration that cannot be used ended the program before: this tells which one it is.
fn configuration(session: &Session) -> Check {
    let source = session.config.source.as_ref();
    let name = source.map_or("built-in defaults".into(), |path| {
        path.display().to_string()
    });
    let accounts = session.config.accounts.len();
    Check::of("configuration", Ok(format!("{name}, accounts: {accounts}")))
}

async fn database(session: &Session) -> Check {
    let outcome = async {
        let store = session.open_store().await?;
        store
            .quick_check()
            .await?
            .map_err(|complaint| anyhow!("damaged: {complaint}"))?;
        store.require_writable().await?;
        Ok(format!(
            "{} is whole and writable",
            session.database().display()
        ))
    };
    Check::of("database", outcome.await)
}

fn clock(session: &Session) -> Check {
    let now = session.now();
    if now < CLOCK_NOT_BEFORE {
        let late = anyhow!("{now} cannot be: set the machine's clock");
        return Check::of("clock", Err(late));
    }
    Check::of("clock", Ok(now.to_string()))
}

fn shared_stores(session: &Session) -> impl Iterator<Item = Check> + use<> {
    let warnings = config::shared_stores(&session.config, &session.environment);
    warnings.into_iter().map(|warning| Check {
        warning: true,
        ..Check::of("accounts", Ok(warning))
    })
}

async fn key(session: &Session, account: &AccountConfig) -> Check {
    let outcome = async {
        let key = config::api_key(account, &session.environment)?;
        let provider = daemon::provider(account, &session.config, &session.clock)?;
        provider.set_key(key);
        let began = session.clock.monotonic();
        let orders = if let Some(list) = provider.lists() {
            format!(", orders so far: {}", list.count().await?)
        } else {
            provider.probe().await?;
            String::new()
        };
        let took: Duration = session.clock.monotonic().saturating_sub(began);
        let millis = took.as_millis();
        Ok(format!(
            "key accepted by {} in {millis} ms{orders}",
            account.base_url
        ))
    };
    Check::of(format!("account {}", account.name), outcome.await)
}
