//! The wallet's operations, oldest first, shared by all connections.

use std::sync::{Arc, RwLock};

use bigdecimal::BigDecimal;
use serde_json::{Value, json};

use super::entry::{PayWay, STATUSES, WalletEntry};
use super::query::HistoryQuery;
use crate::sandbox::core::{SandboxCore, read, write};
use crate::sandbox::decimal;
use crate::sandbox::ledger::{NewTransaction, SimulatedLedger, TransactionView, taken, unknown};
use crate::sandbox::moment::Moment;
use crate::sandbox::operation::SimulatedProvider;
use crate::sandbox::sample::SampleShop;
use crate::sandbox::simulator::ControlError;

/// Ids have 18 digits, too many for a float.
const FIRST_ID: u64 = 790_000_000_000_000_001;

pub(in crate::sandbox) struct YooMoneySimulator {
    pub(super) core: Arc<SandboxCore>,
    entries: RwLock<Vec<WalletEntry>>,
}

impl YooMoneySimulator {
    pub fn new(core: Arc<SandboxCore>) -> YooMoneySimulator {
        YooMoneySimulator {
            core,
            entries: RwLock::default(),
        }
    }

    /// A page, newest first. It has a next record as long as more follows.
    pub(super) fn history(&self, query: &HistoryQuery) -> Value {
        let entries = read(&self.entries);
        let mut wanted: Vec<&WalletEntry> = entries.iter().filter(|it| query.wants(it)).collect();
        wanted.reverse();
        let rest = wanted.get(query.start..).unwrap_or_default();
        let page = rest.iter().take(query.records);
        let operations: Vec<Value> = page.map(|entry| entry.object()).collect();
        let mut body = json!({"operations": operations});
        if rest.len() > query.records {
            body["next_record"] = (query.start + query.records).to_string().into();
        }
        body
    }

    pub(super) fn details(&self, id: &str) -> Option<Value> {
        let entries = read(&self.entries);
        let found = entries.iter().find(|entry| entry.id == id);
        found.map(WalletEntry::details)
    }

    /// The wallet's balance.
    pub(super) fn balance(&self) -> BigDecimal {
        let entries = read(&self.entries);
        let done = entries.iter().filter(|entry| entry.status == "success");
        let sums = done.map(|entry| {
            if entry.is_in {
                entry.way.net(&entry.sum)
            } else {
                -entry.sum.clone()
            }
        });
        sums.sum()
    }

    fn fresh(
        &self,
        new: &NewTransaction,
        place: usize,
        now: Moment,
    ) -> Result<WalletEntry, String> {
        let way = match new.via.as_deref() {
            None | Some("wallet") => PayWay::Wallet,
            Some("card") => PayWay::Card,
            Some(other) => return Err(format!("via: {other:?}; expected: wallet, card")),
        };
        let sum = match new.amount.as_deref() {
            Some("0") => BigDecimal::from(0),
            Some(text) => decimal::positive(text).map_err(|error| format!("amount: {error}"))?,
            None => {
                return Err("amount: missing; expected: a plain decimal such as \"1.00\"".into());
            }
        };
        let mut rng = self.core.rng(place as u64);
        Ok(WalletEntry {
            id: id_of(new, self.core.first_number(FIRST_ID) + place as u64)?,
            at: now.truncated(3),
            is_in: !new.is_out,
            sum,
            way,
            label: new
                .external_id
                .clone()
                .filter(|_| !new.is_out)
                .unwrap_or_default(),
            status: status_of(new.status.as_deref())?,
            time_style: rng.u8(0..4),
        })
    }
}

/// An id is digits alone. `next`: where none is given.
fn id_of(new: &NewTransaction, next: u64) -> Result<String, String> {
    let Some(wanted) = new.transaction_id.clone() else {
        return Ok(next.to_string());
    };
    let is_digits = !wanted.is_empty() && wanted.bytes().all(|it| it.is_ascii_digit());
    let why = || format!("transaction_id: {wanted:?}; expected: digits alone");
    is_digits.then(|| wanted.clone()).ok_or_else(why)
}

fn status_of(word: Option<&str>) -> Result<&'static str, String> {
    let word = word.unwrap_or("success");
    let known = STATUSES.into_iter().find(|status| *status == word);
    known.ok_or_else(|| format!("status: {word:?}; expected: {}", STATUSES.join(", ")))
}

impl SimulatedLedger for YooMoneySimulator {
    fn provider(&self) -> SimulatedProvider {
        SimulatedProvider::YooMoney
    }

    fn sample(&self) -> &'static SampleShop {
        &super::SAMPLE
    }

    /// Changes the status of a payment if its id is given with `in` and `status`. A refund is a
    /// separate operation without a reference to the payment.
    fn add(&self, new: &NewTransaction) -> Result<TransactionView, ControlError> {
        let mut entries = write(&self.entries);
        let now = self.core.now();
        let place = entries.len();
        let named = new.transaction_id.as_deref();
        let known = entries.iter_mut().find(|it| Some(it.id.as_str()) == named);
        let entry = match known {
            Some(payment) if !new.is_out && new.status.is_none() => return Err(taken(&payment.id)),
            Some(payment) if !new.is_out => {
                payment.status = status_of(new.status.as_deref()).map_err(ControlError::Invalid)?;
                return Ok(payment.view());
            }
            Some(payment) => {
                let amount = Some(decimal::shortest(&payment.sum));
                let back = NewTransaction {
                    amount: new.amount.clone().or(amount),
                    transaction_id: None,
                    ..new.clone()
                };
                self.fresh(&back, place, now)
            }
            None => match named {
                Some(id) if new.is_out => return Err(unknown(id)),
                Some(_) | None => self.fresh(new, place, now),
            },
        };
        let entry = entry.map_err(ControlError::Invalid)?;
        let view = entry.view();
        entries.push(entry);
        Ok(view)
    }

    fn transactions(&self) -> Vec<TransactionView> {
        read(&self.entries).iter().map(WalletEntry::view).collect()
    }
}
