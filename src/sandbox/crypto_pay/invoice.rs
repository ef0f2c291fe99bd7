//! One invoice: created, paid with the exact sum or not at all, expired, deleted.

use std::sync::Arc;

use bigdecimal::BigDecimal;

use super::market;
use crate::sandbox::decimal;
use crate::sandbox::moment::Moment;
use crate::sandbox::simulator::{ControlError, OrderAction, OrderTruth, SimulatedPayment};

/// The merchant's fee, in percent of the paid sum.
const FEE_PERCENT: u32 = 3;

/// The currency of the price.
#[derive(Debug, Clone)]
pub(super) enum InvoicePrice {
    Asset(String),
    Fiat { fiat: String, accepted: Vec<String> },
}

/// What the shop requested.
#[derive(Debug, Clone)]
pub(super) struct InvoiceTerms {
    pub price: InvoicePrice,
    pub amount: BigDecimal,
    pub swap_to: Option<String>,
    pub description: Option<String>,
    pub hidden_message: Option<String>,
    /// Holds the shop's own id of the order.
    pub payload: Option<Arc<str>>,
    pub button: Option<(String, String)>,
    pub allow_comments: bool,
    pub allow_anonymous: bool,
    /// In seconds; without it the invoice stays open forever.
    pub expires_in: Option<u32>,
}

/// The stored invoice.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct StoredInvoice {
    pub(super) id: u64,
    pub(super) hash: String,
    pub(super) terms: InvoiceTerms,
    pub(super) created: Moment,
    pub(super) expires: Option<Moment>,
    pub(super) payment: Option<InvoicePayment>,
    /// Expired early through the control API.
    pub(super) expired_early: bool,
    pub(super) deleted: bool,
}

/// The sum debited from the payer's balance.
#[derive(Debug, Clone)]
pub(super) struct InvoicePayment {
    pub asset: String,
    pub amount: BigDecimal,
    pub fee: BigDecimal,
    pub usd_rate: BigDecimal,
    /// One unit of the asset in the fiat currency of the price.
    pub fiat_rate: Option<BigDecimal>,
    pub swap: Option<InvoiceSwap>,
    pub at: Moment,
    pub anonymously: bool,
}

/// What the payment was exchanged for.
#[derive(Debug, Clone)]
pub(super) struct InvoiceSwap {
    pub uid: u64,
    pub to: String,
    pub rate: BigDecimal,
    pub output: BigDecimal,
    pub usd_rate: BigDecimal,
}

impl StoredInvoice {
    /// The provider's status; `deleted` is the sandbox's own.
    pub(super) fn status(&self, now: Moment) -> (&'static str, OrderTruth) {
        let expired = self.expired_early || self.expires.is_some_and(|at| now >= at);
        match (self.deleted, &self.payment) {
            (true, _) => ("deleted", OrderTruth::Deleted),
            (false, Some(_)) => ("paid", OrderTruth::Paid),
            (false, None) if expired => ("expired", OrderTruth::Expired),
            (false, None) => ("active", OrderTruth::Open),
        }
    }

    /// Applies an action of the control API.
    pub(super) fn change(
        &mut self,
        action: &OrderAction,
        now: Moment,
        rng: &mut fastrand::Rng,
    ) -> Result<(), ControlError> {
        match action {
            OrderAction::Pay(payment) => self.pay(payment, now, rng),
            OrderAction::Cancel(ending) => {
                self.must_be_open(action, ending.late, now)?;
                self.deleted = true;
                Ok(())
            }
            OrderAction::Expire(ending) => {
                self.must_be_open(action, ending.late, now)?;
                self.expired_early = true;
                self.payment = None;
                Ok(())
            }
            OrderAction::Refund(_) => Err(ControlError::Invalid(
                "Crypto Pay knows no refunds: a transfer by hand is unrelated to the invoice"
                    .into(),
            )),
        }
    }

    fn must_be_open(
        &self,
        action: &OrderAction,
        late: bool,
        now: Moment,
    ) -> Result<(), ControlError> {
        let (word, truth) = self.status(now);
        if truth == OrderTruth::Open || (late && truth != OrderTruth::Deleted) {
            return Ok(());
        }
        Err(ControlError::Ended {
            id: self.id.to_string(),
            wanted: action.participle(),
            why: format!("it is {word} already"),
        })
    }

    fn pay(
        &mut self,
        payment: &SimulatedPayment,
        now: Moment,
        rng: &mut fastrand::Rng,
    ) -> Result<(), ControlError> {
        let action = OrderAction::Pay(payment.clone());
        let late = payment.late && self.payment.is_none();
        self.must_be_open(&action, late, now)?;
        let made = match &self.terms.price {
            InvoicePrice::Asset(asset) => self.pay_asset(asset, payment, rng),
            InvoicePrice::Fiat { fiat, accepted } => self.pay_fiat(fiat, accepted, payment, rng),
        };
        let (asset, amount, usd_rate, fiat_rate) = made.map_err(ControlError::Invalid)?;
        let fee = decimal::rounded(&decimal::percent(&amount, FEE_PERCENT), 8);
        let swap = self.terms.swap_to.as_ref().filter(|to| **to != asset);
        let swap = swap.map(|to| swap_for(to, &amount, &usd_rate, rng));
        self.payment = Some(InvoicePayment {
            fee,
            swap,
            at: now.truncated(3),
            anonymously: self.terms.allow_anonymous && rng.u8(0..4) == 0,
            asset,
            amount,
            usd_rate,
            fiat_rate,
        });
        Ok(())
    }

    fn pay_asset(
        &self,
        asset: &str,
        payment: &SimulatedPayment,
        rng: &mut fastrand::Rng,
    ) -> Result<Paid, String> {
        let currency = payment.currency.as_deref().unwrap_or(asset);
        if currency != asset {
            return Err(format!("currency: {currency:?}; expected: {asset}"));
        }
        if let Some(text) = &payment.amount {
            self.must_be_exact(&self.terms.amount, text)?;
        }
        let rate = market::usd_rate(asset, rng);
        Ok((asset.to_owned(), self.terms.amount.clone(), rate, None))
    }

    fn pay_fiat(
        &self,
        fiat: &str,
        accepted: &[String],
        payment: &SimulatedPayment,
        rng: &mut fastrand::Rng,
    ) -> Result<Paid, String> {
        let usual = accepted.first().map_or("USDT", String::as_str);
        let asset = match payment.currency.as_deref() {
            None => usual,
            Some(code) if code == fiat => usual,
            Some(code) if market::is_asset(code) && accepted.iter().any(|it| it == code) => code,
            Some(code) => {
                return Err(format!(
                    "currency: {code:?}; expected: {}",
                    accepted.join(", ")
                ));
            }
        };
        let usd_rate = market::usd_rate(asset, rng);
        let fiat_rate = decimal::rounded(&(&usd_rate / market::usd_rate(fiat, rng)), 8);
        let digits = market::payment_digits(asset);
        let due = decimal::rounded(&(&self.terms.amount / &fiat_rate), digits);
        match payment.amount.as_deref() {
            None => {}
            Some(text) if payment.currency.as_deref() == Some(fiat) => {
                self.must_be_exact(&self.terms.amount, text)?;
            }
            Some(text) => {
                // The rate follows from the paid sum.
                let amount = decimal::positive(text).map_err(|error| format!("amount: {error}"))?;
                let rate = decimal::rounded(&(&self.terms.amount / &amount), 8);
                return Ok((asset.to_owned(), amount, usd_rate, Some(rate)));
            }
        }
        Ok((asset.to_owned(), due, usd_rate, Some(fiat_rate)))
    }

    /// The payer's balance is debited the exact sum: nothing partial, nothing extra.
    fn must_be_exact(&self, due: &BigDecimal, given: &str) -> Result<(), String> {
        let given = decimal::positive(given).map_err(|error| format!("amount: {error}"))?;
        if given == *due {
            return Ok(());
        }
        Err(format!(
            "amount: {}; Crypto Pay takes the exact sum of invoice {}: {}",
            decimal::shortest(&given),
            self.id,
            decimal::shortest(due)
        ))
    }
}

/// Asset, amount, its rate in US dollars and in the fiat currency of the price.
type Paid = (String, BigDecimal, BigDecimal, Option<BigDecimal>);

fn swap_for(
    to: &str,
    amount: &BigDecimal,
    usd_rate: &BigDecimal,
    rng: &mut fastrand::Rng,
) -> InvoiceSwap {
    let to_rate = market::usd_rate(to, rng);
    let rate = decimal::rounded(&(usd_rate / &to_rate), 8);
    InvoiceSwap {
        uid: rng.u64(1_000_000..9_999_999),
        to: to.to_owned(),
        output: decimal::rounded(&(amount * &rate), market::payment_digits(to)),
        usd_rate: to_rate,
        rate,
    }
}
