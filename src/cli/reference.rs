//! A person's reference to an invoice on the command line.

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::ReportFormat;
use super::invoice_json::InvoiceJson;
use super::session::Session;
use crate::domain::invoice::{AccountName, Invoice};
use crate::domain::text::one_line;
use crate::store::{Database, Reference};

/// One invoice.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// External id, order id or transaction id, or '#' and the row id (quoted for the shell)
    #[arg(value_name = "REF")]
    reference: String,
    /// Only invoices of this account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
}

/// Several invoices match.
#[derive(Serialize)]
struct Several<'a> {
    error: String,
    candidates: Vec<InvoiceJson<'a>>,
}

impl<'a> Several<'a> {
    fn of(reference: &str, found: &'a [Invoice]) -> Self {
        Self {
            error: format!("{} invoices match {reference}", found.len()),
            candidates: found.iter().map(InvoiceJson::from).collect(),
        }
    }
}

impl Which {
    /// Finds the invoice. Several matches are listed on stderr, and with --json on stdout.
    pub(super) async fn find(
        &self,
        session: &Session,
        store: &dyn Database,
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

    fn nothing(&self, store: &dyn Database, reference: &Reference) -> String {
        let places = match reference {
            Reference::Id(_) => "ids, external ids, order ids and transaction ids",
            Reference::Text(_) => "external ids, order ids and transaction ids",
        };
        let account = self.account.as_deref().map_or_else(String::new, |name| {
            format!(" of account {}", one_line(name))
        });
        format!(
            "no invoice {}; searched {places}{account} in {}; `payrecond list` shows the newest",
            one_line(&self.reference),
            store.name()
        )
    }

    fn several(&self, found: &[Invoice]) -> String {
        let mut lines = vec![format!(
            "{} invoices match {}:",
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
        lines.push("add --account NAME, or use '#' and the row id".to_owned());
        lines.join("\n")
    }
}
