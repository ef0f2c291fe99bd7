//! The bot's ledger, oldest first, shared by all connections.

use std::sync::{Arc, RwLock};

use bigdecimal::{BigDecimal, ToPrimitive as _};
use serde_json::Value;

use super::entry::{KINDS, StarEntry};
use crate::sandbox::core::{SandboxCore, read, write};
use crate::sandbox::decimal;
use crate::sandbox::ledger::{NewTransaction, SimulatedLedger, TransactionView, taken, unknown};
use crate::sandbox::moment::Moment;
use crate::sandbox::operation::SimulatedProvider;
use crate::sandbox::sample::SampleShop;
use crate::sandbox::simulator::ControlError;

const PAYER: u64 = 123_456_789;
const NANOS: u64 = 1_000_000_000;

pub(in crate::sandbox) struct StarsSimulator {
    pub(super) core: Arc<SandboxCore>,
    entries: RwLock<Vec<StarEntry>>,
}

/// Why a payment cannot be refunded, in the Bot API's own words.
pub(super) type RefundProblem = &'static str;

impl StarsSimulator {
    pub fn new(core: Arc<SandboxCore>) -> StarsSimulator {
        StarsSimulator {
            core,
            entries: RwLock::default(),
        }
    }

    /// A page from `offset` on. Hidden entries are left out, but counted.
    pub(super) fn page(&self, offset: usize, limit: usize) -> Vec<Value> {
        let entries = read(&self.entries);
        let rest = entries.get(offset..).unwrap_or_default();
        let page = rest.iter().take(limit);
        let shown = page.filter(|entry| !entry.is_hidden());
        shown.map(StarEntry::object).collect()
    }

    /// Whole Stars and billionths, both with the same sign.
    pub(super) fn balance(&self) -> (i128, i128) {
        let entries = read(&self.entries);
        let shown = entries.iter().filter(|entry| !entry.is_hidden());
        let sum: i128 = shown
            .map(|entry| {
                let nanos =
                    i128::from(entry.shown_stars()) * i128::from(NANOS) + i128::from(entry.nanos);
                if entry.is_in { nanos } else { -nanos }
            })
            .sum();
        (sum / i128::from(NANOS), sum % i128::from(NANOS))
    }

    /// Refunds a whole payment: an entry with its id.
    pub(super) fn refund(&self, user: u64, id: &str) -> Result<(), RefundProblem> {
        if id.is_empty() {
            return Err("CHARGE_ID_EMPTY");
        }
        let mut entries = write(&self.entries);
        let now = self.core.now();
        let payment = entries.iter().find(|entry| entry.id == id && entry.is_in);
        let payment = payment.ok_or("CHARGE_NOT_FOUND")?;
        if payment.user != user {
            return Err("USER_ID_INVALID");
        }
        let refund = refund_of(payment, now);
        if entries.iter().any(|entry| entry.id == id && !entry.is_in) {
            return Err("CHARGE_ALREADY_REFUNDED");
        }
        entries.push(refund);
        Ok(())
    }

    fn fresh(&self, new: &NewTransaction, place: usize, now: Moment) -> Result<StarEntry, String> {
        let wanted = new.kind.as_deref().unwrap_or("invoice_payment");
        let kind = KINDS.into_iter().find(|kind| *kind == wanted);
        let kind =
            kind.ok_or_else(|| format!("kind: {wanted:?}; expected: {}", KINDS.join(", ")))?;
        let (stars, nanos) = stars_of(new.amount.as_deref().unwrap_or("1"))?;
        let id = new.transaction_id.clone().unwrap_or_else(|| {
            let mut rng = self.core.rng(place as u64);
            let tail: String = (0..24).map(|_| rng.alphanumeric()).collect();
            format!("stx{tail}")
        });
        Ok(StarEntry {
            id,
            at: now,
            is_in: !new.is_out,
            stars,
            nanos,
            kind,
            payload: new.external_id.clone().unwrap_or_default(),
            user: PAYER,
        })
    }
}

fn refund_of(payment: &StarEntry, now: Moment) -> StarEntry {
    StarEntry {
        at: now,
        is_in: false,
        ..payment.clone()
    }
}

/// Zero is a valid amount here.
fn stars_of(text: &str) -> Result<(u64, u32), String> {
    let value = if text == "0" {
        BigDecimal::from(0)
    } else {
        decimal::positive(text).map_err(|error| format!("amount: {error}"))?
    };
    let nanos = (value * BigDecimal::from(NANOS)).with_scale(0).to_u64();
    let nanos =
        nanos.ok_or_else(|| format!("amount: {text:?} is larger than this sandbox can count"))?;
    Ok((
        nanos / NANOS,
        u32::try_from(nanos % NANOS).unwrap_or_default(),
    ))
}

impl SimulatedLedger for StarsSimulator {
    fn provider(&self) -> SimulatedProvider {
        SimulatedProvider::TelegramStars
    }

    fn sample(&self) -> &'static SampleShop {
        &super::SAMPLE
    }

    fn add(&self, new: &NewTransaction) -> Result<TransactionView, ControlError> {
        let mut entries = write(&self.entries);
        let now = self.core.now();
        let named = new.transaction_id.as_deref();
        let payment = named.and_then(|id| entries.iter().find(|it| it.id == id && it.is_in));
        let entry = match (named, payment) {
            (Some(_), Some(payment)) if new.is_out => refund_of(payment, now),
            (Some(id), Some(_)) => return Err(taken(id)),
            (Some(id), None) if new.is_out => return Err(unknown(id)),
            _ => {
                let made = self.fresh(new, entries.len(), now);
                made.map_err(ControlError::Invalid)?
            }
        };
        let view = entry.view();
        entries.push(entry);
        Ok(view)
    }

    fn transactions(&self) -> Vec<TransactionView> {
        read(&self.entries).iter().map(StarEntry::view).collect()
    }
}
