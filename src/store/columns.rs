//! The columns of `invoices`, each named once, with the function that reads its cell into an
//! invoice and the one that writes it into a batch. Statements and rows are built from this table;
//! no other code counts cells.

#![expect(clippy::unnecessary_wraps)] // the readers of a table are of one type

use super::cell::CellValue;
use super::json_rows::JsonRows;
use crate::domain::invoice::{
    AccountName, ExternalId, Facts, Invoice, InvoiceId, OrderId, PollPlan, Wish,
};
use crate::domain::money::Money;
use crate::domain::state::Status;
use crate::domain::time::UnixMillis;
use crate::store::StoreError;

/// The part of a row that a column belongs to, by when it is written. A decision writes the last
/// part that it changes together with all parts before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// Written by the program that inserted the row, or with every change.
    Given,
    /// Written at each poll.
    Plan,
    /// Written at a poll that learned something.
    Facts,
    /// Written with an event. Indexed or guarded by triggers: such a column costs as much to name
    /// as to change.
    Standing,
    /// Written when the provider's order is learned.
    Order,
}

/// One column.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) part: Part,
    read: fn(&mut RowDraft, CellValue) -> Result<(), String>,
    pub(super) write: fn(&mut JsonRows, &Invoice),
}

/// An invoice while its row is being read.
struct RowDraft {
    invoice: Invoice,
    amount: Option<String>,
    currency: Option<String>,
}

macro_rules! reader {
    (text $($field:ident).+) => {
        |row, cell| {
            row.invoice.$($field).+ = cell.text();
            Ok(())
        }
    };
    (time $($field:ident).+) => {
        |row, cell| {
            row.invoice.$($field).+ = cell.time()?;
            Ok(())
        }
    };
    (count $($field:ident).+) => {
        |row, cell| {
            row.invoice.$($field).+ = cell.number()?.unwrap_or_default();
            Ok(())
        }
    };
    (custom $read:expr, $write:expr) => {
        $read
    };
}

macro_rules! writer {
    (text $($field:ident).+) => {
        |rows, invoice| rows.text(invoice.$($field).+.as_deref())
    };
    (time $($field:ident).+) => {
        |rows, invoice| rows.time(invoice.$($field).+)
    };
    (count $($field:ident).+) => {
        |rows, invoice| rows.number(invoice.$($field).+)
    };
    (custom $read:expr, $write:expr) => {
        $write
    };
}

macro_rules! columns {
    ($($part:ident $name:literal $kind:ident($($how:tt)*);)*) => {
        /// Every column that is read, in the order of `invoice_columns!()`.
        pub(super) const COLUMNS: &[Column] = &[$(Column {
            name: $name,
            part: Part::$part,
            read: reader!($kind $($how)*),
            write: writer!($kind $($how)*),
        }),*];

        /// The column names as SQL, with a comma after each.
        macro_rules! invoice_columns {
            () => {
                concat!($($name, ", "),*)
            };
        }
    };
}

columns! {
    Given    "id"              custom(read_id, not_written);
    Given    "account"         custom(read_account, not_written);
    Given    "external_id"     custom(read_external_id, not_written);
    Given    "description"     text(wish.description);
    Given    "timeout_seconds" count(wish.timeout_s);
    Given    "options"         text(wish.options);
    Given    "metadata"        text(metadata);
    Given    "created_at"      custom(read_created_at, not_written);
    Given    "updated_at"      custom(read_updated_at, write_updated_at);
    Plan     "next_poll_at"    time(schedule.next_poll_at);
    Plan     "last_polled_at"  time(schedule.last_polled_at);
    Plan     "polls"           count(schedule.polls);
    Plan     "failures"        count(schedule.failures);
    Plan     "last_error"      text(schedule.last_error);
    Facts    "reason"          text(facts.reason);
    Facts    "amount"          custom(read_amount, write_amount);
    Facts    "currency"        custom(read_currency, write_currency);
    Facts    "provider_status" text(facts.provider_status);
    Facts    "order_number"    text(facts.order_number);
    Facts    "pay_link"        text(facts.pay_link);
    Facts    "direct_pay_link" text(facts.direct_pay_link);
    Facts    "expires_at"      time(facts.expires_at);
    Facts    "paid_at"         time(facts.paid_at);
    Facts    "paid_amount"     text(facts.payment.value);
    Facts    "paid_currency"   text(facts.payment.currency);
    Facts    "fee_amount"      text(facts.payment.fee);
    Facts    "net_amount"      text(facts.payment.net);
    Facts    "exchange_rate"   text(facts.payment.exchange_rate);
    Facts    "received_amount" custom(read_received, write_received);
    Facts    "refunded_amount" custom(read_refunded, write_refunded);
    Facts    "refunded_at"     time(facts.sums.refunded_at);
    Facts    "is_test"         custom(read_is_test, write_is_test);
    Facts    "create_sent_at"  time(facts.create_sent_at);
    Facts    "ended_at"        time(facts.ended_at);
    Facts    "not_found_since" time(facts.not_found_since);
    Standing "version"         count(version);
    Standing "status"          custom(read_status, write_status);
    Order    "order_id"        custom(read_order_id, write_order_id);
}

impl Column {
    /// The columns written for a part, in order.
    pub(super) fn written(up_to: Part) -> impl Iterator<Item = &'static Self> {
        let is_written = move |column: &&Self| column.part > Part::Given && column.part <= up_to;
        COLUMNS.iter().filter(is_written)
    }
}

/// Builds an invoice from the cells of its row, which come in the order of the table.
pub(super) fn invoice_of(
    mut next: impl FnMut() -> Result<CellValue, StoreError>,
) -> Result<Invoice, StoreError> {
    let mut row = RowDraft {
        invoice: blank(),
        amount: None,
        currency: None,
    };
    for column in COLUMNS {
        (column.read)(&mut row, next()?).map_err(|why| {
            let id = row.invoice.id;
            StoreError::Unusable(format!("invoices.{} of {id}: {why}", column.name))
        })?;
    }
    Ok(row.invoice)
}

fn blank() -> Invoice {
    Invoice {
        id: InvoiceId(0),
        account: AccountName(String::new()),
        external_id: ExternalId(String::new()),
        wish: Wish::default(),
        metadata: None,
        facts: Facts::bare(Status::Requested),
        transactions: Vec::new(),
        version: 0,
        created_at: UnixMillis(0),
        updated_at: UnixMillis(0),
        schedule: PollPlan::default(),
    }
}

impl RowDraft {
    fn in_currency(&self, value: Option<String>) -> Option<Money> {
        let currency = self.currency.clone();
        let money = |(value, currency)| Money { value, currency };
        value.zip(currency).map(money)
    }
}

fn not_written(_: &mut JsonRows, _: &Invoice) {}

fn read_id(row: &mut RowDraft, cell: CellValue) -> Result<(), String> {
    row.invoice.id = InvoiceId(cell.number()?.unwrap_or_default());
    Ok(())
}

fn read_account(row: &mut RowDraft, cell: CellValue) -> Result<(), String> {
    row.invoice.account = AccountName(cell.text().unwrap_or_default());
    Ok(())
}

fn read_external_id(row: &mut RowDraft, cell: CellValue) -> Result<(), String> {
    row.invoice.external_id = ExternalId(cell.text().unwrap_or_default());
    Ok(())
}

fn read_created_at(row: &mut RowDraft, cell: CellValue) -> Result<(), String> {
    row.invoice.created_at = cell.time()?.unwrap_or_default();
    Ok(())
}

fn read_updated_at(row: &mut RowDraft, cell: CellValue) -> Result<(), String> {
    row.invoice.updated_at = cell.time()?.unwrap_or_default();
    Ok(())
}

fn write_updated_at(rows: &mut JsonRows, invoice: &Invoice) {
    rows.time(Some(invoice.updated_at));
}

fn read_amount(row: &mut RowDraft, cell: CellValue) -> Result<(), String> {
    row.amount = cell.text();
    Ok(())
}

fn write_amount(rows: &mut JsonRows, invoice: &Invoice) {
    let amount = invoice.facts.amount.as_ref();
    rows.text(amount.map(|amount| amount.value.as_str()));
}

fn read_currency(row: &mut RowDraft, cell: CellValue) -> Result<(), String> {
    row.currency = cell.text();
    let amount = row.amount.take();
    row.invoice.facts.amount = row.in_currency(amount);
    Ok(())
}

fn write_currency(rows: &mut JsonRows, invoice: &Invoice) {
    let amount = invoice.facts.amount.as_ref();
    rows.text(amount.map(|amount| amount.currency.as_str()));
}

fn read_received(row: &mut RowDraft, cell: CellValue) -> Result<(), String> {
    row.invoice.facts.sums.received = row.in_currency(cell.text());
    Ok(())
}

fn write_received(rows: &mut JsonRows, invoice: &Invoice) {
    let sum = invoice.facts.sums.received.as_ref();
    rows.text(sum.map(|sum| sum.value.as_str()));
}

fn read_refunded(row: &mut RowDraft, cell: CellValue) -> Result<(), String> {
    row.invoice.facts.sums.refunded = row.in_currency(cell.text());
    Ok(())
}

fn write_refunded(rows: &mut JsonRows, invoice: &Invoice) {
    let sum = invoice.facts.sums.refunded.as_ref();
    rows.text(sum.map(|sum| sum.value.as_str()));
}

fn read_is_test(row: &mut RowDraft, cell: CellValue) -> Result<(), String> {
    row.invoice.facts.is_test = cell.number()? == Some(1);
    Ok(())
}

fn write_is_test(rows: &mut JsonRows, invoice: &Invoice) {
    rows.number(invoice.facts.is_test.then_some(1));
}

fn read_status(row: &mut RowDraft, cell: CellValue) -> Result<(), String> {
    let word = cell.text().unwrap_or_default();
    let status = Status::parse(&word).ok_or_else(|| format!("unknown status '{word}'"))?;
    row.invoice.facts.status = status;
    Ok(())
}

fn write_status(rows: &mut JsonRows, invoice: &Invoice) {
    rows.text(invoice.facts.status.as_str());
}

fn read_order_id(row: &mut RowDraft, cell: CellValue) -> Result<(), String> {
    row.invoice.facts.order_id = cell.text().map(OrderId);
    Ok(())
}

fn write_order_id(rows: &mut JsonRows, invoice: &Invoice) {
    let order = invoice.facts.order_id.as_ref();
    rows.text(order.map(|id| id.0.as_str()));
}
