//! `resolve`: a person decides about an invoice in `review`.

use anyhow::{anyhow, bail};
use clap::{Args, ValueEnum};

use super::reference::Which;
use super::session::Session;
use super::show;
use super::{Exit, ReportFormat};
use crate::domain::decide::{Decision, decide};
use crate::domain::invoice::Invoice;
use crate::domain::observation::{Observation, Verdict};
use crate::domain::state::Status;
use crate::domain::text::one_line;
use crate::store::sqlite::{Reference, SqliteStore};
use crate::store::{Store as _, Written};

/// Times that the daemon may be faster before the command gives up.
const TRIES: usize = 5;

#[derive(Debug, Args)]
pub(super) struct ResolveArguments {
    #[command(flatten)]
    which: Which,
    /// What it is from now on
    #[arg(long = "as", value_name = "STATUS")]
    verdict: VerdictWord,
    /// Why, for the record; the event tells it
    #[arg(long, value_name = "TEXT", value_parser = note)]
    note: String,
    #[command(flatten)]
    report: ReportFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum VerdictWord {
    /// The money came
    Paid,
    /// Nobody paid in time
    Expired,
    /// Ended by someone
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
    store: &SqliteStore,
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
        invoice = found.ok_or_else(|| anyhow!("invoice {} is gone", invoice.id))?;
        match written.first() {
            Some(Written::Yes { .. }) => {
                show::report(session, &invoice, arguments.report)?;
                return Ok(Exit::Done);
            }
            Some(Written::Refused(why)) => bail!("{why}"),
            Some(Written::Stale) | None => {}
        }
    }
    bail!("invoice {} keeps changing: try again", invoice.id)
}

async fn decision(
    session: &Session,
    store: &SqliteStore,
    invoice: &Invoice,
    arguments: &ResolveArguments,
) -> anyhow::Result<Decision> {
    if invoice.facts.status != Status::Review {
        bail!(
            "invoice {} is {}: only one in review waits for a decision",
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
    decision.row.schedule.next_poll_at =
        session
            .cadence()
            .next_look(&decision.row, now, fastrand::f64());
    Ok(decision)
}

/// The provider's name, which the event tells: by the configuration, else as the daemon knew it.
async fn provider(
    session: &Session,
    store: &SqliteStore,
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
            "the configuration does not know account {}, whose provider the event must name",
            one_line(&invoice.account.0)
        )
    })
}

fn note(text: &str) -> Result<String, &'static str> {
    let note = one_line(text.trim());
    if note.trim().is_empty() {
        return Err("say in a few words why");
    }
    Ok(note)
}
