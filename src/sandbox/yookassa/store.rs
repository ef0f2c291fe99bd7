//! Payments and refunds of the simulated shop, shared by all connections.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use bigdecimal::BigDecimal;
use serde_json::{Map, Value, json};

use super::idempotence::AnswerMemory;
use super::payment::{
    ObjectKind, PaymentCourse, PaymentRefusal, PaymentTerms, StoredPayment, id_of, word,
};
use super::refund::StoredRefund;
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

/// The creator of a payment, by the credentials.
#[derive(Debug, Clone)]
pub(super) struct ShopIdentity {
    pub shop: String,
    /// The secret of a test shop begins with `test_`.
    pub test: bool,
}

impl ShopIdentity {
    pub fn of(credentials: &str) -> ShopIdentity {
        let (shop, secret) = credentials.split_once(':').unwrap_or((credentials, ""));
        ShopIdentity {
            shop: shop.to_owned(),
            test: secret.starts_with("test_"),
        }
    }
}

pub(in crate::sandbox) struct YooKassaSimulator {
    pub(super) core: Arc<SandboxCore>,
    shelf: RwLock<Shelf<StoredPayment>>,
    /// Oldest first. Locked after the shelf, never before.
    refunds: RwLock<Vec<StoredRefund>>,
    pub(super) memory: RwLock<AnswerMemory>,
}

impl YooKassaSimulator {
    pub fn new(core: Arc<SandboxCore>) -> YooKassaSimulator {
        YooKassaSimulator {
            core,
            shelf: RwLock::new(Shelf::new()),
            refunds: RwLock::default(),
            memory: RwLock::default(),
        }
    }

    /// Creates a payment; returns it and its id.
    pub(super) fn create(&self, terms: PaymentTerms, by: &ShopIdentity) -> (Value, String) {
        let mut stock = write(&self.shelf);
        let now = self.core.now();
        let payment = self.put(&mut stock, terms, by, now);
        (wire::payment(payment, now), payment.id.clone())
    }

    /// Gives `show` access to one payment.
    pub(super) fn payment(&self, id: &str) -> Option<Value> {
        let stock = read(&self.shelf);
        let now = self.core.now();
        stock.get(id).map(|payment| wire::payment(payment, now))
    }

    /// Changes one payment; returns it afterwards.
    pub(super) fn alter(
        &self,
        id: &str,
        change: impl FnOnce(&mut StoredPayment, Moment) -> Result<(), PaymentRefusal>,
    ) -> Option<Result<Value, PaymentRefusal>> {
        let mut stock = write(&self.shelf);
        let now = self.core.now();
        let payment = stock.get_mut(id)?;
        let changed = change(payment, now);
        Some(changed.map(|()| wire::payment(payment, now)))
    }

    /// Gives `show` access to all payments, oldest first.
    pub(super) fn payments<T>(&self, show: impl FnOnce(&[StoredPayment], Moment) -> T) -> T {
        let stock = read(&self.shelf);
        show(stock.all(), self.core.now())
    }

    /// Gives `show` access to all refunds, oldest first.
    pub(super) fn refunds<T>(&self, show: impl FnOnce(&[StoredRefund]) -> T) -> T {
        show(&read(&self.refunds))
    }

    /// Refunds money; returns the refund and its id.
    pub(super) fn refund(
        &self,
        payment_id: &str,
        amount: Option<&BigDecimal>,
        description: Option<String>,
    ) -> Option<Result<(Value, String), PaymentRefusal>> {
        let mut stock = write(&self.shelf);
        let now = self.core.now();
        let payment = stock.get_mut(payment_id)?;
        let made = self.give_back(payment, amount, description, now);
        Some(made.map(|refund| (wire::refund(&refund), refund.id)))
    }

    fn give_back(
        &self,
        payment: &mut StoredPayment,
        amount: Option<&BigDecimal>,
        description: Option<String>,
        now: Moment,
    ) -> Result<StoredRefund, PaymentRefusal> {
        let left = payment.refundable(now)?;
        let amount = amount.unwrap_or(&left).clone();
        if amount > left || left == 0 {
            let (amount, left) = (decimal::fixed(&amount, 2), decimal::fixed(&left, 2));
            let problem = format!("amount: {amount}; {left} of the payment can go back");
            return Err(PaymentRefusal::Invalid(problem));
        }
        let mut refunds = write(&self.refunds);
        let mut rng = self.core.rng(refunds.len() as u64 ^ (1 << 62));
        let created = now.truncated(3);
        let refund = StoredRefund {
            id: id_of(ObjectKind::Refund, created, &mut rng),
            payment_id: payment.id.clone(),
            currency: payment.terms.currency.clone(),
            description,
            created,
            amount,
        };
        payment.refunded += &refund.amount;
        refunds.push(refund.clone());
        Ok(refund)
    }

    fn put<'a>(
        &self,
        stock: &'a mut Shelf<StoredPayment>,
        terms: PaymentTerms,
        by: &ShopIdentity,
        now: Moment,
    ) -> &'a StoredPayment {
        let mut rng = self.core.rng(stock.all().len() as u64);
        let created = now.truncated(3);
        let external_id = terms.external_id();
        let payment = StoredPayment {
            id: id_of(ObjectKind::Payment, created, &mut rng),
            external_id: Arc::clone(&external_id),
            shop: by.shop.clone(),
            test: by.test,
            created,
            sweep_delay: Duration::from_millis(rng.u64(500..5_000)),
            refunded: BigDecimal::from(0),
            course: PaymentCourse::Pending,
            terms,
        };
        stock.put(payment.id.clone(), &external_id, payment)
    }
}

impl OrderShelf for YooKassaSimulator {
    type Order = StoredPayment;
    const PROVIDER: SimulatedProvider = SimulatedProvider::YooKassa;
    const SAMPLE: &'static SampleShop = &super::SAMPLE;
    const WORDS: &'static [&'static str] =
        &["pending", "waiting_for_capture", "succeeded", "canceled"];

    fn core(&self) -> &SandboxCore {
        &self.core
    }

    fn shelf(&self) -> &RwLock<Shelf<StoredPayment>> {
        &self.shelf
    }

    fn view(&self, order: &StoredPayment, now: Moment) -> OrderView {
        let course = order.course(now);
        let mut details = Map::new();
        details.insert("object".into(), wire::payment(order, now));
        OrderView {
            provider: Self::PROVIDER,
            id: order.id.clone(),
            external_id: Arc::clone(&order.external_id),
            status: word(&course),
            state: order.truth(now),
            amount: ViewedAmount {
                currency_code: order.terms.currency.clone(),
                amount: decimal::fixed(&order.terms.amount, 2),
            },
            created_date_time: order.created,
            expiration_date_time: None,
            completed_date_time: match course {
                PaymentCourse::Succeeded { captured } => Some(captured),
                PaymentCourse::Pending
                | PaymentCourse::Held { .. }
                | PaymentCourse::Canceled { .. } => None,
            },
            details,
        }
    }

    fn change(
        &self,
        order: &mut StoredPayment,
        _: usize,
        action: &OrderAction,
        now: Moment,
    ) -> Result<(), ControlError> {
        let OrderAction::Refund(refund) = action else {
            return order.change(action, now);
        };
        let amount = refund.amount.as_deref().map(decimal::positive).transpose();
        let amount = amount.map_err(|error| ControlError::Invalid(format!("amount: {error}")))?;
        let given = self.give_back(order, amount.as_ref(), None, now);
        given.map(drop).map_err(|why| order.refusal(action, why))
    }

    fn make(
        &self,
        stock: &mut Shelf<StoredPayment>,
        batch: &OrderBatch,
        external_id: String,
        now: Moment,
    ) -> Result<(), CreateError> {
        let invalid = |problem: String| CreateError::Invalid(problem);
        let amount = decimal::positive(&batch.amount)
            .map_err(|error| invalid(format!("amount: {error}")))?;
        let currency = batch.currency.as_deref().unwrap_or("RUB");
        if currency != "RUB" {
            return Err(invalid(format!("currency: {currency:?}; expected: RUB")));
        }
        let mut metadata = Map::new();
        metadata.insert("external_id".into(), external_id.into());
        let confirmation = json!({"type": "redirect", "return_url": "https://example.com/"});
        let terms = PaymentTerms {
            amount: decimal::rounded(&amount, 2),
            currency: currency.into(),
            capture: true,
            description: Some("Sandbox order".into()),
            metadata,
            confirmation: confirmation.as_object().cloned().unwrap_or_default(),
            method: None,
        };
        self.put(stock, terms, &ShopIdentity::of("100500:live"), now);
        Ok(())
    }
}
