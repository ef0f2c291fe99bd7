//! One movement of Stars, and its format in the Bot API: without a sign, with a partner.

use serde_json::{Map, Value, json};

use crate::sandbox::ledger::TransactionView;
use crate::sandbox::moment::Moment;
use crate::sandbox::operation::SimulatedProvider;

/// The only period, in seconds.
const SUBSCRIPTION_PERIOD: u32 = 2_592_000;
/// An affiliate's share in percent.
const AFFILIATE_PERCENT: u64 = 10;

/// The kinds that the control API accepts.
pub(super) const KINDS: [&str; 11] = [
    "invoice_payment",
    "subscription",
    "affiliate",
    "paid_media_payment",
    "affiliate_program",
    "fragment",
    "telegram_ads",
    "telegram_api",
    "other",
    "unknown",
    "hidden",
];

#[derive(Debug, Clone)]
pub(super) struct StarEntry {
    pub id: String,
    pub at: Moment,
    pub is_in: bool,
    /// Whole Stars and billionths, as the payer pays them.
    pub stars: u64,
    pub nanos: u32,
    pub kind: &'static str,
    pub payload: String,
    pub user: u64,
}

impl StarEntry {
    /// An amount in another currency: the server leaves it out, but counts it.
    pub fn is_hidden(&self) -> bool {
        self.kind == "hidden"
    }

    /// The share of the affiliate.
    fn affiliate_share(&self) -> u64 {
        if self.kind == "affiliate" {
            self.stars * AFFILIATE_PERCENT / 100
        } else {
            0
        }
    }

    pub fn shown_stars(&self) -> u64 {
        self.stars - self.affiliate_share()
    }

    /// The object `StarTransaction`.
    pub fn object(&self) -> Value {
        let mut object = Map::new();
        object.insert("id".into(), self.id.as_str().into());
        object.insert(
            "date".into(),
            self.at.nanos().div_euclid(1_000_000_000).into(),
        );
        let nothing = self.stars == 0 && self.nanos == 0;
        // A zero amount has a `receiver` as well.
        let side = if self.is_in && !nothing {
            "source"
        } else {
            "receiver"
        };
        object.insert(side.into(), self.partner());
        object.insert("amount".into(), self.shown_stars().into());
        if self.nanos > 0 {
            object.insert("nanostar_amount".into(), self.nanos.into());
        }
        Value::Object(object)
    }

    fn partner(&self) -> Value {
        match self.kind {
            "affiliate_program" => {
                json!({"type": "affiliate_program", "commission_per_mille": 100})
            }
            "fragment" => json!({"type": "fragment", "withdrawal_state": {"type": "pending"}}),
            "telegram_ads" => json!({"type": "telegram_ads"}),
            "telegram_api" => json!({"type": "telegram_api", "request_count": 5000}),
            "other" => json!({"type": "other"}),
            "unknown" => json!({"type": "martian", "spaceship": {"id": 7}}),
            _ => self.user(),
        }
    }

    fn user(&self) -> Value {
        let media = self.kind == "paid_media_payment";
        let word = if media {
            "paid_media_payment"
        } else {
            "invoice_payment"
        };
        let mut partner = json!({
            "transaction_type": word,
            "type": "user",
            "user": {"id": self.user, "is_bot": false, "first_name": "Payer"},
        });
        if !self.payload.is_empty() {
            let field = if media {
                "paid_media_payload"
            } else {
                "invoice_payload"
            };
            partner[field] = self.payload.as_str().into();
        }
        if media {
            partner["paid_media"] = json!([{"type": "preview", "width": 640, "height": 480}]);
        }
        if self.kind == "subscription" {
            partner["subscription_period"] = SUBSCRIPTION_PERIOD.into();
        }
        if self.kind == "affiliate" {
            partner["affiliate"] = json!({
                "affiliate_user": {"id": 987_654_321, "is_bot": false, "first_name": "Friend"},
                "commission_per_mille": AFFILIATE_PERCENT * 10,
                "amount": self.affiliate_share(),
            });
        }
        partner
    }

    pub fn view(&self) -> TransactionView {
        let text = |stars: u64| match self.nanos {
            0 => stars.to_string(),
            nanos => format!("{stars}.{nanos:09}"),
        };
        TransactionView {
            provider: SimulatedProvider::TelegramStars,
            transaction_id: self.id.clone(),
            external_id: self.payload.clone(),
            direction: if self.is_in { "in" } else { "out" },
            amount: text(self.stars),
            shown: text(self.shown_stars()),
            currency: "XTR",
            status: "success",
            date_time: self.at,
        }
    }
}
