//! The headline: are payments being detected?

use crate::domain::time::UnixMillis;
use crate::metrics::AccountMeter;
use crate::server::health::{HealthCheck, HealthReport};
use crate::server::snapshot::{Day, Snapshot};
use crate::words;

/// An account with this many failures in a row is named in the headline: a single failure among
/// answers is no outage.
const FAILING_FROM: u32 = 2;

/// The headline with its reasons.
#[derive(Debug)]
pub(super) struct Hero {
    /// `good`, `idle`, `warn` or `bad`.
    pub(super) tone: &'static str,
    pub(super) mark: &'static str,
    pub(super) headline: String,
    pub(super) sentence: String,
    pub(super) reasons: Vec<HealthCheck>,
}

/// An account that invoices name, but the configuration does not have.
pub(super) struct UnknownAccount {
    pub(super) name: String,
    /// Number of its invoices that wait; None if they are not counted yet.
    pub(super) invoices: Option<i64>,
}

impl Hero {
    pub(super) fn of(
        report: &HealthReport,
        accounts: &[AccountMeter],
        unknown: &[UnknownAccount],
        facts: Option<&Snapshot>,
        now: UnixMillis,
    ) -> Self {
        let (deliveries, graves): (Vec<_>, Vec<_>) =
            report.failing().cloned().partition(is_of_delivery);
        let failing = failing_accounts(report, accounts);
        let waiting: Vec<HealthCheck> = unknown.iter().map(UnknownAccount::check).collect();
        let all = [&graves, &deliveries, &failing, &waiting];
        let reasons: Vec<HealthCheck> = all.into_iter().flatten().cloned().collect();
        if !graves.is_empty() {
            return Self {
                tone: "bad",
                mark: "✕",
                headline: grave(&graves, accounts),
                sentence: latest(accounts, facts, now),
                reasons,
            };
        }
        if !deliveries.is_empty() {
            let sentence = delivery_in_words(&deliveries);
            return Self::warning("Payments are detected, but not read", sentence, reasons);
        }
        if !failing.is_empty() {
            let sentence = "Payments are detected when requests are answered again; none is lost.";
            return Self::warning("Requests to the provider are failing", sentence, reasons);
        }
        if !waiting.is_empty() {
            let sentence = "They name an account that is not in the configuration.";
            return Self::warning("Some invoices are not polled", sentence, reasons);
        }
        Self::well(accounts, latest(accounts, facts, now))
    }

    fn warning(headline: &str, sentence: &str, reasons: Vec<HealthCheck>) -> Self {
        Self {
            tone: "warn",
            mark: "!",
            headline: headline.to_owned(),
            sentence: sentence.to_owned(),
            reasons,
        }
    }

    fn well(accounts: &[AccountMeter], sentence: String) -> Self {
        let asked = accounts.iter().any(|a| a.gauges().last_answer_at.is_some());
        let (tone, mark, headline) = if asked {
            ("good", "✓", "Payments are being detected")
        } else {
            ("idle", "–", "Ready: no invoice has been polled yet")
        };
        Self {
            tone,
            mark,
            headline: headline.to_owned(),
            sentence,
            reasons: Vec::new(),
        }
    }
}

impl UnknownAccount {
    fn check(&self) -> HealthCheck {
        HealthCheck::of_unknown(&self.name, self.invoices)
    }
}

/// Whether a check is of the way from the outbox to its readers.
fn is_of_delivery(check: &HealthCheck) -> bool {
    check.subject.starts_with("consumer") || check.subject.starts_with("feed")
}

fn delivery_in_words(deliveries: &[HealthCheck]) -> &'static str {
    let is_feed = |check: &HealthCheck| check.subject.starts_with("feed");
    if deliveries.iter().any(is_feed) {
        "Events are kept and delivered as soon as it is possible again; nothing is skipped."
    } else {
        "A consumer has not acknowledged events for a long time. Start it, or delete its row in the \
         table consumers."
    }
}

/// The checks of accounts that are not stopped, but whose requests fail one after the other.
fn failing_accounts(report: &HealthReport, accounts: &[AccountMeter]) -> Vec<HealthCheck> {
    let failing = accounts.iter().filter(|meter| {
        let failures = meter.gauges().failures;
        failures.is_some_and(|run| run.requests >= FAILING_FROM)
    });
    let subjects: Vec<String> = failing
        .map(|meter| HealthCheck::subject_of_account(meter.name()))
        .collect();
    let checks = report.checks.iter().filter(|check| check.ok);
    checks
        .filter(|check| subjects.contains(&check.subject))
        .cloned()
        .collect()
}

/// The problem, in one line. With several accounts, the failing ones are named.
fn grave(reasons: &[HealthCheck], accounts: &[AccountMeter]) -> String {
    let stopped = accounts.iter().filter(|meter| is_stopped(meter));
    let stopped: Vec<&str> = stopped.map(AccountMeter::name).collect();
    let only_late = |check: &HealthCheck| check.subject.starts_with("polls");
    if reasons.iter().all(only_late) {
        "Payments are detected late".to_owned()
    } else if !stopped.is_empty() && stopped.len() < accounts.len() {
        format!("Payments of {} are not being detected", stopped.join(", "))
    } else {
        "Payments are not being detected".to_owned()
    }
}

fn is_stopped(meter: &AccountMeter) -> bool {
    meter.gauges().state.is_stopped()
}

/// When the provider last answered, and when a payment was last detected. While an account is stopped,
/// answers of another would mislead, so only the reasons are shown.
fn latest(accounts: &[AccountMeter], facts: Option<&Snapshot>, now: UnixMillis) -> String {
    let answers = accounts.iter().filter_map(|a| a.gauges().last_answer_at);
    let answered = match answers.max() {
        _ if accounts.iter().any(is_stopped) => String::new(),
        Some(at) => format!("Last answer from the provider {}.", ago(at, now)),
        None => "No request to the provider since the start.".to_owned(),
    };
    let day = facts.map(|facts| &facts.day);
    let paid = match day.and_then(Day::last_paid_at) {
        Some(at) => format!("Last payment detected {}.", ago(at, now)),
        None if day.is_some() => "No payment in the last 24 hours.".to_owned(),
        None => String::new(),
    };
    format!("{answered} {paid}").trim().to_owned()
}

/// `just now` reads better in a sentence.
fn ago(at: UnixMillis, now: UnixMillis) -> String {
    match words::relative(at, now) {
        now if now == "now" => "just now".to_owned(),
        ago => ago,
    }
}
