//! Reads the order list item by item: a few fields of each, the whole order only where it is
//! selected.

use serde::Deserialize;

use super::order;
use super::scan::{Piece, Scanner};
use super::wire::StatusWord;
use crate::domain::text::one_line;
use crate::domain::time::UnixMillis;
use crate::provider::wire::{self, Raw};
use crate::provider::{ListItem, PageVisitor};

/// Why a page that was received completely is unusable.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotRead {
    /// It does not match the documentation.
    Malformed(String),
    /// The envelope reports another status than success, with this message.
    Refused(StatusWord, String),
}

/// A paid amount that cannot be parsed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnreadableAmount {
    pub(super) order_id: String,
    /// As reported, on one line.
    pub(super) told: String,
}

/// The fields of an item that decide whether the whole order is needed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListItemWire<'a> {
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    status: Raw<'a>,
    #[serde(borrow)]
    external_id: Raw<'a>,
    #[serde(borrow)]
    created_date_time: Raw<'a>,
    #[serde(borrow)]
    amount: Raw<'a>,
}

/// One page being received for a visitor.
pub(super) struct PageReader<'v> {
    scanner: Scanner,
    sieve: Sieve<'v>,
}

impl<'v> PageReader<'v> {
    /// A page of at most `limit` items, observed at the time its answer began.
    pub(super) fn new(
        visitor: &'v mut dyn PageVisitor,
        observed_at: UnixMillis,
        limit: u32,
    ) -> Self {
        Self {
            scanner: Scanner::new(),
            sieve: Sieve {
                visitor,
                observed_at,
                limit: u64::from(limit),
                word: None,
                message: String::new(),
                has_items: false,
                items: 0,
                held: Vec::new(),
                unusable: None,
                unreadable: Vec::new(),
            },
        }
    }

    /// Takes the next bytes. Must not be called after an error.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), String> {
        let sieve = &mut self.sieve;
        self.scanner.feed(bytes, &mut |piece| sieve.take(piece))
    }

    /// The paid amounts so far that could not be parsed.
    pub(super) fn take_unreadable(&mut self) -> Vec<UnreadableAmount> {
        std::mem::take(&mut self.sieve.unreadable)
    }

    /// Ends the input. Returns the number of items.
    pub(super) fn finish(self) -> Result<u64, NotRead> {
        self.scanner.finish().map_err(NotRead::Malformed)?;
        let sieve = self.sieve;
        match sieve.word {
            Some(StatusWord::Success) => {}
            Some(word) => return Err(NotRead::Refused(word, sieve.message)),
            None => return Err(NotRead::Malformed("answer without a status".into())),
        }
        if !sieve.has_items {
            return Err(NotRead::Malformed("answer without items".into()));
        }
        match sieve.unusable {
            Some(what) => Err(NotRead::Malformed(what)),
            None => Ok(sieve.items),
        }
    }
}

/// Receives the pieces of the page.
struct Sieve<'v> {
    visitor: &'v mut dyn PageVisitor,
    observed_at: UnixMillis,
    limit: u64,
    word: Option<StatusWord>,
    message: String,
    has_items: bool,
    items: u64,
    /// Items that came before the envelope's status.
    held: Vec<Box<str>>,
    /// The first invalid item. The page fails because of it, but only at its end: otherwise the
    /// item's order would seem to be missing.
    unusable: Option<String>,
    unreadable: Vec<UnreadableAmount>,
}

impl Sieve<'_> {
    fn take(&mut self, piece: Piece<'_>) -> Result<(), String> {
        match piece {
            Piece::Member { key, value } => self.take_member(key, value),
            Piece::Items => {
                self.has_items = true;
                Ok(())
            }
            Piece::Item(item) => self.take_item(item),
        }
    }

    fn take_member(&mut self, key: &str, value: &str) -> Result<(), String> {
        let token = serde_json::from_str::<Raw<'_>>(value).unwrap_or(None);
        match key {
            "status" => {
                self.word = StatusWord::read(token);
                if self.word == Some(StatusWord::Success) {
                    for (index, item) in (0..).zip(std::mem::take(&mut self.held)) {
                        self.visit(index, &item)?;
                    }
                }
            }
            "message" => {
                self.message = wire::text(token).map_or_else(String::new, |t| one_line(&t));
            }
            _ => {}
        }
        Ok(())
    }

    fn take_item(&mut self, item: &str) -> Result<(), String> {
        let index = self.items;
        if index == self.limit {
            return Err(format!("more than the {} items asked for", self.limit));
        }
        self.items += 1;
        match self.word {
            Some(StatusWord::Success) => self.visit(index, item),
            Some(_) => Ok(()),
            None => {
                self.held.push(item.into());
                Ok(())
            }
        }
    }

    fn visit(&mut self, index: u64, item: &str) -> Result<(), String> {
        let read = match wire::object::<ListItemWire<'_>>(item) {
            Ok(fields) => self.show(index, &fields, item),
            Err(error) if error.is_json() => Err(error.to_string()),
            Err(error) => return Err(format!("item {index}: {error}")),
        };
        if let (Err(what), None) = (read, &self.unusable) {
            self.unusable = Some(format!("item {index}: {what}"));
        }
        Ok(())
    }

    fn show(&mut self, index: u64, fields: &ListItemWire<'_>, json: &str) -> Result<(), String> {
        let order_id = wire::order_id(fields.id)?;
        let state = order::order_state(&order::order_status(fields.status)?);
        let external_id = wire::text(fields.external_id);
        let created_at = wire::text(fields.created_date_time);
        let amount = order::unchecked_amount(fields.amount);
        let item = ListItem {
            index,
            order_id: &order_id,
            external_id: external_id.as_deref(),
            state,
            created_at: created_at.as_deref(),
            amount: amount
                .as_ref()
                .map(|(value, currency)| (&**value, &**currency)),
        };
        if self.visitor.wants(&item) {
            let observed = order::observed(json, self.observed_at)?;
            if observed.lacks_paid_amount()
                && let Some(told) = order::unreadable_paid_amount(json)
            {
                let order_id = observed.order_id.0.clone();
                self.unreadable.push(UnreadableAmount { order_id, told });
            }
            self.visitor.take(index, observed);
        }
        Ok(())
    }
}
