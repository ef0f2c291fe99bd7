//! One invoice: created, paid in parts or in excess, canceled by the shop or by a sweep after its
//! expiry.

use std::sync::Arc;
use std::time::Duration;

use bigdecimal::BigDecimal;

use super::coin::{COINS, CloudCoin, fiat_usd};
use crate::sandbox::decimal;
use crate::sandbox::moment::Moment;
use crate::sandbox::simulator::{
    ControlError, OrderAction, OrderEnding, OrderTruth, SimulatedPayment,
};

/// The service's fee, in thousandths of the sum paid for the invoice.
const SERVICE_FEE_PERMILLE: u32 = 19;

/// What the shop requested.
#[derive(Debug, Clone)]
pub(super) struct CloudTerms {
    pub amount: BigDecimal,
    pub currency: String,
    pub order_id: Option<Arc<str>>,
    pub email: String,
    pub lasts: Duration,
    /// A coin fixed by the shop.
    pub coin: Option<String>,
}

/// The stored invoice.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct CloudInvoice {
    /// Without its prefix.
    pub(super) uuid: String,
    pub(super) terms: CloudTerms,
    pub(super) created: Moment,
    pub(super) expires: Moment,
    /// How long after the expiry the sweep cancels it.
    pub(super) sweep_delay: Duration,
    pub(super) test: bool,
    /// Each payment, in the currency of the invoice, without the network's fee.
    pub(super) payments: Vec<(BigDecimal, Moment)>,
    /// The coin of the payments, or the fixed one.
    pub(super) coin: &'static str,
    /// The merchant accepted less than requested.
    pub(super) confirmed: bool,
    pub(super) canceled: Option<Moment>,
}

/// The sums of an invoice, in its coin.
pub(super) struct CloudFigures {
    pub coin: &'static CloudCoin,
    /// The requested sum without the network's fee.
    pub amount: BigDecimal,
    /// The network's fee, paid by the payer.
    pub fee: BigDecimal,
    pub service_fee: BigDecimal,
    pub paid: BigDecimal,
    pub received: BigDecimal,
    pub missing: BigDecimal,
}

impl CloudFigures {
    /// The dollar value of an amount in the coin.
    pub fn usd(&self, amount: &BigDecimal) -> BigDecimal {
        decimal::rounded(&(amount * self.coin.usd()), 2)
    }
}

impl CloudInvoice {
    /// `ends_partial`: the sweep also cancels a partly paid invoice.
    pub(super) fn status(&self, now: Moment, ends_partial: bool) -> (&'static str, OrderTruth) {
        let swept = now >= self.expires.plus(self.sweep_delay);
        let paid = self.paid();
        let nothing = paid == 0;
        if self.canceled.is_some() || (swept && nothing) {
            return ("canceled", self.end(now));
        }
        match paid.cmp(&self.terms.amount) {
            std::cmp::Ordering::Greater => ("overpaid", OrderTruth::Paid),
            std::cmp::Ordering::Equal => ("paid", OrderTruth::Paid),
            std::cmp::Ordering::Less if self.confirmed => ("paid", OrderTruth::Paid),
            std::cmp::Ordering::Less if nothing => ("created", OrderTruth::Open),
            std::cmp::Ordering::Less if swept && ends_partial => ("canceled", OrderTruth::Expired),
            std::cmp::Ordering::Less => ("partial", OrderTruth::Partial),
        }
    }

    /// Only the clock distinguishes a cancellation from an expiry.
    fn end(&self, now: Moment) -> OrderTruth {
        if self.canceled.unwrap_or(now) < self.expires {
            OrderTruth::Cancelled
        } else {
            OrderTruth::Expired
        }
    }

    fn paid(&self) -> BigDecimal {
        self.payments.iter().map(|(amount, _)| amount).sum()
    }

    /// When it ended, if it did.
    pub(super) fn finished(&self, now: Moment) -> Option<Moment> {
        let (_, truth) = self.status(now, false);
        match truth {
            OrderTruth::Paid => self.payments.last().map(|(_, at)| *at),
            OrderTruth::Expired | OrderTruth::Cancelled => {
                Some(self.canceled.unwrap_or(self.expires.plus(self.sweep_delay)))
            }
            OrderTruth::Open | OrderTruth::Partial | OrderTruth::Held | OrderTruth::Deleted => None,
        }
    }

    pub(super) fn coin(&self) -> &'static CloudCoin {
        CloudCoin::find(self.coin).unwrap_or(&COINS[0])
    }

    pub(super) fn figures(&self) -> CloudFigures {
        let coin = self.coin();
        let in_coin = |amount: &BigDecimal| decimal::rounded(&(amount * self.rate()), coin.digits);
        let fee = decimal::rounded(&(coin.fee_usd() / coin.usd()), coin.digits);
        let priced = in_coin(&self.paid());
        let share = BigDecimal::new(SERVICE_FEE_PERMILLE.into(), 3);
        let paid = if self.payments.is_empty() {
            BigDecimal::from(0)
        } else {
            &priced + &fee
        };
        let amount = in_coin(&self.terms.amount);
        let base = if self.payments.is_empty() {
            &amount
        } else {
            &priced
        };
        let service_fee = decimal::rounded(&(base * share), coin.digits);
        let received = if self.payments.is_empty() {
            BigDecimal::from(0)
        } else {
            &paid - &fee - &service_fee
        };
        let missing = (&amount - &priced).max(BigDecimal::from(0));
        CloudFigures {
            coin,
            missing: if self.payments.is_empty() {
                0.into()
            } else {
                missing
            },
            amount,
            fee,
            service_fee,
            paid,
            received,
        }
    }

    /// Coins per unit of the invoice's currency.
    fn rate(&self) -> BigDecimal {
        let fiat = fiat_usd(&self.terms.currency).unwrap_or_else(|| 1.into());
        fiat / self.coin().usd()
    }

    pub(super) fn change(&mut self, action: &OrderAction, now: Moment) -> Result<(), ControlError> {
        match action {
            OrderAction::Pay(payment) => self.pay(payment, now),
            OrderAction::Cancel(ending) => {
                self.must_be_open(action, ending, now)?;
                self.canceled = Some(now);
                Ok(())
            }
            OrderAction::Expire(ending) => {
                self.must_be_open(action, ending, now)?;
                // The status is the same as for a cancellation, so the expiry date must be in the
                // past.
                self.expires = self.expires.min(now);
                self.canceled = Some(now);
                Ok(())
            }
            OrderAction::Refund(_) => Err(ControlError::Invalid(
                "CryptoCloud knows no refunds: money goes back by hand, unseen".into(),
            )),
        }
    }

    fn must_be_open(
        &self,
        action: &OrderAction,
        ending: &OrderEnding,
        now: Moment,
    ) -> Result<(), ControlError> {
        let (word, truth) = self.status(now, false);
        match truth {
            OrderTruth::Open | OrderTruth::Partial => Ok(()),
            OrderTruth::Paid
            | OrderTruth::Expired
            | OrderTruth::Cancelled
            | OrderTruth::Held
            | OrderTruth::Deleted => {
                if ending.late {
                    return Ok(());
                }
                Err(self.refusal(action, word))
            }
        }
    }

    fn refusal(&self, action: &OrderAction, word: &str) -> ControlError {
        ControlError::Ended {
            id: format!("INV-{}", self.uuid),
            wanted: action.participle(),
            why: format!("it is {word} already"),
        }
    }

    fn pay(&mut self, payment: &SimulatedPayment, now: Moment) -> Result<(), ControlError> {
        let (word, truth) = self.status(now, false);
        let is_more = payment.amount.is_some();
        match truth {
            OrderTruth::Open | OrderTruth::Partial => {}
            // An excess payment is possible at any time.
            OrderTruth::Paid if is_more => {}
            OrderTruth::Expired | OrderTruth::Cancelled if payment.late => self.canceled = None,
            OrderTruth::Paid
            | OrderTruth::Expired
            | OrderTruth::Cancelled
            | OrderTruth::Held
            | OrderTruth::Deleted => {
                return Err(self.refusal(&OrderAction::Pay(payment.clone()), word));
            }
        }
        if payment.confirm && !is_more {
            self.confirmed = true;
            return Ok(());
        }
        let amount = self.priced(payment).map_err(ControlError::Invalid)?;
        self.payments.push((amount, now));
        self.confirmed |= payment.confirm;
        Ok(())
    }

    /// The payment in the invoice's currency; by default the whole remaining sum.
    fn priced(&mut self, payment: &SimulatedPayment) -> Result<BigDecimal, String> {
        let code = payment.currency.as_deref();
        let coin = code.and_then(CloudCoin::find);
        let code = code.filter(|code| *code != self.terms.currency);
        if let (Some(code), None) = (code, coin) {
            let coins: Vec<_> = COINS.iter().map(|coin| coin.fullcode).collect();
            let own = &self.terms.currency;
            return Err(format!(
                "currency: {code:?}; expected: {own}, {}",
                coins.join(", ")
            ));
        }
        if let Some(coin) = coin {
            self.coin = coin.fullcode;
        }
        let Some(text) = &payment.amount else {
            return Ok(&self.terms.amount - self.paid());
        };
        let amount = decimal::positive(text).map_err(|error| format!("amount: {error}"))?;
        Ok(match coin {
            Some(_) => decimal::rounded(&(amount / self.rate()), 6),
            None => amount,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invoice() -> CloudInvoice {
        CloudInvoice {
            uuid: "ABCD1234".into(),
            terms: CloudTerms {
                amount: 100.into(),
                currency: "USD".into(),
                order_id: None,
                email: String::new(),
                lasts: Duration::from_mins(1),
                coin: None,
            },
            created: Moment::from_nanos(0),
            expires: Moment::from_nanos(0).plus(Duration::from_mins(1)),
            sweep_delay: Duration::from_secs(5),
            test: false,
            payments: Vec::new(),
            coin: "USDT_TRC20",
            confirmed: false,
            canceled: None,
        }
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_nanos(0).plus(Duration::from_secs(seconds))
    }

    fn pay(invoice: &mut CloudInvoice, amount: &str) {
        let payment = SimulatedPayment {
            amount: (!amount.is_empty()).then(|| amount.into()),
            ..SimulatedPayment::default()
        };
        invoice.change(&OrderAction::Pay(payment), at(10)).unwrap();
    }

    #[test]
    fn the_received_sum_is_net_of_fees_and_adds_up() {
        let mut paid = invoice();
        pay(&mut paid, "");
        let figures = paid.figures();
        assert_eq!(paid.status(at(10), false).0, "paid");
        assert!(figures.received < figures.amount);
        assert_eq!(
            figures.received,
            &figures.paid - &figures.fee - &figures.service_fee
        );
        assert_eq!(decimal::shortest(&figures.paid), "101.4");
    }

    #[test]
    fn the_sweep_is_late_and_spares_partly_paid_invoices() {
        let unpaid = invoice();
        assert_eq!(unpaid.status(at(64), false).0, "created");
        assert_eq!(
            unpaid.status(at(65), false),
            ("canceled", OrderTruth::Expired)
        );
        let mut partial = invoice();
        pay(&mut partial, "40");
        assert_eq!(partial.status(at(1000), false).0, "partial");
        assert_eq!(partial.status(at(1000), true).0, "canceled");
        pay(&mut partial, "60.5");
        assert_eq!(partial.status(at(1000), true).0, "overpaid");
    }

    #[test]
    fn a_merchant_may_accept_less() {
        let mut partial = invoice();
        pay(&mut partial, "40");
        let confirm = SimulatedPayment {
            confirm: true,
            ..SimulatedPayment::default()
        };
        partial.change(&OrderAction::Pay(confirm), at(20)).unwrap();
        assert_eq!(partial.status(at(20), false).0, "paid");
        assert_eq!(decimal::shortest(&partial.figures().missing), "60");
    }
}
