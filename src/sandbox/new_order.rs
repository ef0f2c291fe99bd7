//! An order that is made in the same process, not over HTTP, at the provider that knows all these fields.

/// The parameters of a creation. Texts are as they came: a repeat is the same only when it is byte-same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NewOrder {
    pub external_id: String,
    pub amount: String,
    pub currency: String,
    pub description: String,
    /// Seconds, 30 to 864000.
    pub timeout_seconds: i64,
    pub customer_telegram_user_id: i64,
    pub auto_conversion_currency: Option<String>,
    pub return_url: Option<String>,
    pub fail_return_url: Option<String>,
    pub custom_data: Option<String>,
}

impl NewOrder {
    /// An order that nothing is wrong with, for an hour; change fields as needed.
    pub fn simple(external_id: impl Into<String>, amount: &str, currency: &str) -> NewOrder {
        NewOrder {
            external_id: external_id.into(),
            amount: amount.into(),
            currency: currency.into(),
            description: "Sandbox order".into(),
            timeout_seconds: 3600,
            customer_telegram_user_id: 1_000_001,
            auto_conversion_currency: None,
            return_url: None,
            fail_return_url: None,
            custom_data: None,
        }
    }
}
