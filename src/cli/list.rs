//! `list`: invoices, newest first.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};

use super::invoice_json::InvoiceJson;
use super::session::Session;
use super::table::{Cell, Table};
use super::{Exit, ReportFormat, complain};
use crate::domain::invoice::{AccountName, Invoice};
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::store::{AccountRecord, InvoiceQuery, Reports};
use crate::{story, words};

#[derive(Debug, Args)]
pub(super) struct ListArguments {
    /// Only invoices with this status
    #[arg(long, value_parser = PossibleValuesParser::new(Status::ALL.map(Status::as_str))
        .try_map(|word| Status::parse(&word).ok_or("expected requested, pending, paid, expired, cancelled, rejected or review")))]
    status: Option<Status>,
    /// Only invoices of this account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// The largest number of invoices
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    report: ReportFormat,
}

pub(super) async fn run(
    session: &Session,
    store: &dyn Reports,
    arguments: ListArguments,
) -> anyhow::Result<Exit> {
    let limit = arguments.limit;
    let query = InvoiceQuery {
        status: arguments.status,
        account: arguments.account.as_deref().map(AccountName::from),
        // One more, to detect whether there are more.
        limit: limit.saturating_add(1),
    };
    let mut invoices = store.list(&query).await?;
    let shown = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = invoices.len() > shown;
    invoices.truncate(shown);

    let mut output = session.output();
    if arguments.report.json {
        let rows: Vec<InvoiceJson<'_>> = invoices.iter().map(InvoiceJson::from).collect();
        output.json(&rows)?;
    } else {
        let records = store.accounts().await?;
        output.table(table(&invoices, &records, session.now()));
    }
    output.send()?;
    if more {
        complain(&format!(
            "only the newest {limit} are shown; --limit N shows more"
        ));
    } else if invoices.is_empty() && !arguments.report.json {
        complain("no invoices");
    }
    Ok(Exit::Done)
}

fn table(invoices: &[Invoice], records: &[AccountRecord], now: UnixMillis) -> Table {
    if invoices.is_empty() {
        return Table::default();
    }
    let mut table = Table::with_header(&[
        "ID",
        "ACCOUNT",
        "EXTERNAL ID",
        "STATUS",
        "AMOUNT",
        "CREATED",
        "NEXT POLL",
        "REASON",
    ]);
    for invoice in invoices {
        table.row(vec![
            Cell::right(invoice.id),
            Cell::new(&invoice.account.0),
            Cell::new(&invoice.external_id.0),
            Cell::status(invoice.facts.status),
            Cell::right(words::amount(invoice)),
            Cell::new(words::relative(invoice.created_at, now)),
            Cell::new(next_poll(invoice, records, now)),
            Cell::maybe(invoice.facts.reason.as_deref()),
        ]);
    }
    table
}

fn next_poll(invoice: &Invoice, records: &[AccountRecord], now: UnixMillis) -> String {
    if story::is_covered(invoice, records, now) {
        "by page".to_owned()
    } else {
        words::next_poll(&invoice.schedule, now)
    }
}
