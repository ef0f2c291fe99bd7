//! Lists: newest first, filters on times and status, a cursor that belongs to its query.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::payment::{PaymentCourse, StoredPayment, word};
use super::refund::StoredRefund;
use super::request::{BadParameter, bad};
use crate::sandbox::moment::Moment;

const LIMIT_USUAL: usize = 10;
const LIMIT_MOST: usize = 100;

/// The four bounds on one time.
#[derive(Debug, Default, Hash)]
struct TimeBounds {
    gte: Option<Moment>,
    gt: Option<Moment>,
    lte: Option<Moment>,
    lt: Option<Moment>,
}

impl TimeBounds {
    fn read(query: &HashMap<String, String>, field: &str) -> Result<TimeBounds, BadParameter> {
        let bound = |suffix: &str| {
            let name = format!("{field}.{suffix}");
            let Some(text) = query.get(&name) else {
                return Ok(None);
            };
            match Moment::parse(text) {
                Some(at) => Ok(Some(at)),
                None => bad(&name, "Expected ISO 8601"),
            }
        };
        Ok(TimeBounds {
            gte: bound("gte")?,
            gt: bound("gt")?,
            lte: bound("lte")?,
            lt: bound("lt")?,
        })
    }

    fn is_open(&self) -> bool {
        let TimeBounds { gte, gt, lte, lt } = self;
        [gte, gt, lte, lt].iter().all(|bound| bound.is_none())
    }

    fn hold(&self, at: Option<Moment>) -> bool {
        let Some(at) = at else {
            return self.is_open();
        };
        self.gte.is_none_or(|bound| at >= bound)
            && self.gt.is_none_or(|bound| at > bound)
            && self.lte.is_none_or(|bound| at <= bound)
            && self.lt.is_none_or(|bound| at < bound)
    }
}

/// The parameters of a list.
#[derive(Debug)]
pub(super) struct KassaListRequest {
    filters: ListFilters,
    limit: usize,
    /// Only items before this index; the oldest is 0.
    before: usize,
}

#[derive(Debug, Hash)]
struct ListFilters {
    created: TimeBounds,
    captured: TimeBounds,
    status: Option<String>,
    method: Option<String>,
    payment_id: Option<String>,
}

impl ListFilters {
    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// A page and the start of the next one.
pub(super) struct ListPage<T> {
    pub items: Vec<T>,
    pub next_cursor: Option<String>,
}

impl KassaListRequest {
    pub fn read(query: &HashMap<String, String>) -> Result<KassaListRequest, BadParameter> {
        let filters = ListFilters {
            created: TimeBounds::read(query, "created_at")?,
            captured: TimeBounds::read(query, "captured_at")?,
            status: query.get("status").cloned(),
            method: query.get("payment_method").cloned(),
            payment_id: query.get("payment_id").cloned(),
        };
        let limit = match query.get("limit").map(|text| text.parse()) {
            None => LIMIT_USUAL,
            Some(Ok(limit @ 1..=LIMIT_MOST)) => limit,
            Some(_) => return bad("limit", "Expected a number from 1 to 100"),
        };
        let before = match query.get("cursor") {
            None => usize::MAX,
            Some(cursor) => match place_of(cursor, filters.fingerprint()) {
                Some(place) => place,
                None => return bad("cursor", "Cursor is invalid or of another query"),
            },
        };
        Ok(KassaListRequest {
            filters,
            limit,
            before,
        })
    }

    pub fn payments<T>(
        &self,
        payments: &[StoredPayment],
        now: Moment,
        show: impl Fn(&StoredPayment) -> T,
    ) -> ListPage<T> {
        let filters = &self.filters;
        let wanted = |payment: &StoredPayment| {
            let course = payment.course(now);
            let captured = match course {
                PaymentCourse::Succeeded { captured } => Some(captured),
                PaymentCourse::Pending
                | PaymentCourse::Held { .. }
                | PaymentCourse::Canceled { .. } => None,
            };
            let status = filters.status.as_deref();
            filters.created.hold(Some(payment.created))
                && filters.captured.hold(captured)
                && status.is_none_or(|status| status == word(&course))
                && (filters.method.is_none() || filters.method == payment.terms.method)
        };
        self.page(payments, wanted, show)
    }

    pub fn refunds<T>(
        &self,
        refunds: &[StoredRefund],
        show: impl Fn(&StoredRefund) -> T,
    ) -> ListPage<T> {
        let filters = &self.filters;
        let wanted = |refund: &StoredRefund| {
            let payment = filters.payment_id.as_ref();
            filters.created.hold(Some(refund.created))
                && payment.is_none_or(|id| *id == refund.payment_id)
                && filters
                    .status
                    .as_deref()
                    .is_none_or(|status| status == "succeeded")
        };
        self.page(refunds, wanted, show)
    }

    /// The newest matching items before the cursor's index.
    fn page<O, T>(
        &self,
        all: &[O],
        wanted: impl Fn(&O) -> bool,
        show: impl Fn(&O) -> T,
    ) -> ListPage<T> {
        let rest = &all[..self.before.min(all.len())];
        let found = rest
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, object)| wanted(object));
        let found: Vec<(usize, &O)> = found.take(self.limit + 1).collect();
        let page = &found[..self.limit.min(found.len())];
        let more = found.len() > self.limit;
        let last = page.last().filter(|_| more);
        ListPage {
            items: page.iter().map(|(_, object)| show(object)).collect(),
            next_cursor: last.map(|(place, _)| cursor_at(*place, self.filters.fingerprint())),
        }
    }
}

/// Has the form of a UUID and contains the index and the query.
fn cursor_at(place: usize, query: u64) -> String {
    let text = format!("{place:016x}{query:016x}");
    [
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..],
    ]
    .join("-")
}

fn place_of(cursor: &str, query: u64) -> Option<usize> {
    let digits = cursor.replace('-', "");
    let (place, of) = digits.split_at_checked(16)?;
    let same = u64::from_str_radix(of, 16).ok()? == query;
    usize::from_str_radix(place, 16).ok().filter(|_| same)
}
