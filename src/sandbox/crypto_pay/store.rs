//! The invoices of the simulated app, shared by all connections.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use serde_json::{Map, Value};

use super::invoice::{InvoicePrice, InvoiceTerms, StoredInvoice};
use super::market;
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

/// Other apps' invoices use numbers too, up to this many between two of ours.
const FOREIGN_MOST: u64 = 40;
const FIRST_ID: u64 = 828_000_000;

pub(in crate::sandbox) struct CryptoPaySimulator {
    pub(super) core: Arc<SandboxCore>,
    shelf: RwLock<Shelf<StoredInvoice>>,
}

impl CryptoPaySimulator {
    pub fn new(core: Arc<SandboxCore>) -> CryptoPaySimulator {
        CryptoPaySimulator {
            core,
            shelf: RwLock::new(Shelf::new()),
        }
    }

    /// Creates an invoice and returns it.
    pub(super) fn create(&self, terms: InvoiceTerms) -> Value {
        let mut stock = write(&self.shelf);
        let now = self.core.now();
        wire::invoice(&self.core, self.put(&mut stock, terms, now), now)
    }

    /// Gives `read` access to all invoices, oldest first, at one moment.
    pub(super) fn see<T>(&self, show: impl FnOnce(&Shelf<StoredInvoice>, Moment) -> T) -> T {
        let stock = read(&self.shelf);
        show(&stock, self.core.now())
    }

    /// Deletes an invoice that is not paid. `false` if there is none with that id.
    pub(super) fn delete(&self, id: &str) -> bool {
        let mut stock = write(&self.shelf);
        let found = stock.get_mut(id);
        let found = found.filter(|invoice| !invoice.deleted && invoice.payment.is_none());
        found.is_some_and(|invoice| {
            invoice.deleted = true;
            true
        })
    }

    fn put<'a>(
        &self,
        stock: &'a mut Shelf<StoredInvoice>,
        terms: InvoiceTerms,
        now: Moment,
    ) -> &'a StoredInvoice {
        let mut rng = self.core.rng(stock.all().len() as u64);
        let before_first = || self.core.first_number(FIRST_ID);
        let last = stock
            .all()
            .last()
            .map_or_else(before_first, |invoice| invoice.id);
        let id = last + rng.u64(1..=FOREIGN_MOST);
        let created = now.truncated(3);
        // The service counts from a moment 2 or 3 ms before `created_at`.
        let lag = Duration::from_millis(rng.u64(2..=3));
        let lasts = |seconds| {
            created
                .plus(Duration::from_secs(u64::from(seconds)))
                .minus(lag)
        };
        let hash: String = (0..10).map(|_| rng.alphanumeric()).collect();
        let payload = terms.payload.clone().unwrap_or_default();
        let invoice = StoredInvoice {
            id,
            hash: format!("IV{hash}"),
            created,
            expires: terms.expires_in.map(lasts),
            terms,
            payment: None,
            expired_early: false,
            deleted: false,
        };
        stock.put(id.to_string(), &payload, invoice)
    }
}

impl OrderShelf for CryptoPaySimulator {
    type Order = StoredInvoice;
    const PROVIDER: SimulatedProvider = SimulatedProvider::CryptoPay;
    const SAMPLE: &'static SampleShop = &super::SAMPLE;
    const WORDS: &'static [&'static str] = &["active", "paid", "expired", "deleted"];

    fn core(&self) -> &SandboxCore {
        &self.core
    }

    fn shelf(&self) -> &RwLock<Shelf<StoredInvoice>> {
        &self.shelf
    }

    fn view(&self, order: &StoredInvoice, now: Moment) -> OrderView {
        let (status, state) = order.status(now);
        let mut details = Map::new();
        details.insert("object".into(), wire::invoice(&self.core, order, now));
        OrderView {
            provider: Self::PROVIDER,
            id: order.id.to_string(),
            external_id: order.terms.payload.clone().unwrap_or_default(),
            status,
            state,
            amount: ViewedAmount {
                currency_code: match &order.terms.price {
                    InvoicePrice::Asset(code) | InvoicePrice::Fiat { fiat: code, .. } => {
                        code.clone()
                    }
                },
                amount: decimal::shortest(&order.terms.amount),
            },
            created_date_time: order.created,
            expiration_date_time: order.expires,
            completed_date_time: order.payment.as_ref().map(|payment| payment.at),
            details,
        }
    }

    fn change(
        &self,
        order: &mut StoredInvoice,
        place: usize,
        action: &OrderAction,
        now: Moment,
    ) -> Result<(), ControlError> {
        // Another stream than the one for creating the invoice.
        order.change(action, now, &mut self.core.rng(place as u64 ^ (1 << 63)))
    }

    fn make(
        &self,
        stock: &mut Shelf<StoredInvoice>,
        batch: &OrderBatch,
        external_id: String,
        now: Moment,
    ) -> Result<(), CreateError> {
        let invalid =
            |what: &str, problem: String| CreateError::Invalid(format!("{what}: {problem}"));
        let amount = decimal::positive(&batch.amount).map_err(|error| invalid("amount", error))?;
        let code = batch.currency.clone().unwrap_or_else(|| "USDT".into());
        let price = if market::is_asset(&code) {
            InvoicePrice::Asset(code)
        } else if market::is_fiat(&code) {
            let accepted = market::assets().map(str::to_owned).collect();
            InvoicePrice::Fiat {
                fiat: code,
                accepted,
            }
        } else {
            return Err(invalid("currency", format!("{code:?} is not dealt in")));
        };
        let expires_in = u32::try_from(batch.timeout_seconds);
        let expires_in =
            expires_in.map_err(|error| invalid("timeoutSeconds", error.to_string()))?;
        let terms = InvoiceTerms {
            price,
            amount,
            swap_to: None,
            description: Some("Sandbox order".into()),
            hidden_message: None,
            payload: Some(external_id.into()),
            button: None,
            allow_comments: true,
            allow_anonymous: true,
            expires_in: Some(expires_in),
        };
        self.put(stock, terms, now);
        Ok(())
    }
}
