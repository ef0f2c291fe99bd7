//! `audit`: compares all invoices with the provider's own records, in both directions.

use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::Exit;
use super::exit::complain;
use super::output::Output;
use super::session::Session;
use super::table::{Cell, Table, Tone};
use crate::config::{self, AccountConfig};
use crate::daemon;
use crate::domain::audit::{Discrepancy, DiscrepancyKind, Side, Sum};
use crate::domain::invoice::AccountName;
use crate::jobs::audit::{Audit, AuditError, AuditReport, BorrowedBudget};
use crate::limit::SharedLimiter;
use crate::store::{Database, Store};
use crate::words;

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct AuditArguments {
    /// Insert invoices for orders and payments that have none
    #[arg(long)]
    adopt: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The report over all accounts.
#[derive(Serialize)]
struct Whole<'a> {
    checked: u64,
    discrepancies: &'a [Discrepancy],
    #[serde(skip_serializing_if = "Option::is_none")]
    adopted: Option<u64>,
    /// Accounts that could not be read; the report is incomplete.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<String>,
}

pub(super) async fn run(
    session: &Session,
    store: &Arc<dyn Database>,
    arguments: AuditArguments,
) -> anyhow::Result<Exit> {
    let mut whole = AuditReport::default();
    let mut errors = Vec::new();
    for account in session
        .config
        .accounts
        .iter()
        .filter(|account| account.enabled)
    {
        match audit_account(session, store, account, arguments.adopt).await? {
            Ok(report) => {
                whole.checked += report.checked;
                whole.transactions += report.transactions;
                whole.adopted += report.adopted;
                whole.discrepancies.extend(report.discrepancies);
            }
            Err(error) => {
                complain(&error.to_string());
                errors.push(error.to_string());
            }
        }
    }
    let mut output = session.output();
    let failed = !errors.is_empty();
    if arguments.json {
        output.json(&Whole {
            checked: whole.checked,
            discrepancies: &whole.discrepancies,
            adopted: arguments.adopt.then_some(whole.adopted),
            errors,
        })?;
    } else {
        tell(&mut output, &whole, failed);
    }
    output.send()?;
    Ok(match (failed, whole.discrepancies.is_empty()) {
        (true, _) => Exit::Failed,
        (false, true) => Exit::Done,
        (false, false) => Exit::Differences,
    })
}

/// Audits one account, with a part of its rate limit that the daemon lends.
async fn audit_account(
    session: &Session,
    store: &Arc<dyn Database>,
    account: &AccountConfig,
    adopt: bool,
) -> anyhow::Result<Result<AuditReport, AuditError>> {
    let key = config::api_key(account, &session.environment)?;
    let provider =
        daemon::provider(account, &session.config, &session.clock).map_err(super::run::plain)?;
    provider.set_key(key);
    let (clock, limits) = (&session.clock, daemon::limits(account));
    let name = AccountName(account.name.clone());
    let borrowed =
        match BorrowedBudget::ask(name, limits, Arc::clone(store), Arc::clone(clock)).await {
            Ok(borrowed) => borrowed,
            Err(error) => return Ok(Err(error)),
        };
    let renewing = tokio::spawn(Arc::clone(&borrowed).keep());
    let limiter = SharedLimiter::empty(limits.lent(), clock.monotonic());
    let daemon_runs = store.daemon_runs().await.unwrap_or(true);
    let jobs_store = Arc::clone(store) as Arc<dyn Store>;
    let audit = Audit {
        borrowed: Some(Arc::clone(&borrowed)),
        // The end of polling is not visible from here.
        polled_until: daemon_runs.then(CancellationToken::new),
        ..daemon::audit(account, provider, jobs_store, clock, limiter, adopt)
    };
    let report = audit.run_once().await;
    renewing.abort();
    borrowed.give_back().await;
    Ok(report)
}

fn tell(output: &mut Output, whole: &AuditReport, failed: bool) {
    let checked = compared(whole);
    if whole.discrepancies.is_empty() {
        // An account that could not be read counts as a failure, not as agreement.
        let outcome = if failed {
            "some accounts could not be read"
        } else {
            "all agree"
        };
        output.line(format_args!("{checked} compared, {outcome}"));
        return;
    }
    let mut table = Table::with_header(&[
        "difference",
        "account",
        "external id",
        "order",
        "ours",
        "provider's",
    ]);
    for finding in &whole.discrepancies {
        let (what, tone) = in_words(finding);
        table.row(vec![
            Cell::new(what).tone(tone),
            Cell::new(&finding.account),
            Cell::new(finding.external_id.as_deref().unwrap_or("-")),
            Cell::new(order_or_transaction(finding).unwrap_or("-")),
            Cell::new(side(finding.ours.as_ref(), finding.kind)),
            Cell::new(side(finding.theirs.as_ref(), finding.kind)),
        ]);
    }
    output.table(table);
    let differ = whole.discrepancies.len();
    output.line(format_args!("{checked} compared, {differ} differ"));
    if whole.adopted > 0 {
        output.line(format_args!("{} inserted as invoices", whole.adopted));
    }
}

/// What was compared, in words.
fn compared(whole: &AuditReport) -> String {
    let counted = |count: u64, what| words::counted(i64::try_from(count).unwrap_or(i64::MAX), what);
    let orders = whole.checked - whole.transactions;
    match (orders, whole.transactions) {
        (orders, 0) => counted(orders, "order"),
        (0, transactions) => counted(transactions, "transaction"),
        (orders, transactions) => format!(
            "{} and {}",
            counted(orders, "order"),
            counted(transactions, "transaction")
        ),
    }
}

fn order_or_transaction(finding: &Discrepancy) -> Option<&str> {
    let order = finding.order_id.as_deref();
    order.or(finding.transaction_id.as_deref())
}

fn in_words(finding: &Discrepancy) -> (&'static str, Tone) {
    match (finding.kind, finding.is_paid) {
        (DiscrepancyKind::UnknownOrder, true) => ("PAID, no invoice", Tone::Alarm),
        (DiscrepancyKind::UnknownOrder, false) => ("no invoice", Tone::Quiet),
        (DiscrepancyKind::MissingOrder, _) => ("not found at the provider", Tone::Bad),
        (DiscrepancyKind::Status, true) => ("PAID at the provider only", Tone::Alarm),
        (DiscrepancyKind::Status, false) => ("status differs", Tone::Bad),
        (DiscrepancyKind::Amount, _) => ("amount differs", Tone::Bad),
        (DiscrepancyKind::ExternalId, _) => ("external id differs", Tone::Bad),
        (DiscrepancyKind::UnknownPayment, _) => ("payment without an invoice", Tone::Alarm),
        (DiscrepancyKind::Received, _) => ("received sum differs", Tone::Bad),
        (DiscrepancyKind::Refund, _) => ("refund at the provider only", Tone::Alarm),
    }
}

fn side(side: Option<&Side>, kind: DiscrepancyKind) -> String {
    let Some(side) = side else { return "-".into() };
    // A ledger knows no sum that was asked for, only what came.
    let amount = side.amount.as_ref().or(side.received.as_ref());
    let amount = sum(amount, "no amount");
    match kind {
        DiscrepancyKind::Amount => amount,
        DiscrepancyKind::Received => sum(side.received.as_ref(), "nothing"),
        DiscrepancyKind::Refund => sum(side.refunded.as_ref(), "nothing"),
        DiscrepancyKind::ExternalId => side.external_id.clone().unwrap_or_default(),
        DiscrepancyKind::UnknownOrder
        | DiscrepancyKind::MissingOrder
        | DiscrepancyKind::Status
        | DiscrepancyKind::UnknownPayment => {
            format!("{}, {amount}", side.status)
        }
    }
}

fn sum(sum: Option<&Sum>, without: &str) -> String {
    sum.map_or_else(
        || without.to_owned(),
        |sum| format!("{} {}", sum.value, sum.currency),
    )
}
