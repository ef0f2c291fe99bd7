//! `check`: checks the configuration, the database, the clock, each account's API key with one harmless
//! request, and the NATS stream. One line for each check, and one for each setting that is valid but
//! probably wrong.

mod stream;

use std::path::Path;
use std::time::Duration;

use anyhow::anyhow;
use serde::Serialize;

use super::Exit;
use super::session::Session;
use crate::config::{self, AccountConfig};
use crate::daemon;
use crate::domain::invoice::AccountName;
use crate::domain::text::one_line;
use crate::domain::time::UnixMillis;
use crate::provider::{ClockDifference, Provider, ProviderError};
use crate::words;

/// An earlier date means that the clock was never set.
const CLOCK_NOT_BEFORE: UnixMillis = UnixMillis(1_767_225_600_000);

/// Clock difference to the provider from which times in events are misleading.
const CLOCK_WARNS_FROM: Duration = Duration::from_secs(30);
/// Clock difference from which polls are made at the wrong times.
const CLOCK_FAILS_FROM: Duration = Duration::from_mins(5);

/// One check.
#[derive(Serialize)]
struct Check {
    #[serde(rename = "check")]
    subject: String,
    ok: bool,
    /// It is valid, but probably wrong.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    warning: bool,
    message: String,
}

pub(super) async fn run(session: Session, json: bool) -> anyhow::Result<Exit> {
    let mut checks = vec![configuration(&session), database(&session).await];
    let (mut keys, mut clocks) = (Vec::new(), Vec::new());
    for account in session
        .config
        .accounts
        .iter()
        .filter(|account| account.enabled)
    {
        let (check, clock) = key(&session, account).await;
        keys.push(check);
        keys.extend(missing_settings(account));
        clocks.extend(clock);
    }
    checks.push(clock(session.now(), &clocks));
    checks.push(reader_of_keys(&session));
    checks.extend(keys);
    checks.extend(stream::stream(&session).await);
    checks.extend(stray_variables(&session));
    let overridden = config::overridden_database(&session.config);
    checks.extend(overridden.map(|words| Check::warning("database", words)));
    checks.extend(shared_stores(&session));
    checks.extend(unknown_accounts(&session).await);
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
    fn warning(subject: &str, words: String) -> Self {
        Self {
            warning: true,
            ..Self::of(subject, Ok(words))
        }
    }

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

/// Which configuration is in force. An unusable one has ended the program before.
fn configuration(session: &Session) -> Check {
    let source = session.config.source.as_ref();
    let name = source.map_or(
        "defaults (no file; `payrecond init` writes one)".into(),
        |path| path.display().to_string(),
    );
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
        Ok(format!("{} is intact and writable", session.database()))
    };
    Check::of("database", outcome.await)
}

/// Compares our clock with those of the providers. The greatest difference is reported.
fn clock(now: UnixMillis, providers: &[ProviderClock]) -> Check {
    if now < CLOCK_NOT_BEFORE {
        let late = anyhow!("{now} is wrong; set the machine's clock");
        return Check::of("clock", Err(late));
    }
    let worst = providers.iter().max_by_key(|clock| clock.distance());
    let Some(worst) = worst.filter(|clock| clock.distance() >= CLOCK_WARNS_FROM) else {
        let compared = if providers.is_empty() {
            ""
        } else {
            ", same as the provider's"
        };
        return Check::of("clock", Ok(format!("{now}{compared}")));
    };
    let distance = words::span(worst.distance());
    let (account, ours) = (&worst.account, worst.ours());
    let message = format!(
        "{now} is {distance} {ours} the provider's clock (account {account}); set the machine's clock"
    );
    if worst.distance() >= CLOCK_FAILS_FROM {
        return Check::of("clock", Err(anyhow!(message)));
    }
    Check::warning("clock", message)
}

/// The clock of an account's provider.
struct ProviderClock {
    account: String,
    difference: ClockDifference,
}

impl ProviderClock {
    fn distance(&self) -> Duration {
        match self.difference {
            ClockDifference::Ahead(distance) | ClockDifference::Behind(distance) => distance,
        }
    }

    /// The position of our clock.
    fn ours(&self) -> &'static str {
        match self.difference {
            ClockDifference::Ahead(_) => "behind",
            ClockDifference::Behind(_) => "ahead of",
        }
    }
}

/// Settings without which the account creates no invoice, or not every one: it may follow existing
/// orders all the same.
fn missing_settings(account: &AccountConfig) -> impl Iterator<Item = Check> {
    let settings = account.provider.settings.iter();
    let missing = settings.filter(|setting| {
        !setting.unset.is_empty() && account.settings.get(setting.key).is_empty()
    });
    missing.map(|setting| {
        let words = format!(
            "account.settings.{} is not set: {}",
            setting.key, setting.unset
        );
        Check::warning(&format!("account {}", account.name), words)
    })
}

fn shared_stores(session: &Session) -> impl Iterator<Item = Check> + use<> {
    let warnings = config::shared_stores(&session.config, &session.environment);
    warnings
        .into_iter()
        .map(|words| Check::warning("accounts", words))
}

/// Invoices that are not polled, because their account is not in the configuration. A database that
/// cannot be read is reported by another check.
async fn unknown_accounts(session: &Session) -> Vec<Check> {
    let unknown = read_unknown_accounts(session).await.unwrap_or_default();
    let warning = |(account, invoices): (AccountName, i64)| {
        let words = format!(
            "{} not polled, because this account is not in the configuration; `payrecond list --account \
             {account}` lists them, `payrecond why '#ID'` says what to do",
            words::counted(invoices, "invoice")
        );
        Check::warning(&format!("account {account}"), words)
    };
    unknown.into_iter().map(warning).collect()
}

async fn read_unknown_accounts(session: &Session) -> anyhow::Result<Vec<(AccountName, i64)>> {
    let store = session.open_store_to_read().await?;
    if store.cluster().await?.is_some() {
        // Other daemons may have accounts that this configuration lacks.
        return Ok(store.invoices_of_unknown_accounts().await?);
    }
    let mut unknown = Vec::new();
    for name in store.accounts_in_queue().await? {
        if session.account(&name).is_none() {
            let invoices = store.count_waiting(&name).await?;
            unknown.push((name, invoices));
        }
    }
    Ok(unknown)
}

fn stray_variables(session: &Session) -> impl Iterator<Item = Check> + use<> {
    let warnings = config::stray_variables(&session.config, &session.environment);
    warnings
        .into_iter()
        .map(|words| Check::warning("environment", words))
}

/// Checks the key, and reads the provider's clock, which is available even if the key is refused.
async fn key(session: &Session, account: &AccountConfig) -> (Check, Option<ProviderClock>) {
    let mut clock = None;
    let outcome = async {
        let key = config::api_key(account, &session.environment)?;
        let provider = daemon::provider(account, &session.config, &session.clock)?;
        provider.set_key(key);
        let began = session.clock.monotonic();
        let answer = harmless(provider.as_ref()).await;
        clock = provider.clock_difference();
        let orders = answer?;
        let took: Duration = session.clock.monotonic().saturating_sub(began);
        let millis = took.as_millis();
        let place = config::api_key_place(account, &session.environment);
        let from = place.map_or_else(String::new, |place| format!("; read from {place}"));
        Ok(format!(
            "API key accepted by {} in {millis} ms{orders}{from}",
            account.base_url
        ))
    };
    let check = Check::of(format!("account {}", account.name), outcome.await);
    let clock = clock.map(|difference| ProviderClock {
        account: account.name.clone(),
        difference,
    });
    (check, clock)
}

/// Who searches for keys, and where. A daemon started in another way may find other keys.
fn reader_of_keys(session: &Session) -> Check {
    let user = rustix::process::geteuid().as_raw();
    let directory = session.environment.get("CREDENTIALS_DIRECTORY");
    let directory = directory.map_or_else(
        || "not set, so credentials of a service are not seen".to_owned(),
        |directory| Path::new(directory).display().to_string(),
    );
    let words = format!(
        "searched by user id {user} in $CREDENTIALS_DIRECTORY ({directory}), the variables PAYRECOND_API_KEY_<ACCOUNT>, \
         and api_key_file; docs/operations.md has the command that searches as the service does"
    );
    Check::of("keys", Ok(words))
}

/// Makes a probe; returns the number of orders where the provider reports it.
async fn harmless(provider: &dyn Provider) -> Result<String, ProviderError> {
    match provider.lists() {
        Some(list) => Ok(format!(", orders so far: {}", list.count().await?)),
        None => provider.probe().await.map(|()| String::new()),
    }
}
