//! `show`: one invoice with its transactions and events.

use clap::Args;
use serde::Serialize;

use super::invoice_json::{EventJson, InvoiceJson, TransactionJson};
use super::output::Output;
use super::reference::Which;
use super::session::Session;
use super::table::{Cell, Table};
use super::{Exit, ReportFormat};
use crate::domain::invoice::Invoice;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::store::{AccountRecord, Database, HistoryEvent, SeenTransaction};
use crate::{story, words};

#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    report: ReportFormat,
}

pub(super) async fn run(
    session: &Session,
    store: &dyn Database,
    arguments: ShowArguments,
) -> anyhow::Result<Exit> {
    let invoice = arguments
        .which
        .find(session, store, arguments.report)
        .await?;
    let events = store.history(&invoice).await?;
    let transactions = store.transactions(invoice.id).await?;
    let records = store.accounts().await?;
    let mut output = session.output();
    if arguments.report.json {
        output.json(&WithEvents {
            invoice: InvoiceJson::from(&invoice),
            transactions: transactions.iter().map(TransactionJson::from).collect(),
            events: events.iter().map(EventJson::from).collect(),
        })?;
    } else {
        output.table(facts(&invoice, &records, session.now()));
        movements(&mut output, &transactions, session.now());
        history(&mut output, &invoice, &events, session.now());
    }
    output.send()?;
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct WithEvents<'a> {
    #[serde(flatten)]
    invoice: InvoiceJson<'a>,
    transactions: Vec<TransactionJson<'a>>,
    events: Vec<EventJson<'a>>,
}

/// Prints the row, as after a change.
pub(super) fn report(
    session: &Session,
    invoice: &Invoice,
    report: ReportFormat,
) -> anyhow::Result<()> {
    let mut output = session.output();
    if report.json {
        output.json(&InvoiceJson::from(invoice))?;
    } else {
        output.table(facts(invoice, &[], session.now()));
    }
    output.send()
}

fn facts(invoice: &Invoice, records: &[AccountRecord], now: UnixMillis) -> Table {
    let (known, wish, schedule) = (&invoice.facts, &invoice.wish, &invoice.schedule);
    let time = |at: Option<UnixMillis>| at.map(|at| words::absolute(at, now));
    let mut table = Table::of_facts();
    table.fact("invoice", Cell::new(invoice.id.to_string()));
    table.fact("account", Cell::new(&invoice.account.0));
    table.fact("external id", Cell::new(&invoice.external_id.0));
    table.fact_if("order", known.order_id.as_ref().map(|id| id.0.as_str()));
    table.fact_if("order number", known.order_number.as_deref());
    table.fact("status", Cell::status(known.status));
    table.fact_if("reason", known.reason.as_deref());
    table.fact_if("provider status", known.provider_status.as_deref());
    table.fact_if("amount", Some(&words::amount(invoice)));
    payment(&mut table, invoice);
    table.fact_if("paid", time(known.paid_at).as_deref());
    table.fact_if("description", wish.description.as_deref());
    table.fact_if("pay link", known.pay_link.as_deref());
    table.fact_if("direct pay link", known.direct_pay_link.as_deref());
    table.fact_if("options", wish.options.as_deref());
    table.fact_if("metadata", invoice.metadata.as_deref());
    table.fact(
        "created",
        Cell::new(words::absolute(invoice.created_at, now)),
    );
    table.fact(
        "changed",
        Cell::new(words::absolute(invoice.updated_at, now)),
    );
    table.fact_if("expires", time(known.expires_at).as_deref());
    table.fact_if("last poll", time(schedule.last_polled_at).as_deref());
    table.fact("next poll", Cell::new(next_poll(invoice, records, now)));
    table.fact("polls", Cell::new(schedule.polls.to_string()));
    if schedule.failures > 0 {
        table.fact(
            "failures in a row",
            Cell::new(schedule.failures.to_string()),
        );
    }
    table.fact_if("last error", schedule.last_error.as_deref());
    table
}

fn payment(table: &mut Table, invoice: &Invoice) {
    let payment = &invoice.facts.payment;
    let in_currency = |value: &Option<String>| {
        let currency = payment.currency.as_deref().unwrap_or_default();
        value.as_ref().map(|value| format!("{value} {currency}"))
    };
    table.fact_if("paid amount", in_currency(&payment.value).as_deref());
    table.fact_if("fee", in_currency(&payment.fee).as_deref());
    table.fact_if("net", in_currency(&payment.net).as_deref());
    table.fact_if("exchange rate", payment.exchange_rate.as_deref());
    let sums = &invoice.facts.sums;
    for (name, sum) in [("received", &sums.received), ("refunded", &sums.refunded)] {
        table.fact_if(name, sum.as_ref().map(words::money).as_deref());
    }
}

fn movements(output: &mut Output, transactions: &[SeenTransaction], now: UnixMillis) {
    if transactions.is_empty() {
        return;
    }
    output.heading("Transactions");
    let mut table = Table::with_header(&["ID", "DIRECTION", "AMOUNT", "STATUS", "HAPPENED"]);
    for seen in transactions {
        let one = &seen.transaction;
        let net = if one.is_net { " net" } else { "" };
        table.row(vec![
            Cell::new(&one.id.0),
            Cell::new(one.direction.as_str()),
            Cell::right(format!("{}{net}", words::money(&one.amount))),
            Cell::new(one.status.as_str()),
            Cell::new(words::absolute(one.happened_at, now)),
        ]);
    }
    output.table(table);
}

fn next_poll(invoice: &Invoice, records: &[AccountRecord], now: UnixMillis) -> String {
    if story::is_covered(invoice, records, now) {
        let last = story::seen_by_page_at(invoice, records).map_or_else(String::new, |at| {
            format!(", last {}", words::absolute(at, now))
        });
        return format!("covered by list pages{last}");
    }
    match invoice.schedule.next_poll_at {
        Some(at) if at > now => words::absolute(at, now),
        _ => words::next_poll(&invoice.schedule, now),
    }
}

fn history(output: &mut Output, invoice: &Invoice, events: &[HistoryEvent], now: UnixMillis) {
    output.heading("Events");
    if events.is_empty() {
        let kept = if invoice.version > 0 {
            "deleted by retention"
        } else {
            "none yet"
        };
        output.line(kept);
        return;
    }
    let mut table = Table::with_header(&["SEQ", "EVENT", "FROM", "TO", "WRITTEN", "ID"]);
    for event in events {
        let status = Cell::maybe(event.status.as_deref());
        let tone = event.status.as_deref().and_then(Status::parse);
        table.row(vec![
            Cell::right(event.seq),
            Cell::new(&event.event_type),
            Cell::maybe(event.previous_status.as_deref()),
            tone.map_or(status, Cell::status),
            Cell::new(words::absolute(event.created_at, now)),
            Cell::new(&event.event_id),
        ]);
    }
    output.table(table);
}
