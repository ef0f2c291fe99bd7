//! One payment: pending, held, succeeded, canceled. Ids contain the second of their creation.

use std::sync::Arc;
use std::time::Duration;

use bigdecimal::BigDecimal;
use serde_json::{Map, Value};

use crate::sandbox::decimal;
use crate::sandbox::moment::Moment;
use crate::sandbox::simulator::{
    ControlError, OrderAction, OrderEnding, OrderTruth, SimulatedPayment,
};

/// An unconfirmed payment is canceled after this time, the term of bank cards.
const CONFIRMED_WITHIN: Duration = Duration::from_hours(1);
/// Money is held for this time, the term of bank cards.
const CAPTURED_WITHIN: Duration = Duration::from_hours(7 * 24);
/// The year 2000 at noon, UTC: ids count seconds from here.
const ID_EPOCH_S: i64 = 946_728_000;

/// The kind of object that an id belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) enum ObjectKind {
    Payment,
    Refund,
}

/// `2f3b588d-000f-5000-8000-1d6e87c7fbde`.
pub(super) fn id_of(kind: ObjectKind, created: Moment, rng: &mut fastrand::Rng) -> String {
    let seconds = created.nanos().div_euclid(1_000_000_000) - ID_EPOCH_S;
    let (kind, node) = match kind {
        ObjectKind::Payment => ("000f", "8000"),
        ObjectKind::Refund => ("0015", "9000"),
    };
    let tail = rng.u64(0..1 << 48);
    format!("{:08x}-{kind}-5000-{node}-{tail:012x}", seconds.max(0))
}

/// What the shop requested.
#[derive(Debug, Clone)]
pub(super) struct PaymentTerms {
    pub amount: BigDecimal,
    pub currency: String,
    pub capture: bool,
    pub description: Option<String>,
    pub metadata: Map<String, Value>,
    /// As requested: `type` and `return_url`.
    pub confirmation: Map<String, Value>,
    /// Chosen by the shop, else by the payer on the page.
    pub method: Option<String>,
}

impl PaymentTerms {
    /// The id by which the control API finds the payment.
    pub fn external_id(&self) -> Arc<str> {
        let names = ["external_id", "order_id", "orderId", "orderNumber"];
        let mut texts = names
            .iter()
            .filter_map(|name| self.metadata.get(*name)?.as_str());
        texts.next().unwrap_or_default().into()
    }
}

/// The progress of a payment.
#[derive(Debug, Clone)]
pub(super) enum PaymentCourse {
    Pending,
    Held { until: Moment },
    Succeeded { captured: Moment },
    Canceled { party: String, reason: String },
}

/// The stored payment.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct StoredPayment {
    pub(super) id: String,
    pub(super) terms: PaymentTerms,
    pub(super) external_id: Arc<str>,
    pub(super) shop: String,
    pub(super) test: bool,
    pub(super) created: Moment,
    /// How long after the end of a term the sweep cancels.
    pub(super) sweep_delay: Duration,
    pub(super) refunded: BigDecimal,
    pub(super) course: PaymentCourse,
}

impl StoredPayment {
    /// The progress at `now`: terms end by themselves.
    pub(super) fn course(&self, now: Moment) -> PaymentCourse {
        let (ends, reason) = match &self.course {
            PaymentCourse::Pending => (
                self.created.plus(CONFIRMED_WITHIN),
                "expired_on_confirmation",
            ),
            PaymentCourse::Held { until } => (*until, "expired_on_capture"),
            PaymentCourse::Succeeded { .. } | PaymentCourse::Canceled { .. } => {
                return self.course.clone();
            }
        };
        if now < ends.plus(self.sweep_delay) {
            return self.course.clone();
        }
        canceled("yoo_money", reason)
    }

    pub(super) fn change(&mut self, action: &OrderAction, now: Moment) -> Result<(), ControlError> {
        let refused = match action {
            OrderAction::Pay(payment) => self.pay(payment, now),
            OrderAction::Cancel(ending) => {
                let party = ending.party.as_deref().unwrap_or("merchant");
                let reason = ending.reason.as_deref().unwrap_or("canceled_by_merchant");
                self.end(ending, party, reason, now)
            }
            OrderAction::Expire(ending) => {
                let reason = match self.course(now) {
                    PaymentCourse::Held { .. } => "expired_on_capture",
                    PaymentCourse::Pending
                    | PaymentCourse::Succeeded { .. }
                    | PaymentCourse::Canceled { .. } => "expired_on_confirmation",
                };
                self.end(ending, "yoo_money", reason, now)
            }
            // Done by the store: a refund is a separate object.
            OrderAction::Refund(_) => Ok(()),
        };
        refused.map_err(|why| self.refusal(action, why))
    }

    pub(super) fn refusal(&self, action: &OrderAction, why: PaymentRefusal) -> ControlError {
        match why {
            PaymentRefusal::Invalid(problem) => ControlError::Invalid(problem),
            PaymentRefusal::Course(word) => ControlError::Ended {
                id: self.id.clone(),
                wanted: action.participle(),
                why: format!("it is {word}"),
            },
        }
    }

    fn pay(&mut self, payment: &SimulatedPayment, now: Moment) -> Result<(), PaymentRefusal> {
        let course = self.course(now);
        match course {
            PaymentCourse::Pending => self.must_be_exact(payment)?,
            PaymentCourse::Held { .. } => return self.capture(payment.amount.as_deref(), now),
            PaymentCourse::Canceled { .. } if payment.late => self.must_be_exact(payment)?,
            PaymentCourse::Canceled { .. } | PaymentCourse::Succeeded { .. } => {
                return Err(PaymentRefusal::Course(word(&course)));
            }
        }
        self.terms.method.get_or_insert_with(|| "bank_card".into());
        self.course = if payment.capture.unwrap_or(self.terms.capture) {
            PaymentCourse::Succeeded {
                captured: now.truncated(3),
            }
        } else {
            PaymentCourse::Held {
                until: now.truncated(3).plus(CAPTURED_WITHIN),
            }
        };
        Ok(())
    }

    /// Captures the held money, or a part of it: the rest is returned to the payer.
    pub(super) fn capture(
        &mut self,
        amount: Option<&str>,
        now: Moment,
    ) -> Result<(), PaymentRefusal> {
        let course = self.course(now);
        let PaymentCourse::Held { .. } = course else {
            return Err(PaymentRefusal::Course(word(&course)));
        };
        if let Some(text) = amount {
            let amount = decimal::positive(text).map_err(PaymentRefusal::Invalid)?;
            if amount > self.terms.amount {
                let most = decimal::fixed(&self.terms.amount, 2);
                let problem = format!("amount: {text}; expected: up to {most}");
                return Err(PaymentRefusal::Invalid(problem));
            }
            self.terms.amount = amount;
        }
        self.course = PaymentCourse::Succeeded {
            captured: now.truncated(3),
        };
        Ok(())
    }

    /// Returns held money to the payer.
    pub(super) fn cancel_held(&mut self, now: Moment) -> Result<(), PaymentRefusal> {
        let course = self.course(now);
        let PaymentCourse::Held { .. } = course else {
            return Err(PaymentRefusal::Course(word(&course)));
        };
        self.course = canceled("merchant", "canceled_by_merchant");
        Ok(())
    }

    fn end(
        &mut self,
        ending: &OrderEnding,
        party: &str,
        reason: &str,
        now: Moment,
    ) -> Result<(), PaymentRefusal> {
        let course = self.course(now);
        match course {
            PaymentCourse::Pending | PaymentCourse::Held { .. } => {}
            PaymentCourse::Succeeded { .. } | PaymentCourse::Canceled { .. } if ending.late => {}
            PaymentCourse::Succeeded { .. } | PaymentCourse::Canceled { .. } => {
                return Err(PaymentRefusal::Course(word(&course)));
            }
        }
        self.course = canceled(party, reason);
        Ok(())
    }

    /// YooKassa takes exactly the sum of the payment.
    fn must_be_exact(&self, payment: &SimulatedPayment) -> Result<(), PaymentRefusal> {
        let due = decimal::fixed(&self.terms.amount, 2);
        let refuse = |problem: String| Err(PaymentRefusal::Invalid(problem));
        if let Some(currency) = payment.currency.as_deref()
            && currency != self.terms.currency
        {
            return refuse(format!(
                "currency: {currency:?}; expected: {}",
                self.terms.currency
            ));
        }
        match payment.amount.as_deref().map(decimal::positive).transpose() {
            Ok(Some(given)) if given != self.terms.amount => refuse(format!(
                "amount: {}; YooKassa takes the exact sum of payment {}: {due}",
                decimal::shortest(&given),
                self.id
            )),
            Ok(_) => Ok(()),
            Err(problem) => refuse(format!("amount: {problem}")),
        }
    }

    /// The sum that can still be refunded, or why nothing can.
    pub(super) fn refundable(&self, now: Moment) -> Result<BigDecimal, PaymentRefusal> {
        let course = self.course(now);
        match course {
            PaymentCourse::Succeeded { .. } => Ok(&self.terms.amount - &self.refunded),
            PaymentCourse::Pending
            | PaymentCourse::Held { .. }
            | PaymentCourse::Canceled { .. } => Err(PaymentRefusal::Course(word(&course))),
        }
    }

    pub(super) fn truth(&self, now: Moment) -> OrderTruth {
        match self.course(now) {
            PaymentCourse::Pending => OrderTruth::Open,
            PaymentCourse::Held { .. } => OrderTruth::Held,
            PaymentCourse::Succeeded { .. } => OrderTruth::Paid,
            PaymentCourse::Canceled { reason, .. } if reason.starts_with("expired_") => {
                OrderTruth::Expired
            }
            PaymentCourse::Canceled { .. } => OrderTruth::Cancelled,
        }
    }
}

/// Why an action is not possible for a payment.
#[derive(Debug)]
pub(super) enum PaymentRefusal {
    Invalid(String),
    /// The payment's status does not allow it; the provider's status.
    Course(&'static str),
}

/// The status on the wire.
pub(super) fn word(course: &PaymentCourse) -> &'static str {
    match course {
        PaymentCourse::Pending => "pending",
        PaymentCourse::Held { .. } => "waiting_for_capture",
        PaymentCourse::Succeeded { .. } => "succeeded",
        PaymentCourse::Canceled { .. } => "canceled",
    }
}

fn canceled(party: &str, reason: &str) -> PaymentCourse {
    PaymentCourse::Canceled {
        party: party.into(),
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_carry_the_second_of_their_creation() {
        let mut rng = fastrand::Rng::with_seed(1);
        let dated = Moment::parse("2019-06-10T21:26:41.395Z").unwrap();
        assert!(
            id_of(ObjectKind::Payment, dated, &mut rng).starts_with("2490ded1-000f-5000-8000-")
        );
        let dated = Moment::parse("2025-02-10T00:14:05.555Z").unwrap();
        assert!(id_of(ObjectKind::Refund, dated, &mut rng).starts_with("2f3b588d-0015-5000-9000-"));
    }

    fn payment(capture: bool) -> StoredPayment {
        StoredPayment {
            id: "1".into(),
            terms: PaymentTerms {
                amount: "10.00".parse().unwrap(),
                currency: "RUB".into(),
                capture,
                description: None,
                metadata: Map::new(),
                confirmation: Map::new(),
                method: None,
            },
            external_id: "".into(),
            shop: "1".into(),
            test: false,
            created: Moment::from_nanos(0),
            sweep_delay: Duration::from_secs(3),
            refunded: 0.into(),
            course: PaymentCourse::Pending,
        }
    }

    #[test]
    fn terms_end_a_little_late_and_permanently() {
        let hour = Moment::from_nanos(0).plus(CONFIRMED_WITHIN);
        let pending = payment(true);
        assert_eq!(
            pending.truth(hour.plus(Duration::from_secs(2))),
            OrderTruth::Open
        );
        assert_eq!(
            pending.truth(hour.plus(Duration::from_secs(3))),
            OrderTruth::Expired
        );
        let mut held = payment(false);
        let pay = OrderAction::Pay(SimulatedPayment::default());
        held.change(&pay, hour).unwrap();
        assert_eq!(
            held.truth(hour.plus(Duration::from_hours(24))),
            OrderTruth::Held
        );
        let late = hour.plus(CAPTURED_WITHIN).plus(Duration::from_secs(4));
        assert_eq!(held.truth(late), OrderTruth::Expired);
        assert!(held.change(&pay, late).is_err());
    }
}
