//! An order created in the same process instead of over HTTP. The fields are those of one provider.

/// The parameters of a creation. Texts are kept as received: a repeat must have the same bytes.
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
    /// A valid order for one hour; change fields as needed.
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
