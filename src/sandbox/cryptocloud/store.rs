//! The invoices of the simulated project, shared by all connections.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use serde_json::{Map, Value};

use super::coin::fiat_usd;
use super::invoice::{CloudInvoice, CloudTerms};
use super::request::ListSpan;
use super::wire;
use crate::sandbox::core::{SandboxCore, read, write};
use crate::sandbox::decimal;
use crate::sandbox::moment::Moment;
use crate::sandbox::operation::SimulatedProvider;
use crate::sandbox::sample::SampleShop;
use crate::sandbox::shelf::{OrderShelf, Shelf};
use crate::sandbox::simulator::{
    ControlError, CreateError, OrderAction, OrderBatch, OrderView, ViewedAmount,
};
use crate::sandbox::variant::Variant;

/// How long info does not know a new invoice under the variant.
const FRESH: Duration = Duration::from_secs(3);
const SIGNS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

pub(in crate::sandbox) struct CryptoCloudSimulator {
    pub(super) core: Arc<SandboxCore>,
    shelf: RwLock<Shelf<CloudInvoice>>,
}

impl CryptoCloudSimulator {
    pub fn new(core: Arc<SandboxCore>) -> CryptoCloudSimulator {
        CryptoCloudSimulator {
            core,
            shelf: RwLock::new(Shelf::new()),
        }
    }

    /// Creates an invoice and returns it.
    pub(super) fn create(&self, terms: CloudTerms) -> Value {
        let mut stock = write(&self.shelf);
        let now = self.core.now();
        wire::created(&self.core, self.put(&mut stock, terms, now), now)
    }

    /// The known invoices among `uuids`, in no particular order; each id with or without its
    /// prefix.
    pub(super) fn inform(&self, uuids: &[String]) -> Vec<Value> {
        let stock = read(&self.shelf);
        let now = self.core.now();
        let hides_fresh = self.core.has(Variant::CryptoCloudFreshMissing);
        let known = uuids.iter().rev().filter_map(|uuid| stock.get(&full(uuid)));
        known
            .filter(|invoice| !hides_fresh || now.since(invoice.created) >= FRESH)
            .map(|invoice| wire::informed(&self.core, invoice, now))
            .collect()
    }

    /// A page of the span, newest first, and the total number in the span.
    pub(super) fn list(&self, span: &ListSpan) -> (Vec<Value>, usize) {
        let stock = read(&self.shelf);
        let now = self.core.now();
        let within =
            |invoice: &&CloudInvoice| span.from <= invoice.created && invoice.created < span.to;
        let all = stock.all().iter().filter(within).count();
        let newest = stock.all().iter().rev().filter(within);
        let page = newest.skip(span.offset).take(span.count);
        let items = page.map(|invoice| wire::listed(&self.core, invoice, now));
        (items.collect(), all)
    }

    /// Gives `see` access to all invoices, oldest first.
    pub(super) fn see<T>(&self, show: impl FnOnce(&[CloudInvoice], Moment) -> T) -> T {
        let stock = read(&self.shelf);
        show(stock.all(), self.core.now())
    }

    /// Cancels an unpaid invoice; `false` if it is in another state, or unknown.
    pub(super) fn cancel(&self, uuid: &str) -> bool {
        let mut stock = write(&self.shelf);
        let now = self.core.now();
        let found = stock.get_mut(&full(uuid));
        let open = found.filter(|invoice| invoice.status(now, false).0 == "created");
        open.is_some_and(|invoice| {
            invoice.canceled = Some(now);
            true
        })
    }

    fn put<'a>(
        &self,
        stock: &'a mut Shelf<CloudInvoice>,
        terms: CloudTerms,
        now: Moment,
    ) -> &'a CloudInvoice {
        let mut rng = self.core.rng(stock.all().len() as u64);
        let uuid: String = (0..8)
            .map(|_| char::from(SIGNS[rng.usize(..SIGNS.len())]))
            .collect();
        // One in four is on a whole second, and then written without a fraction.
        let created = now.truncated(if rng.u8(0..4) == 0 { 0 } else { 6 });
        let order_id = terms.order_id.clone().unwrap_or_default();
        let coin = terms.coin.as_deref().and_then(super::coin::CloudCoin::find);
        let invoice = CloudInvoice {
            created,
            expires: created
                .plus(terms.lasts)
                .minus(Duration::from_micros(rng.u64(0..20_000))),
            sweep_delay: Duration::from_millis(rng.u64(2_000..10_000)),
            test: self.core.has(Variant::CryptoCloudTestMode),
            payments: Vec::new(),
            coin: coin.map_or("USDT_TRC20", |coin| coin.fullcode),
            confirmed: false,
            canceled: None,
            uuid,
            terms,
        };
        stock.put(format!("INV-{}", invoice.uuid), &order_id, invoice)
    }
}

/// With its prefix.
fn full(uuid: &str) -> String {
    format!("INV-{}", uuid.strip_prefix("INV-").unwrap_or(uuid))
}

impl OrderShelf for CryptoCloudSimulator {
    type Order = CloudInvoice;
    const PROVIDER: SimulatedProvider = SimulatedProvider::CryptoCloud;
    const SAMPLE: &'static SampleShop = &super::SAMPLE;
    const WORDS: &'static [&'static str] = &["created", "partial", "paid", "overpaid", "canceled"];

    fn core(&self) -> &SandboxCore {
        &self.core
    }

    fn shelf(&self) -> &RwLock<Shelf<CloudInvoice>> {
        &self.shelf
    }

    fn view(&self, order: &CloudInvoice, now: Moment) -> OrderView {
        let ends_partial = self.core.has(Variant::CryptoCloudPartialCanceled);
        let (status, state) = order.status(now, ends_partial);
        let mut details = Map::new();
        details.insert("object".into(), wire::listed(&self.core, order, now));
        OrderView {
            provider: Self::PROVIDER,
            id: format!("INV-{}", order.uuid),
            external_id: order.terms.order_id.clone().unwrap_or_default(),
            status,
            state,
            amount: ViewedAmount {
                currency_code: order.terms.currency.clone(),
                amount: decimal::shortest(&order.terms.amount),
            },
            created_date_time: order.created,
            expiration_date_time: Some(order.expires),
            completed_date_time: order.finished(now),
            details,
        }
    }

    fn change(
        &self,
        order: &mut CloudInvoice,
        _: usize,
        action: &OrderAction,
        now: Moment,
    ) -> Result<(), ControlError> {
        order.change(action, now)
    }

    fn make(
        &self,
        stock: &mut Shelf<CloudInvoice>,
        batch: &OrderBatch,
        external_id: String,
        now: Moment,
    ) -> Result<(), CreateError> {
        let amount = decimal::positive(&batch.amount)
            .map_err(|error| CreateError::Invalid(format!("amount: {error}")))?;
        let currency = batch.currency.as_deref().unwrap_or("USD");
        if fiat_usd(currency).is_none() {
            let problem = format!("currency: {currency:?} is none that invoices are priced in");
            return Err(CreateError::Invalid(problem));
        }
        let seconds = u64::try_from(batch.timeout_seconds).unwrap_or_default();
        let terms = CloudTerms {
            amount,
            currency: currency.into(),
            order_id: Some(external_id.into()),
            email: String::new(),
            lasts: Duration::from_secs(seconds),
            coin: None,
        };
        self.put(stock, terms, now);
        Ok(())
    }
}
