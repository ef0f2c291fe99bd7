//! The headline: are payments being detected?

use crate::domain::time::UnixMillis;
use crate::metrics::AccountMeter;
use crate::server::health::{HealthCheck, HealthReport};
use crate::server::snapshot::{Day, Snapshot};
use crate::words;

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

impl Hero {
    pub(super) fn of(
        report: &HealthReport,
        accounts: &[AccountMeter],
        unknown: &[String],
        facts: Option<&Snapshot>,
        now: UnixMillis,
    ) -> Self {
        let is_delivery = |check: &&HealthCheck| {
            check.subject.starts_with("consumer") || check.subject.starts_with("feed")
        };
        let (deliveries, mut reasons): (Vec<&HealthCheck>, Vec<&HealthCheck>) =
            report.failing().partition(is_delivery);
        let sentence = latest(accounts, facts, now);
        let has_grave_reasons = !reasons.is_empty();
        let has_stopped_feed = deliveries
            .iter()
            .any(|check| check.subject.starts_with("feed"));
        reasons.extend(deliveries);
        let mut reasons: Vec<HealthCheck> = reasons.into_iter().cloned().collect();
        let headline = grave(&reasons, accounts);
        let has_reasons = !reasons.is_empty();
        if has_reasons {
            reasons.extend(unknown.iter().map(|name| HealthCheck::of_unknown(name)));
        }
        if has_grave_reasons {
            return Self {
                tone: "bad",
                mark: "✕",
                headline,
                sentence,
                reasons,
            };
        }
        if has_reasons {
            return Self {
                tone: "warn",
                mark: "!",
                headline: "Payments are detected, but not read".to_owned(),
                sentence: if has_stopped_feed {
                    "Events are kept and delivered as soon as it is possible again; nothing is skipped."
                } else {
                    "A consumer has not acknowledged events for a long time. Start it, or delete its row \
                     in the table consumers."
                }
                .to_owned(),
                reasons,
            };
        }
        if !unknown.is_empty() {
            return Self {
                tone: "warn",
                mark: "!",
                headline: "Some invoices are not polled".to_owned(),
                sentence: format!(
                    "Their account is not in the configuration: {}.",
                    unknown.join(", ")
                ),
                reasons,
            };
        }
        let asked = accounts.iter().any(|a| a.gauges().last_answer_at.is_some());
        Self {
            tone: if asked { "good" } else { "idle" },
            mark: if asked { "✓" } else { "–" },
            headline: if asked {
                "Payments are being detected"
            } else {
                "Ready: no invoice has been polled yet"
            }
            .to_owned(),
            sentence,
            reasons,
        }
    }
}

/// The problem, in one line. With several accounts, the failing ones are named.
fn grave(reasons: &[HealthCheck], accounts: &[AccountMeter]) -> String {
    let stopped = accounts.iter().filter(|meter| is_stopped(meter));
    let stopped: Vec<&str> = stopped.map(AccountMeter::name).collect();
    let only_late = reasons.iter().all(|check| {
        ["polls", "consumer", "feed"]
            .iter()
            .any(|what| check.subject.starts_with(what))
    });
    if only_late {
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
