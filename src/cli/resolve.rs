//! `resolve`: a person decides an invoice in `review`.

use anyhow::{anyhow, bail};
use clap::{Args, ValueEnum};

use super::reference::Which;
use super::session::Session;
use super::show;
use super::{Exit, ReportFormat};
use crate::domain::decide::{Decision, decide};
use crate::domain::invoice::Invoice;
use crate::domain::observation::{Observation, Verdict};
use crate::domain::reschedule::PollOutcome;
use crate::domain::state::Status;
use crate::domain::text::one_line;
use crate::store::{Database, Reference, Reports, Written};

/// Attempts while the daemon changes the invoice at the same time.
const TRIES: usize = 5;

#[derive(Debug, Args)]
pub(super) struct ResolveArguments {
    #[command(flatten)]
    which: Which,
    /// The new status
    #[arg(long = "as", value_name = "STATUS")]
    verdict: VerdictWord,
    /// The reason, recorded in the event
    #[arg(long, value_name = "TEXT", value_parser = note)]
    note: String,
    #[command(flatten)]
    report: ReportFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum VerdictWord {
    /// The payment was received
    Paid,
    /// The order was not paid in time
    Expired,
    /// The order was cancelled
    Cancelled,
}

impl From<VerdictWord> for Verdict {
    fn from(word: VerdictWord) -> Self {
        match word {
            VerdictWord::Paid => Self::Paid,
            VerdictWord::Expired => Self::Expired,
            VerdictWord::Cancelled => Self::Cancelled,
        }
    }
}

pub(super) async fn run(
    session: &Session,
    store: &dyn Database,
    arguments: ResolveArguments,
) -> anyhow::Result<Exit> {
    let mut invoice = arguments
        .which
        .find(session, store, arguments.report)
        .await?;
    for _ in 0..TRIES {
        let decision = decision(session, store, &invoice, &arguments).await?;
        let written = store.commit(&[decision], session.now()).await?;
        let found = store.find(&Reference::Id(invoice.id), None).await?.pop();
        invoice = found.ok_or_else(|| anyhow!("invoice {} was deleted", invoice.id))?;
        match written.first() {
            Some(Written::Yes { .. }) => {
                show::report(session, &invoice, arguments.report)?;
                return Ok(Exit::Done);
            }
            Some(Written::Refused(why)) => bail!("{why}"),
            Some(Written::Stale) | None => {}
        }
    }
    bail!("invoice {} keeps changing; try again", invoice.id)
}

async fn decision(
    session: &Session,
    store: &dyn Reports,
    invoice: &Invoice,
    arguments: &ResolveArguments,
) -> anyhow::Result<Decision> {
    if invoice.facts.status != Status::Review {
        bail!(
            "invoice {} is {}; only an invoice in review can be resolved",
            invoice.id,
            invoice.facts.status
        );
    }
    let now = session.now();
    let provider = provider(session, store, invoice).await?;
    let observation = Observation::Resolved {
        observed_at: now,
        verdict: arguments.verdict.into(),
        note: arguments.note.clone(),
    };
    let mut decision = decide(invoice, &provider, observation);
    let (cadence, roll) = (session.cadence(), fastrand::f64());
    cadence.reschedule(&mut decision.row, PollOutcome::Resolved, now, roll);
    Ok(decision)
}

/// The provider's name for the event: from the configuration, else from the account's row.
async fn provider(
    session: &Session,
    store: &dyn Reports,
    invoice: &Invoice,
) -> anyhow::Result<String> {
    if let Some(account) = session.account(&invoice.account) {
        return Ok(account.provider.name.to_owned());
    }
    let known = store.accounts().await?;
    let record = known
        .into_iter()
        .find(|known| known.name == invoice.account);
    record.map(|record| record.provider).ok_or_else(|| {
        anyhow!(
            "account {} is not in the configuration; add it, because the event must name its provider",
            one_line(&invoice.account.0)
        )
    })
}

fn note(text: &str) -> Result<String, &'static str> {
    let note = one_line(text.trim());
    if note.trim().is_empty() {
        return Err("expected a reason in a few words");
    }
    Ok(note)
}
