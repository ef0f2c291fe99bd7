//! `add`: inserts an invoice by the same INSERT and under the same rules as programs.

use std::time::Duration;

use anyhow::bail;
use clap::Args;

use super::session::Session;
use super::show;
use super::{Exit, ReportFormat, complain};
use crate::config::duration;
use crate::domain::text::one_line;
use crate::store::{NewInvoice, Reports};

#[derive(Debug, Args)]
pub(super) struct AddArguments {
    /// The account of the invoice
    #[arg(long, value_name = "NAME", default_value = "default")]
    account: String,
    /// Your id of the order, unique within the account
    #[arg(long, value_name = "ID")]
    external_id: String,
    /// The provider's id of an existing order; without it, payrecond creates the order
    #[arg(long, value_name = "ID")]
    order_id: Option<String>,
    /// You created the order yourself, and it is found by its external id (label, payload)
    #[arg(long, conflicts_with = "order_id")]
    follow: bool,
    /// The amount to be paid, a plain decimal such as 1.00
    #[arg(long, value_name = "DECIMAL")]
    amount: Option<String>,
    /// The amount's currency, such as USD
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// The description shown to the payer
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// How long the order can be paid, such as 15m or 1h [default: 24h]
    #[arg(long, value_name = "DURATION", value_parser = timeout_s)]
    timeout: Option<i64>,
    /// The provider's own fields for creating the order, a JSON object
    #[arg(long, value_name = "JSON")]
    options: Option<String>,
    /// Any JSON; every event contains it
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
    #[command(flatten)]
    report: ReportFormat,
}

pub(super) async fn run(
    session: &Session,
    store: &dyn Reports,
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
            "account {} is not in the configuration; the invoice waits until it is",
            one_line(&invoice.account.0)
        ));
    }
    show::report(session, &invoice, arguments.report)?;
    Ok(Exit::Done)
}

/// Parses a duration as whole seconds.
fn timeout_s(text: &str) -> Result<i64, String> {
    duration::parse(text)
        .filter(|timeout| timeout.subsec_nanos() == 0)
        .as_ref()
        .map(Duration::as_secs)
        .and_then(|seconds| i64::try_from(seconds).ok())
        .ok_or_else(|| {
            "expected a duration in whole seconds such as 30s, 15m, 1h or 10d".to_owned()
        })
}
