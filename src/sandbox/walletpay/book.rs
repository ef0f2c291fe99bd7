//! All orders of the simulated store, oldest first, and their rules.
//!
//! Pure: the time is a parameter, and everything random about the n-th order follows from the seed
//! and n.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::money::{PaymentOption, WalletPayCurrency, WalletPayMoney};
use super::order::{OrderEnd, WalletPayOrder, WalletPayStatus};
use crate::sandbox::moment::Moment;
use crate::sandbox::new_order::NewOrder;
use crate::sandbox::simulator::{ControlError, CreateError, SimulatedPayment};

pub(super) struct OrderBook {
    seed: u64,
    orders: Vec<WalletPayOrder>,
    by_id: HashMap<u64, u32>,
    by_external_id: HashMap<Arc<str>, u32>,
}

impl OrderBook {
    pub fn new(seed: u64) -> OrderBook {
        OrderBook {
            seed,
            orders: Vec::new(),
            by_id: HashMap::new(),
            by_external_id: HashMap::new(),
        }
    }

    /// Oldest first.
    pub fn orders(&self) -> &[WalletPayOrder] {
        &self.orders
    }

    pub fn by_id(&self, id: &str) -> Option<&WalletPayOrder> {
        // Only the exact form: "+5" and "05" are not the id "5".
        let number: u64 = id.parse().ok()?;
        let place = *self.by_id.get(&number)?;
        (number.to_string() == id).then(|| &self.orders[place as usize])
    }

    /// By id, else by external id.
    pub fn find(&self, reference: &str) -> Option<&WalletPayOrder> {
        self.by_id(reference).or_else(|| {
            self.by_external_id
                .get(reference)
                .map(|place| &self.orders[*place as usize])
        })
    }

    /// Creates the order, or finds the existing one with the same parameters (`true`).
    pub fn create(
        &mut self,
        new: &NewOrder,
        now: Moment,
    ) -> Result<(&WalletPayOrder, bool), CreateError> {
        let checked = new.check().map_err(CreateError::Invalid)?;
        let fingerprint = new.fingerprint();
        if let Some(place) = self.by_external_id.get(new.external_id.as_str()) {
            let known = &self.orders[*place as usize];
            return if known.fingerprint == fingerprint {
                Ok((known, true))
            } else {
                Err(CreateError::Conflict(new.external_id.clone()))
            };
        }
        let place = u32::try_from(self.orders.len())
            .map_err(|_| CreateError::Invalid("the sandbox is full".into()))?;
        let mut rng = self.rng(u64::from(place));
        let created = self.creation_time(now, &mut rng);
        let timeout = Duration::from_secs(u64::try_from(new.timeout_seconds).unwrap_or_default());
        let external_id: Arc<str> = new.external_id.as_str().into();
        let id = self.fresh_id(&mut rng);
        self.by_id.insert(id, place);
        self.by_external_id.insert(Arc::clone(&external_id), place);
        self.orders.push(WalletPayOrder {
            id,
            external_id,
            fingerprint,
            amount: checked.amount,
            auto_conversion: checked.auto_conversion,
            customer_telegram_user_id: new.customer_telegram_user_id,
            created,
            expires: created.plus(timeout),
            sweep_delay_ms: rng.u16(20..=1500),
            ended: None,
        });
        Ok((&self.orders[place as usize], false))
    }

    /// The payer pays.
    pub fn pay(
        &mut self,
        reference: &str,
        payment: &SimulatedPayment,
        now: Moment,
    ) -> Result<&WalletPayOrder, ControlError> {
        let place = self.place(reference)?;
        let order = &self.orders[place];
        let (status, _) = order.status(now);
        let refused = |why| {
            Err(ControlError::Ended {
                id: order.id.to_string(),
                wanted: "paid",
                why,
            })
        };
        match status {
            WalletPayStatus::Paid => return refused("it is PAID already".into()),
            // A payment after the end needs no flag: testing that is what a sandbox is for.
            WalletPayStatus::Active | WalletPayStatus::Expired | WalletPayStatus::Cancelled => {}
        }
        // Another stream than the one for creating the order, or rates would depend on ids.
        let mut rng = self.rng(place as u64 ^ (1 << 63));
        let option = settle(order, payment, &mut rng).map_err(ControlError::Invalid)?;
        Ok(self.end(place, OrderEnd::Paid(Box::new(option)), now))
    }

    /// Cancels the order. `late` allows it for an order that has ended, even a paid one.
    pub fn cancel(
        &mut self,
        reference: &str,
        late: bool,
        now: Moment,
    ) -> Result<&WalletPayOrder, ControlError> {
        let place = self.may_end(reference, "cancelled", late, now)?;
        Ok(self.end(place, OrderEnd::Cancelled, now))
    }

    /// Expires the order early; `expirationDateTime` stays. `late` as in [`OrderBook::cancel`].
    pub fn expire(
        &mut self,
        reference: &str,
        late: bool,
        now: Moment,
    ) -> Result<&WalletPayOrder, ControlError> {
        let place = self.may_end(reference, "expired", late, now)?;
        Ok(self.end(place, OrderEnd::Expired, now))
    }

    fn place(&self, reference: &str) -> Result<usize, ControlError> {
        let order = self
            .find(reference)
            .ok_or_else(|| ControlError::Unknown(reference.into()))?;
        Ok(self.by_id[&order.id] as usize)
    }

    fn may_end(
        &self,
        reference: &str,
        wanted: &'static str,
        late: bool,
        now: Moment,
    ) -> Result<usize, ControlError> {
        let place = self.place(reference)?;
        let order = &self.orders[place];
        match order.status(now).0 {
            WalletPayStatus::Active => Ok(place),
            WalletPayStatus::Paid | WalletPayStatus::Expired | WalletPayStatus::Cancelled
                if late =>
            {
                Ok(place)
            }
            ended @ (WalletPayStatus::Paid
            | WalletPayStatus::Expired
            | WalletPayStatus::Cancelled) => Err(ControlError::Ended {
                id: order.id.to_string(),
                wanted,
                why: ended_as(ended, "change"),
            }),
        }
    }

    fn end(&mut self, place: usize, end: OrderEnd, now: Moment) -> &WalletPayOrder {
        let order = &mut self.orders[place];
        order.ended = Some((end, now));
        order
    }

    fn rng(&self, stream: u64) -> fastrand::Rng {
        // Neighbouring seeds would give related numbers; the odd multiplier spreads them.
        fastrand::Rng::with_seed(
            self.seed ^ stream.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15),
        )
    }

    /// Above 2^53 and odd, so that a 64-bit float corrupts every one; in no order of time.
    fn fresh_id(&self, rng: &mut fastrand::Rng) -> u64 {
        loop {
            let id = rng.u64((1 << 53) + 1..(1 << 56)) | 1;
            if !self.by_id.contains_key(&id) {
                return id;
            }
        }
    }

    /// `now` with a random precision, yet never before the previous order: the list ascends.
    fn creation_time(&self, now: Moment, rng: &mut fastrand::Rng) -> Moment {
        let Some(last) = self.orders.last().map(|order| order.created) else {
            return now.truncated([0, 3, 6, 9][rng.usize(0..4)]);
        };
        let drawn = rng.usize(0..4);
        let finer = [0, 3, 6, 9]
            .into_iter()
            .skip(drawn)
            .map(|digits| now.truncated(digits));
        finer
            .into_iter()
            .find(|moment| *moment >= last)
            .unwrap_or(last)
    }
}

fn ended_as(status: WalletPayStatus, what: &str) -> String {
    format!(
        "it is {} already; \"late\": true forces a {what}",
        status.word()
    )
}

fn settle(
    order: &WalletPayOrder,
    payment: &SimulatedPayment,
    rng: &mut fastrand::Rng,
) -> Result<PaymentOption, String> {
    let mut usual = || match order.auto_conversion {
        Some(currency) => currency,
        None if order.amount.currency.is_crypto() => order.amount.currency,
        None => [
            WalletPayCurrency::Ton,
            WalletPayCurrency::Usdt,
            WalletPayCurrency::Btc,
        ][rng.usize(0..3)],
    };
    let currency = match &payment.currency {
        Some(code) => {
            WalletPayCurrency::parse(code).map_err(|error| format!("currency: {error}"))?
        }
        None => usual(),
    };
    match &payment.amount {
        Some(text) => {
            let paid = WalletPayMoney::parse(text, currency)
                .map_err(|error| format!("amount: {error}"))?;
            Ok(PaymentOption::of_amount(order.amount, paid))
        }
        None => PaymentOption::at_market(order.amount, currency, rng),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Moment = Moment::from_nanos(1_700_000_000_123_456_789);

    fn later(seconds: u64) -> Moment {
        START.plus(Duration::from_secs(seconds))
    }

    fn book_of(count: usize) -> OrderBook {
        let mut book = OrderBook::new(42);
        for n in 0..count {
            let now = START.plus(Duration::from_micros(n as u64 * 777));
            book.create(&NewOrder::simple(format!("ORD-{n}"), "1.00", "USD"), now)
                .unwrap();
        }
        book
    }

    #[test]
    fn ids_exceed_floats_and_are_out_of_order() {
        let book = book_of(2000);
        let ids: Vec<u64> = book.orders().iter().map(|order| order.id).collect();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the loss is the point"
        )]
        let broken = ids.iter().filter(|id| **id as f64 as u64 != **id).count();
        assert_eq!(broken, ids.len());
        assert!(!ids.is_sorted());
        assert!(book.orders().is_sorted_by_key(|order| order.created));
        let lengths: std::collections::BTreeSet<usize> = book
            .orders()
            .iter()
            .map(|order| order.created.to_string().len())
            .collect();
        assert!(lengths.len() >= 3, "{lengths:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_orders() {
        let ids = |book: &OrderBook| {
            book.orders()
                .iter()
                .map(|order| order.id)
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(&book_of(50)), ids(&book_of(50)));
    }

    #[test]
    fn repeats_are_already_and_changes_conflict() {
        let mut book = book_of(1);
        let mut again = NewOrder::simple("ORD-0", "1.00", "USD");
        assert!(book.create(&again, later(5)).unwrap().1);
        again.timeout_seconds = 60;
        assert_eq!(
            book.create(&again, later(5)).unwrap_err(),
            CreateError::Conflict("ORD-0".into())
        );
        assert_eq!(book.orders().len(), 1);
    }

    #[test]
    fn an_order_expires_a_little_late_and_permanently() {
        let book = book_of(1);
        let order = &book.orders()[0];
        assert_eq!(order.status(order.expires).0, WalletPayStatus::Active);
        let (status, at) = order.status(order.expires.plus(Duration::from_secs(2)));
        assert_eq!(status, WalletPayStatus::Expired);
        assert!(at.unwrap() > order.expires);
        assert_eq!(
            order.status(later(1_000_000)).1,
            at,
            "the moment of expiry does not depend on the time of reading"
        );
    }

    #[test]
    fn money_comes_late_but_never_twice() {
        let mut book = book_of(2);
        let pay = SimulatedPayment::default();
        book.expire("ORD-0", false, later(1)).unwrap();
        assert!(book.cancel("ORD-0", false, later(2)).is_err());
        assert_eq!(
            book.pay("ORD-0", &pay, later(3)).unwrap().status(later(3)),
            (WalletPayStatus::Paid, Some(later(3)))
        );
        assert!(
            book.pay("ORD-0", &pay, later(4)).is_err(),
            "never paid twice"
        );

        let in_sweep = book.orders()[1].expires;
        assert!(book.pay("ORD-1", &pay, in_sweep).is_ok());
        assert!(matches!(
            book.pay("nobody", &pay, START),
            Err(ControlError::Unknown(_))
        ));
    }

    #[test]
    fn a_payer_may_choose_currency_and_amount() {
        let mut book = book_of(2);
        let chosen = SimulatedPayment {
            currency: Some("TON".into()),
            amount: Some("0.069848094".into()),
            ..SimulatedPayment::default()
        };
        let paid = book
            .pay("ORD-0", &chosen, later(1))
            .unwrap()
            .payment()
            .unwrap()
            .clone();
        assert_eq!(
            (paid.amount.to_string().as_str(), &*paid.exchange_rate),
            ("0.069848094", "0.069848094")
        );
        let wrong = SimulatedPayment {
            currency: Some("USDT".into()),
            amount: Some("1.0000001".into()),
            ..SimulatedPayment::default()
        };
        assert!(matches!(
            book.pay("ORD-1", &wrong, later(1)),
            Err(ControlError::Invalid(_))
        ));
    }

    #[test]
    fn only_the_printed_form_of_an_id_finds_it() {
        let book = book_of(1);
        let id = book.orders()[0].id.to_string();
        assert!(book.by_id(&id).is_some());
        assert!(book.by_id(&format!("0{id}")).is_none());
        assert!(book.by_id(&format!("+{id}")).is_none());
        assert!(book.find("ORD-0").is_some());
    }
}
