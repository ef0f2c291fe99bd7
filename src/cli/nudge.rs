//! `nudge`: asks for a look as soon as the account's budget allows.

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
            "invoice {} is {}: that is final, nobody looks at it any more",
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
        bail!("invoice {} is gone", invoice.id);
    };
    if store.daemon_runs() == Some(false) {
        complain("no daemon runs on this database: the look is made once one does");
    }
    show::report(session, &invoice, arguments.report)?;
    Ok(Exit::Done)
}
