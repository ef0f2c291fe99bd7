//! `why`: what was observed, which rule applies, when the next poll is due and why.

use clap::Args;
use serde::Serialize;

use super::invoice_json::InvoiceJson;
use super::output::Output;
use super::reference::Which;
use super::session::Session;
use super::table::{Cell, Table, Tone};
use super::{Exit, ReportFormat};
use crate::domain::invoice::Invoice;
use crate::store::Database;
use crate::story::{Configured, Story, Surroundings};
use crate::words;

#[derive(Debug, Args)]
pub(super) struct WhyArguments {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    report: ReportFormat,
}

pub(super) async fn run(
    session: &Session,
    store: &dyn Database,
    arguments: WhyArguments,
) -> anyhow::Result<Exit> {
    let invoice = arguments
        .which
        .find(session, store, arguments.report)
        .await?;
    let records = store.accounts().await?;
    let account = session.account(&invoice.account);
    let surroundings = Surroundings {
        cadence: session.cadence(),
        account: match account {
            None => Configured::Unknown,
            Some(account) if !account.enabled => Configured::Disabled,
            Some(_) => Configured::Yes,
        },
        accounts: session.account_names(),
        record: records.into_iter().find(|r| r.name == invoice.account),
        daemon_runs: store.daemon_runs().await,
        now: session.now(),
    };
    let answer = WhyReport {
        invoice: InvoiceJson::from(&invoice),
        story: Story::of(&invoice, &surroundings),
    };
    let mut output = session.output();
    if arguments.report.json {
        output.json(&answer)?;
    } else {
        answer.write_to(&mut output, &invoice);
    }
    output.send()?;
    Ok(Exit::Done)
}

/// The output.
#[derive(Serialize)]
struct WhyReport<'a> {
    invoice: InvoiceJson<'a>,
    #[serde(flatten)]
    story: Story,
}

impl WhyReport<'_> {
    fn write_to(&self, output: &mut Output, invoice: &Invoice) {
        let story = &self.story;
        let mut table = Table::of_facts();
        table.row(vec![
            Cell::new(invoice.id.to_string()),
            Cell::status(invoice.facts.status),
            Cell::new(&invoice.external_id.0),
            Cell::new(words::amount(invoice)),
            Cell::new(format!("account {}", invoice.account)),
        ]);
        output.table(table);
        let obstacles: Vec<&str> = story.obstacles.iter().map(|o| o.text.as_str()).collect();
        let seen: Vec<&str> = story.seen.iter().map(String::as_str).collect();
        let holds: Vec<&str> = story.holds.iter().map(String::as_str).collect();
        let advice: Vec<&str> = story.advice.iter().map(String::as_str).collect();
        chapter(output, "Observed", &seen, Tone::Plain);
        chapter(output, "Status", &holds, Tone::Plain);
        chapter(output, "Next poll", &[&story.next_poll.text], Tone::Plain);
        chapter(output, "Problems", &obstacles, Tone::Bad);
        chapter(output, "What you can do", &advice, Tone::Plain);
    }
}

fn chapter(output: &mut Output, title: &str, sentences: &[&str], tone: Tone) {
    if sentences.is_empty() {
        return;
    }
    output.heading(title);
    let mut table = Table::of_facts();
    for sentence in sentences {
        table.row(vec![Cell::new(sentence).tone(tone)]);
    }
    output.table(table);
}
