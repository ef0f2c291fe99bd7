//! The list of invoices of whole days (UTC), up to a hundred per page, in an undocumented order.
//!
//! `limit` is documented as the number of the last record, while most clients use it as the page
//! size, and it is unknown which one the server implements. A page from `n` on sends the limit
//! `n+100`: a hundred records in the first case, a full page in the second. A server that refuses
//! more than 100 treats it as a size, and gets 100 from then on. The next page begins after the
//! records received, and a page without anything new is the end.

use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde_json::value::RawValue;

use super::invoice::{self, AnsweredAt};
use crate::domain::observation::ObservedOrder;
use crate::domain::time::UnixMillis;
use crate::provider::wire;
use crate::provider::{ProviderError, SpanCursor, TimeSpan};

/// Maximum number of records in one answer.
const PAGE_LIMIT: u64 = 100;
/// The reading is abandoned after this many repeated pages: the list moves faster than it is read,
/// or the offset is ignored.
const MOST_REPEATS: u32 = 5;
/// The service opened later, so no invoice is older.
const FIRST_DAY: UnixMillis = UnixMillis(1_577_836_800_000);

/// How the server interprets `limit`, as far as it is known.
#[derive(Default)]
pub(super) struct LimitReading {
    /// The server refused an end index above 100.
    is_size: AtomicBool,
}

/// The request body for one page.
#[derive(Serialize)]
struct PageBody {
    start: String,
    end: String,
    offset: u64,
    limit: u64,
}

/// Where a page begins, and what the previous one showed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PagePlace {
    offset: u64,
    /// Number of consecutive pages that showed nothing new.
    repeats: u32,
    previous: Vec<String>,
}

impl PagePlace {
    /// Parses `cursor`; the first page without one.
    pub(super) fn of(cursor: Option<&SpanCursor>) -> Result<Self, ProviderError> {
        let Some(SpanCursor(text)) = cursor else {
            return Ok(Self::default());
        };
        let mut words = text.split(' ');
        let mut number = || words.next().and_then(|word| word.parse().ok());
        let place = number().zip(number()).map(|(offset, repeats)| Self {
            offset,
            repeats: u32::try_from(repeats).unwrap_or(u32::MAX),
            previous: Vec::new(),
        });
        match place {
            Some(place) => Ok(Self {
                previous: words.map(str::to_owned).collect(),
                ..place
            }),
            None => Err(ProviderError::Refused(format!(
                "cursor {text}: leads to no page"
            ))),
        }
    }

    fn cursor(&self) -> SpanCursor {
        let ids = self.previous.join(" ");
        SpanCursor(format!("{} {} {ids}", self.offset, self.repeats))
    }

    /// The page after one that showed `orders`; None = the end. New invoices may shift the list, so
    /// a page can repeat the previous one: then a page that is not full ends the list.
    pub(super) fn after(&self, orders: &[ObservedOrder]) -> Result<Option<SpanCursor>, String> {
        let ids: Vec<String> = orders
            .iter()
            .map(|order| order.order_id.0.clone())
            .collect();
        let is_repeat = ids.iter().all(|id| self.previous.contains(id));
        let shown = orders.len() as u64;
        if shown == 0 || is_repeat && shown < PAGE_LIMIT {
            return Ok(None);
        }
        let repeats = if is_repeat { self.repeats + 1 } else { 0 };
        if repeats > MOST_REPEATS {
            return Err(format!(
                "the list shows the same at offset {} as before",
                self.offset
            ));
        }
        let next = Self {
            offset: self.offset + shown,
            repeats,
            previous: ids,
        };
        Ok(Some(next.cursor()))
    }
}

impl LimitReading {
    /// The request body for the page at `place`. An open span ends today, by the provider's clock
    /// `now`.
    pub(super) fn body(
        &self,
        span: &TimeSpan,
        place: &PagePlace,
        now: UnixMillis,
    ) -> Result<String, String> {
        let start = span.from.max(FIRST_DAY);
        let end = span.until.unwrap_or(now).max(start);
        let limit = if self.is_size.load(Ordering::Relaxed) {
            PAGE_LIMIT
        } else {
            place.offset.saturating_add(PAGE_LIMIT)
        };
        let body = PageBody {
            start: day(start),
            end: day(end),
            offset: place.offset,
            limit,
        };
        serde_json::to_string(&body).map_err(|error| error.to_string())
    }

    /// Records that the page at `place` was refused; true = the request is worth repeating.
    pub(super) fn learn_refusal(&self, place: &PagePlace) -> bool {
        place.offset > 0 && !self.is_size.swap(true, Ordering::Relaxed)
    }
}

/// The invoices in a `result`.
pub(super) fn invoices(result: &RawValue, at: AnsweredAt) -> Result<Vec<ObservedOrder>, String> {
    let items = wire::array(Some(result)).ok_or("the result is no list of invoices")?;
    let each = items.iter().enumerate().map(|(index, item)| {
        invoice::observed(item.get(), at).map_err(|what| format!("invoice {index}: {what}"))
    });
    each.collect()
}

/// A day in the format of the list: `31.12.2026`.
fn day(at: UnixMillis) -> String {
    let (year, month, day) = at.utc_date();
    format!("{day:02}.{month:02}.{year:04}")
}
