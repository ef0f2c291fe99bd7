//! `nudge`: has an invoice polled as soon as the account's rate limit allows.

use anyhow::bail;
use clap::Args;

use super::reference::Which;
use super::session::Session;
use super::show;
use super::{Exit, ReportFormat, complain};
use crate::domain::state::Status;
use crate::store::{Database, Reference};

#[derive(Debug, Args)]
pub(super) struct NudgeArguments {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    report: ReportFormat,
}

pub(super) async fn run(
    session: &Session,
    store: &dyn Database,
    arguments: NudgeArguments,
) -> anyhow::Result<Exit> {
    let invoice = arguments
        .which
        .find(session, store, arguments.report)
        .await?;
    match invoice.facts.status {
        Status::Paid | Status::Rejected => bail!(
            "invoice {} is {}, which is final; it is not polled any more",
            invoice.id,
            invoice.facts.status
        ),
        Status::Requested
        | Status::Pending
        | Status::Expired
        | Status::Cancelled
        | Status::Review => {}
    }
    store.nudge(invoice.id).await?;
    let Some(invoice) = store.find(&Reference::Id(invoice.id), None).await?.pop() else {
        bail!("invoice {} was deleted", invoice.id);
    };
    if store.daemon_runs().await == Some(false) {
        complain(
            "no daemon is running on this database; the invoice is polled once one is (payrecond run)",
        );
    }
    show::report(session, &invoice, arguments.report)?;
    Ok(Exit::Done)
}
