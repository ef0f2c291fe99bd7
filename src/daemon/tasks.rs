//! The daemon's tasks, built from the parts, and the loops that run them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::DaemonError;
use super::parts::{Parts, cadence, limits};
use crate::clock::Clock;
use crate::config::AccountConfig;
use crate::domain::decide::Rules;
use crate::domain::invoice::AccountName;
use crate::jobs::audit::{Audit, AuditError};
use crate::jobs::intake::Intake;
use crate::jobs::lending::Lender;
use crate::jobs::poll::{PollSettings, PollSetup, PollSignals};
use crate::jobs::retention::Retention;
use crate::jobs::{Heartbeat, LONGEST_NAP};
use crate::limit::SharedLimiter;
use crate::metrics::AccountMeter;
use crate::provider::Provider;
use crate::schedule::{Calendar, JobRun};
use crate::store::Store;

/// The audit of one account, without a daemon that polls it.
pub fn audit(
    account: &AccountConfig,
    provider: Arc<dyn Provider>,
    store: Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    limiter: SharedLimiter,
    adopt: bool,
) -> Audit {
    Audit {
        account: AccountName(account.name.clone()),
        store,
        clock: Arc::clone(clock),
        limiter,
        rules: Rules {
            accept_test_payments: account.accept_test_payments,
            one_currency: provider.one_currency(),
            ..Rules::default()
        },
        provider,
        adopt,
        borrowed: None,
        polled_until: None,
    }
}

/// A new task's heartbeat, registered with the watchdog.
fn heartbeat(
    heartbeats: &mut BTreeMap<String, Heartbeat>,
    clock: &dyn Clock,
    name: String,
) -> Heartbeat {
    let heartbeat = Heartbeat::default();
    heartbeat.beat(clock.monotonic());
    heartbeats.insert(name, heartbeat.clone());
    heartbeat
}

/// The heartbeat of a task beside those that are built here.
pub(super) fn heartbeat_of(parts: &mut Parts, name: &str) -> Heartbeat {
    heartbeat(&mut parts.heartbeats, parts.clock.as_ref(), name.to_owned())
}

pub(super) fn poll_setups(parts: &mut Parts) -> Vec<PollSetup> {
    let polling = &parts.config.polling;
    let mut setups = Vec::new();
    for account in &parts.accounts {
        let settings = &account.settings;
        let name = format!("poll {}", settings.name);
        let heartbeat = heartbeat(&mut parts.heartbeats, parts.clock.as_ref(), name);
        parts.status_lines.put(&settings.name, "polling");
        setups.push(PollSetup {
            account: AccountName(settings.name.clone()),
            provider: Arc::clone(&account.provider),
            read_key: Arc::clone(&account.read_key),
            store: Arc::clone(&parts.store) as Arc<dyn Store>,
            clock: Arc::clone(&parts.clock),
            limiter: account.limiter.clone(),
            settings: PollSettings {
                cadence: cadence(&parts.config),
                not_found_grace: polling.not_found_grace,
                rules: Rules {
                    accept_test_payments: settings.accept_test_payments,
                    deadline_grace: polling.deadline_grace,
                    one_currency: account.provider.one_currency(),
                },
                intake_interval: polling.intake_interval,
                strategy: settings.strategy,
                list_bytes_per_second: settings.list_bytes_per_second,
            },
            signals: PollSignals {
                committed: Arc::clone(&parts.committed),
                changed: parts.changed.subscribe(),
                heartbeat,
                status_lines: parts.status_lines.clone(),
                meter: account.meter.clone(),
            },
            seed: fastrand::u64(..),
        });
    }
    setups
}

/// The task that lends parts of the accounts' rate limits.
pub(super) fn lender(parts: &Parts) -> Lender {
    let accounts = parts.accounts.iter().map(|account| {
        let settings = &account.settings;
        let name = AccountName(settings.name.clone());
        (name, limits(settings), account.limiter.clone())
    });
    let store = Arc::clone(&parts.store) as Arc<dyn Store>;
    Lender::new(store, Arc::clone(&parts.clock), accounts).sharing(parts.share.clone())
}

pub(super) fn intake(parts: &mut Parts) -> Intake {
    let heartbeat = heartbeat(&mut parts.heartbeats, parts.clock.as_ref(), "intake".into());
    let known = parts
        .config
        .accounts
        .iter()
        .map(|a| AccountName(a.name.clone()))
        .collect();
    Intake::new(
        Arc::clone(&parts.store) as Arc<dyn Store>,
        Arc::clone(&parts.clock),
        cadence(&parts.config),
        known,
        heartbeat,
    )
    .lending(lender(parts))
    .sharing(parts.share.clone())
}

/// Runs the intake every `interval` until `stop`, and notifies `changed` when another program wrote.
/// Public, like `feed_loop`, for simulations with a clock and a provider of their own.
pub async fn intake_loop(
    mut intake: Intake,
    clock: Arc<dyn Clock>,
    interval: Duration,
    changed: watch::Sender<()>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        match intake.run_once().await {
            Ok(true) => changed.send_modify(|()| {}),
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "database unavailable; intake retrying"),
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = clock.sleep(interval.min(LONGEST_NAP)) => {}
        }
    }
}

/// Starts the tasks beside polling and the feed.
pub(super) fn begin(parts: &mut Parts, stop: &CancellationToken) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let intake = intake(parts);
    tasks.spawn(intake_loop(
        intake,
        Arc::clone(&parts.clock),
        parts.config.polling.intake_interval,
        parts.changed.clone(),
        stop.clone(),
    ));
    tasks.spawn(writer_watch(parts, stop.clone()));
    tasks
}

/// The heartbeat of the database writer. Tasks that wait for the writer give up after a while and
/// continue, so a write that never ends would otherwise go unnoticed.
fn writer_watch(
    parts: &mut Parts,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send + use<> {
    let heartbeat = heartbeat(&mut parts.heartbeats, parts.clock.as_ref(), "writer".into());
    let (store, clock) = (Arc::clone(&parts.store), Arc::clone(&parts.clock));
    let interval = parts.config.polling.intake_interval.min(LONGEST_NAP);
    async move {
        let mut last = None;
        while !stop.is_cancelled() {
            let in_use = store.writing_since();
            if in_use.is_none() || in_use != last {
                heartbeat.beat(clock.monotonic());
            }
            last = in_use;
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = clock.sleep(interval) => {}
            }
        }
    }
}

pub(super) async fn schedule(
    parts: &Parts,
    stop: &CancellationToken,
) -> Result<Calendar, DaemonError> {
    let mut jobs = Vec::new();
    if let Some(cron) = &parts.config.jobs.retention {
        jobs.push(("retention", cron.clone(), retention_turn(parts)));
    }
    if let Some(cron) = &parts.config.jobs.audit {
        jobs.push(("audit", cron.clone(), audit_turn(parts, stop)));
    }
    Calendar::start(jobs)
        .await
        .map_err(|error| DaemonError::Failed(error.to_string()))
}

fn retention_turn(parts: &Parts) -> JobRun {
    let (share, clock) = (parts.share.clone(), Arc::clone(&parts.clock));
    let kept = parts.config.retention.clone();
    Arc::new(move || {
        let (share, clock, kept) = (share.clone(), Arc::clone(&clock), kept.clone());
        Box::pin(async move {
            // Another daemon does it.
            let Some(store) = share.housekeeping() else {
                return;
            };
            let retention = Retention {
                store,
                clock,
                outbox: kept.outbox,
                invoices: kept.invoices,
                transactions: kept.transactions,
            };
            if let Err(error) = retention.run_once().await {
                tracing::warn!(%error, "retention failed; the next run retries");
            }
        })
    })
}

/// Audits one account after the other: an audit is not urgent.
fn audit_turn(parts: &Parts, stop: &CancellationToken) -> JobRun {
    let audits: Vec<(Audit, AccountMeter)> = parts
        .accounts
        .iter()
        .map(|account| {
            let provider = Arc::clone(&account.provider);
            let (store, clock) = (Arc::clone(&parts.store) as Arc<dyn Store>, &parts.clock);
            let limiter = account.limiter.clone();
            let audit = Audit {
                polled_until: Some(stop.clone()),
                ..audit(&account.settings, provider, store, clock, limiter, false)
            };
            (audit, account.meter.clone())
        })
        .collect();
    let audits = Arc::new(audits);
    let (committed, share) = (Arc::clone(&parts.committed), parts.share.clone());
    Arc::new(move || {
        let (audits, committed) = (Arc::clone(&audits), Arc::clone(&committed));
        let share = share.clone();
        Box::pin(async move {
            for (audit, meter) in audits.iter() {
                // An account is audited by the daemon that polls it.
                let Some(store) = share.account(&audit.account) else {
                    continue;
                };
                match audit.with_store(store).run_once().await {
                    Ok(report) => {
                        meter.recorded("audit.discrepancy", report.said);
                        let (found, new) = (report.discrepancies.len(), report.said);
                        tracing::info!(account = %audit.account, checked = report.checked, found, new, "audit completed");
                    }
                    Err(AuditError::Stopped) => return,
                    Err(error) => tracing::warn!(%error, "audit failed; the next run starts over"),
                }
                committed.tell();
            }
        })
    })
}
