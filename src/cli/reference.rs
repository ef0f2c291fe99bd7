//! How a person names an invoice on the command line.

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::ReportFormat;
use super::invoice_json::InvoiceJson;
use super::session::Session;
use crate::domain::invoice::{AccountName, Invoice};
use crate::domain::text::one_line;
use crate::store::sqlite::{Reference, SqliteStore};

/// One invoice.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// '#' and the row id (quoted for the shell), else an external id, an order id or a transaction id
    #[arg(value_name = "REF")]
    reference: String,
    /// Of this account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
}

/// Several invoices are called by one name.
#[derive(Serialize)]
struct Several<'a> {
    error: String,
    candidates: Vec<InvoiceJson<'a>>,
}

impl<'a> Several<'a> {
    fn of(reference: &str, found: &'a [Invoice]) -> Self {
        Self {
            error: format!("{} invoices are called {reference}", found.len()),
            candidates: found.iter().map(InvoiceJson::from).collect(),
        }
    }
}

impl Which {
    /// The one invoice that is meant. Several are told to people on stderr, to scripts on stdout.
    pub(super) async fn find(
        &self,
        session: &Session,
        store: &SqliteStore,
        report: ReportFormat,
    ) -> anyhow::Result<Invoice> {
        let account = self.account.as_deref().map(AccountName::from);
        let reference = Reference::parse(&self.reference);
        let mut found = store.find_called(&self.reference, account.as_ref()).await?;
        match (found.pop(), found.len()) {
            (Some(invoice), 0) => Ok(invoice),
            (Some(last), _) => {
                found.push(last);
                if report.json {
                    let mut output = session.output();
                    output.json(&Several::of(&self.reference, &found))?;
                    output.send()?;
                }
                bail!(self.several(&found))
            }
            (None, _) => bail!(self.nothing(store, &reference)),
        }
    }

    fn nothing(&self, store: &SqliteStore, reference: &Reference) -> String {
        let places = match reference {
            Reference::Id(_) => "ids, external ids, order ids and transaction ids",
            Reference::Text(_) => "external ids, order ids and transaction ids",
        };
        let account = self.account.as_deref().map_or_else(String::new, |name| {
            format!(" of account {}", one_line(name))
        });
        format!(
            "no invoice {}: looked among the {places}{account} in {}",
            one_line(&self.reference),
            store.path().display()
        )
    }

    fn several(&self, found: &[Invoice]) -> String {
        let mut lines = vec![format!(
            "{} invoices are called {}:",
            found.len(),
            one_line(&self.reference)
        )];
        for invoice in found {
            let order = invoice.facts.order_id.as_ref();
            lines.push(format!(
                "  {}  account {}  external id {}  order {}  {}",
                invoice.id,
                one_line(&invoice.account.0),
                one_line(&invoice.external_id.0),
                order.map_or_else(|| "-".to_owned(), |id| one_line(&id.0)),
                invoice.facts.status,
            ));
        }
        lines.push("decide with --account NAME, or name it by '#' and its id".to_owned());
        lines.join("\n")
    }
}
