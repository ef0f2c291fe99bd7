//! Parses a page of a bot's ledger, and judges the transactions of an invoice.
//!
//! Amounts have no sign: incoming Stars have a `source`, outgoing ones a `receiver`; an amount of 0
//! has a `receiver` too. A refund has the id of its payment, and may have another type.

use serde::Deserialize;

use crate::domain::invoice::Invoice;
use crate::domain::money::{Money, plain, sum};
use crate::domain::observation::{OrderState, Payment};
use crate::domain::time::UnixMillis;
use crate::domain::transaction::{Direction, Transaction, TransactionStatus, enough_at, moved_sum};
use crate::provider::wire::{Raw, array, external_id, object, text, word};
use crate::provider::{LedgerJudgement, UnreadableEntry};

/// The currency code of Stars.
pub(super) const STARS: &str = "XTR";
/// Digits of the fraction: nanostars.
const NANO_DIGITS: usize = 9;
/// Billionths in a Star.
const NANOS: i128 = 1_000_000_000;
/// Begins the key of an entry that cannot be read.
pub(super) const UNREADABLE: &str = "unreadable ";
/// Longest transaction id that is parsed, in characters.
const LONGEST_ID: usize = 255;

/// A page.
#[derive(Debug)]
pub(super) struct Entries {
    /// Movements of Stars; other entries are left out.
    pub(super) transactions: Vec<Transaction>,
    /// What each entry moves, in their order; the next offset follows from their number. One that cannot
    /// be read has its place here too.
    pub(super) moves: Vec<StarsMove>,
    /// Time of the newest entry.
    pub(super) newest_at: Option<UnixMillis>,
    /// Entries that cannot be read.
    pub(super) unreadable: Vec<UnreadableEntry>,
}

/// What an entry does to the bot's balance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StarsMove {
    /// Names the entry: a refund has the id of its payment.
    pub(super) key: String,
    /// Billionths of a Star, below 0 when they go out.
    pub(super) nanos: i128,
}

#[derive(Deserialize)]
struct PageWire<'a> {
    #[serde(borrow)]
    transactions: Raw<'a>,
}

#[derive(Deserialize)]
struct BalanceWire<'a> {
    #[serde(borrow)]
    amount: Raw<'a>,
    #[serde(borrow)]
    nanostar_amount: Raw<'a>,
}

#[derive(Deserialize)]
struct EntryWire<'a> {
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    date: Raw<'a>,
    #[serde(borrow)]
    amount: Raw<'a>,
    #[serde(borrow)]
    nanostar_amount: Raw<'a>,
    #[serde(borrow)]
    source: Raw<'a>,
    #[serde(borrow)]
    receiver: Raw<'a>,
}

#[derive(Deserialize)]
struct PartnerWire<'a> {
    #[serde(borrow)]
    invoice_payload: Raw<'a>,
    #[serde(borrow)]
    paid_media_payload: Raw<'a>,
    #[serde(borrow)]
    affiliate: Raw<'a>,
}

#[derive(Deserialize)]
struct AffiliateWire<'a> {
    #[serde(borrow)]
    amount: Raw<'a>,
    #[serde(borrow)]
    nanostar_amount: Raw<'a>,
}

/// Parses the page after `offset`. `broken` is the sign for what was not UTF-8.
pub(super) fn entries(json: &str, offset: u64, broken: Option<char>) -> Result<Entries, String> {
    let wire: PageWire<'_> = object(json).map_err(|error| error.to_string())?;
    let items = array(wire.transactions).ok_or("no transactions in a page of the ledger")?;
    let mut page = Entries {
        transactions: Vec::with_capacity(items.len()),
        moves: Vec::with_capacity(items.len()),
        newest_at: None,
        unreadable: Vec::new(),
    };
    for (skipped, item) in (offset..).zip(items) {
        match entry(item.get(), broken) {
            Ok((entry, moved)) => {
                page.newest_at = page.newest_at.max(Some(entry.happened_at));
                page.transactions.push(entry);
                page.moves.push(moved);
            }
            Err(what) => {
                let place = format!("getStarTransactions, offset {skipped}");
                let entry = UnreadableEntry::new(place, what, item.get());
                page.moves.push(StarsMove {
                    key: format!("{UNREADABLE}{:016x}", entry.fingerprint),
                    nanos: 0,
                });
                page.unreadable.push(entry);
            }
        }
    }
    Ok(page)
}

/// Parses the bot's balance, in billionths of a Star; None if it is not told as documented.
pub(super) fn balance(json: &str) -> Option<i128> {
    let wire: BalanceWire<'_> = object(json).ok()?;
    let whole: i128 = text(wire.amount)?.parse().ok()?;
    let nanos: i128 = match text(wire.nanostar_amount) {
        Some(told) => told.parse().ok()?,
        None => 0,
    };
    whole.checked_mul(NANOS)?.checked_add(nanos)
}

fn entry(json: &str, broken: Option<char>) -> Result<(Transaction, StarsMove), String> {
    let wire: EntryWire<'_> = object(json).map_err(|error| error.to_string())?;
    let id = word(wire.id)
        .filter(|id| id.len() <= LONGEST_ID && !is_broken(id, broken))
        .ok_or("a transaction without an id")?;
    let date = text(wire.date).and_then(|date| date.parse::<i64>().ok());
    let date = date.ok_or_else(|| format!("a transaction without a date: {id}"))?;
    let (direction, partner) = match (wire.source, wire.receiver) {
        (Some(source), _) => (Direction::In, Some(source)),
        (None, receiver) => (Direction::Out, receiver),
    };
    let partner: Option<PartnerWire<'_>> = partner.and_then(|partner| object(partner.get()).ok());
    let amount = stars(wire.amount, wire.nanostar_amount)
        .ok_or_else(|| format!("a transaction without an amount: {id}"))?;
    let nanos = nanos(&amount).ok_or_else(|| format!("a transaction too large: {id}"))?;
    let moved = StarsMove {
        key: format!("{} {id}", direction.as_str()),
        nanos: match direction {
            Direction::In => nanos,
            Direction::Out => -nanos,
        },
    };
    let affiliate = partner
        .as_ref()
        .and_then(|partner| object::<AffiliateWire<'_>>(partner.affiliate?.get()).ok());
    let share = affiliate.and_then(|share| stars(share.amount, share.nanostar_amount));
    let label = partner.as_ref().and_then(|partner| {
        text(partner.invoice_payload).or_else(|| text(partner.paid_media_payload))
    });
    if label.as_ref().is_some_and(|label| is_broken(label, broken)) {
        return Err(format!("a payload that is not UTF-8: {id}"));
    }
    let transaction = Transaction {
        id: id.as_ref().into(),
        direction,
        external_id: label.map(|label| external_id(&label)),
        amount: Money {
            value: with_share(amount, share),
            currency: STARS.into(),
        },
        is_net: false,
        status: TransactionStatus::Succeeded,
        happened_at: UnixMillis(date.saturating_mul(1000)),
    };
    Ok((transaction, moved))
}

fn is_broken(text: &str, broken: Option<char>) -> bool {
    broken.is_some_and(|sign| text.contains(sign))
}

/// A payment counts including its affiliate's share.
fn with_share(amount: String, share: Option<String>) -> String {
    let Some(share) = share else { return amount };
    sum([amount.as_str(), share.as_str()]).unwrap_or(amount)
}

/// Whole Stars and billionths as a plain decimal. An affiliate's share of a refund has a minus before
/// it, which says no more than the direction does.
fn stars(whole: Raw<'_>, nano: Raw<'_>) -> Option<String> {
    let digits = |token| {
        let told = text(token)?;
        let number = told.strip_prefix('-').unwrap_or(&told);
        let is_whole = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        is_whole.then(|| number.to_owned())
    };
    let whole = digits(whole)?;
    let Some(nano) = nano.and_then(|nano| digits(Some(nano))) else {
        return Some(whole);
    };
    let fraction = format!("{nano:0>NANO_DIGITS$}");
    let value = format!("{whole}.{fraction}");
    plain(&value).map(std::borrow::Cow::into_owned)
}

/// A plain decimal of Stars, in billionths.
fn nanos(stars: &str) -> Option<i128> {
    let (whole, fraction) = stars.split_once('.').unwrap_or((stars, "0"));
    let whole: i128 = whole.parse().ok()?;
    let fraction: i128 = format!("{fraction:0<NANO_DIGITS$}").parse().ok()?;
    whole.checked_mul(NANOS)?.checked_add(fraction)
}

/// Paid once what was received and not refunded had reached the price; without a price, any payment is enough.
pub(super) fn judge(invoice: &Invoice, transactions: &[Transaction]) -> LedgerJudgement {
    let price = invoice.facts.amount.as_ref();
    let came = moved_sum(transactions, Direction::In, price);
    let state = state(transactions, price);
    let is_paid = state == OrderState::Paid;
    let payment = came.filter(|_| is_paid).map(|came| Payment {
        value: Some(came.value),
        currency: Some(came.currency),
        ..Payment::default()
    });
    LedgerJudgement {
        state,
        provider_status: if came_any(transactions) {
            "received"
        } else {
            "none"
        }
        .into(),
        paid_at: paid_at(transactions, price),
        payment,
    }
}

fn state(transactions: &[Transaction], price: Option<&Money>) -> OrderState {
    match (moved_sum(transactions, Direction::In, price), price) {
        (None, _) => OrderState::Open,
        (Some(_), price) if paid_at(transactions, price).is_some() => OrderState::Paid,
        (Some(_), _) => OrderState::Partial,
    }
}

fn paid_at(transactions: &[Transaction], price: Option<&Money>) -> Option<UnixMillis> {
    enough_at(transactions, |moved| {
        let Some(came) = moved_sum(moved, Direction::In, price) else {
            return false;
        };
        let Some(price) = price else { return true };
        let refunded = moved_sum(moved, Direction::Out, Some(price));
        let refunded = refunded.as_ref().map_or("0", |sum| sum.value.as_str());
        let needed = sum([price.value.as_str(), refunded]);
        needed.is_some_and(|value| {
            !Money {
                value,
                ..price.clone()
            }
            .exceeds(&came)
        })
    })
}

fn came_any(transactions: &[Transaction]) -> bool {
    transactions.iter().any(|one| one.has_moved(Direction::In))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Vec<(String, &'static str, Option<String>, String)> {
        let page = entries(json, 0, None).unwrap();
        let told = page.transactions.into_iter().map(|one| {
            let label = one.external_id.map(|label| label.0);
            (one.id.0, one.direction.as_str(), label, one.amount.value)
        });
        told.collect()
    }

    #[test]
    fn direction_label_and_amount_follow_from_the_partner() {
        let page = r#"{"transactions":[
            {"id":"a","date":1767225600,"source":{"type":"user","transaction_type":"invoice_payment","invoice_payload":"ORD-1"},"amount":100},
            {"id":"a","date":1767225700,"receiver":{"type":"user","transaction_type":"paid_media_payment"},"amount":100},
            {"id":"b","date":1767225800,"source":{"type":"user","invoice_payload":"ORD-2","affiliate":{"commission_per_mille":100,"amount":10}},"amount":90},
            {"id":"c","date":1767225900,"receiver":{"type":"something new"},"amount":0},
            {"id":"d","date":1767226000,"source":{"type":"user","paid_media_payload":"M"},"amount":5,"nanostar_amount":500000000}]}"#;
        let told = read(page);
        let expected = [
            ("a", "in", Some("ORD-1"), "100"),
            ("a", "out", None, "100"),
            ("b", "in", Some("ORD-2"), "100"),
            ("c", "out", None, "0"),
            ("d", "in", Some("M"), "5.500000000"),
        ];
        let expected = expected.map(|(id, way, label, amount)| {
            (
                id.to_owned(),
                way,
                label.map(str::to_owned),
                amount.to_owned(),
            )
        });
        assert_eq!(told, expected);
    }

    #[test]
    fn the_balance_is_the_sum_of_what_the_entries_move() {
        let page = r#"{"transactions":[
            {"id":"a","date":1,"source":{"type":"user"},"amount":100,"nanostar_amount":5},
            {"id":"a","date":2,"receiver":{"type":"user"},"amount":100,"nanostar_amount":5},
            {"id":"b","date":3,"source":{"type":"user","affiliate":{"amount":10}},"amount":90}]}"#;
        let moves = entries(page, 0, None).unwrap().moves;
        let keys: Vec<&str> = moves.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(keys, ["in a", "out a", "in b"]);
        let sum: i128 = moves.iter().map(|one| one.nanos).sum();
        assert_eq!(balance(r#"{"amount":90}"#), Some(sum));
        let owed = balance(r#"{"amount":-3,"nanostar_amount":-500000000}"#);
        assert_eq!(owed, Some(-3_500_000_000));
        for spoilt in ["{}", "7", r#"{"amount":"x"}"#, r#"{"amount":1.5}"#] {
            assert_eq!(balance(spoilt), None, "{spoilt}");
        }
    }

    #[test]
    fn money_that_was_refunded_before_the_rest_came_does_not_count() {
        let moved = |id: &str, direction, value: &str, at| Transaction {
            id: id.into(),
            direction,
            external_id: None,
            amount: Money {
                value: value.into(),
                currency: STARS.into(),
            },
            is_net: false,
            status: TransactionStatus::Succeeded,
            happened_at: UnixMillis(at),
        };
        let price = Money {
            value: "100".into(),
            currency: STARS.into(),
        };
        let back = [
            moved("a", Direction::In, "60", 1),
            moved("a", Direction::Out, "60", 2),
            moved("b", Direction::In, "60", 3),
        ];
        assert_eq!(state(&back, Some(&price)), OrderState::Partial);
        let mut all = back.to_vec();
        all.push(moved("c", Direction::In, "40", 4));
        assert_eq!(paid_at(&all, Some(&price)), Some(UnixMillis(4)));
        // What was paid stays paid.
        all.push(moved("c", Direction::Out, "40", 5));
        assert_eq!(state(&all, Some(&price)), OrderState::Paid);
    }

    #[test]
    fn an_entry_that_cannot_be_read_keeps_its_place_and_the_others_are_read() {
        assert!(entries(r#"{"transactions":[]}"#, 0, None).is_ok());
        for no_page in ["{}", r#"{"transactions":{}}"#] {
            assert!(entries(no_page, 0, None).is_err(), "{no_page}");
        }
        for spoilt in [
            "7",
            r#"{"date":1,"amount":1}"#,
            r#"{"id":"a","amount":1}"#,
            r#"{"id":"a","date":1}"#,
            r#"{"id":"a","date":1,"amount":1.5}"#,
            r#"{"id":"a","date":1,"amount":"-"}"#,
            r#"{"id":"a","date":1,"amount":1,"source":{"invoice_payload":"A?"}}"#,
        ] {
            let good = |id: &str| format!(r#"{{"id":"{id}","date":1,"amount":1}}"#);
            let (before, after) = (good("b"), good("c"));
            let json = format!(r#"{{"transactions":[{before},{spoilt},{after}]}}"#);
            let page = entries(&json, 40, Some('?')).unwrap();
            let ids: Vec<&str> = page.transactions.iter().map(|one| &*one.id.0).collect();
            assert_eq!(ids, ["b", "c"], "{spoilt}");
            assert_eq!(page.moves.len(), 3, "{spoilt}");
            let [left_out] = &page.unreadable[..] else {
                panic!("{spoilt}");
            };
            assert_eq!(left_out.place, "getStarTransactions, offset 41");
            assert!(!left_out.what.contains("A?"), "{}", left_out.what);
        }
    }
}
