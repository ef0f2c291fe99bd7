//! The parameters of operation-history. An invalid parameter has an error code of its own.

use crate::sandbox::moment::Moment;
use crate::sandbox::params::MethodParams;

use super::entry::WalletEntry;

const RECORDS_USUAL: usize = 30;
const RECORDS_MOST: usize = 100;

pub(super) struct HistoryQuery {
    /// Both are true if no type is requested.
    incoming: bool,
    outgoing: bool,
    label: Option<String>,
    from: Option<Moment>,
    till: Option<Moment>,
    pub start: usize,
    pub records: usize,
}

impl HistoryQuery {
    pub fn read(params: &MethodParams) -> Result<HistoryQuery, &'static str> {
        let kinds = params.text("type").unwrap_or_default();
        let (mut incoming, mut outgoing) = (kinds.is_empty(), kinds.is_empty());
        for kind in kinds.split_whitespace() {
            match kind {
                "deposition" => incoming = true,
                "payment" => outgoing = true,
                _ => return Err("illegal_param_type"),
            }
        }
        let label = params.text("label");
        if label
            .as_deref()
            .is_some_and(|label| label.chars().count() > 64)
        {
            return Err("illegal_param_label");
        }
        let moment = |name: &str, problem| match params.text(name) {
            None => Ok(None),
            // The zone is required, and so is padding.
            Some(text) => Moment::parse(&text).map(Some).ok_or(problem),
        };
        let number = |name: &str, usual: usize, problem| match params.text(name) {
            None => Ok(usual),
            Some(text) => text.parse().map_err(|_| problem),
        };
        let records = number("records", RECORDS_USUAL, "illegal_param_records")?;
        if !(1..=RECORDS_MOST).contains(&records) {
            return Err("illegal_param_records");
        }
        Ok(HistoryQuery {
            incoming,
            outgoing,
            label,
            from: moment("from", "illegal_param_from")?,
            till: moment("till", "illegal_param_till")?,
            start: number("start_record", 0, "illegal_param_start_record")?,
            records,
        })
    }

    pub fn wants(&self, entry: &WalletEntry) -> bool {
        let direction = if entry.is_in {
            self.incoming
        } else {
            self.outgoing
        };
        direction
            && self
                .label
                .as_ref()
                .is_none_or(|label| *label == entry.label)
            && self.from.is_none_or(|from| entry.at >= from)
            && self.till.is_none_or(|till| entry.at < till)
    }
}
