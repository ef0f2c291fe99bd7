//! `add`: puts in an invoice, by the same INSERT that programs use and under the same rules.

use std::time::Duration;

use anyhow::bail;
use clap::Args;

use super::session::Session;
use super::show;
use super::{Exit, ReportFormat, complain};
use crate::config::duration;
use crate::domain::text::one_line;
use crate::store::sqlite::{NewInvoice, SqliteStore};

#[derive(Debug, Args)]
pub(super) struct AddArguments {
    /// The account whose order it is
    #[arg(long, value_name = "NAME", default_value = "default")]
    account: String,
    /// Your own id of the order, unique within the account
    #[arg(long, value_name = "ID")]
    external_id: String,
    /// The provider's id of the order; without it the order is created, or followed (--follow)
    #[arg(long, value_name = "ID")]
    order_id: Option<String>,
    /// You have made the order yourself: it is found by its external id (label, payload)
    #[arg(long, conflicts_with = "order_id")]
    follow: bool,
    /// What is to be paid, a plain decimal such as 1.00
    #[arg(long, value_name = "DECIMAL")]
    amount: Option<String>,
    /// The amount's currency, such as USD
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// What the payer reads
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// How long the order can be paid, such as 15m or 1h [default: 24h]
    #[arg(long, value_name = "DURATION", value_parser = timeout_s)]
    timeout: Option<i64>,
    /// A JSON object with the provider's own fields
    #[arg(long, value_name = "JSON")]
    options: Option<String>,
    /// Any JSON; it comes back in every event
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
    #[command(flatten)]
    report: ReportFormat,
}

pub(super) async fn run(
    session: &Session,
    store: &SqliteStore,
    arguments: AddArguments,
) -> anyhow::Result<Exit> {
    let new = NewInvoice {
        account: Some(arguments.account),
        external_id: arguments.external_id,
        order_id: arguments.order_id,
        amount: arguments.amount,
        currency: arguments.currency,
        description: arguments.description,
        timeout_s: arguments.timeout,
        options: arguments.options,
        metadata: arguments.metadata,
        follow: arguments.follow,
    };
    let invoice = match store.insert(&new).await? {
        Ok(invoice) => invoice,
        Err(refusal) => bail!(refusal),
    };
    if session.account(&invoice.account).is_none() {
        complain(&format!(
            "the configuration does not know account {}: the invoice waits until it does",
            one_line(&invoice.account.0)
        ));
    }
    show::report(session, &invoice, arguments.report)?;
    Ok(Exit::Done)
}

/// A duration in whole seconds.
fn timeout_s(text: &str) -> Result<i64, String> {
    duration::parse(text)
        .filter(|timeout| timeout.subsec_nanos() == 0)
        .as_ref()
        .map(Duration::as_secs)
        .and_then(|seconds| i64::try_from(seconds).ok())
        .ok_or_else(|| {
            "accepted is a whole number of seconds as text: 30s, 15m, 1h, 10d".to_owned()
        })
}
