//! Identifiers of accounts, invoices, orders and transactions. All are text except the row id.

use std::fmt;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub String);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

text_id! {
    /// Name of an account: one store at one provider, with one key.
    AccountName
}
text_id! {
    /// The shop's own id of an order, unique within the account.
    ExternalId
}
text_id! {
    /// The provider's id of an order. Always text: ids exceed 2^53.
    OrderId
}
text_id! {
    /// The provider's id of a transaction.
    TransactionId
}

/// Row id of an invoice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InvoiceId(pub i64);

impl fmt::Display for InvoiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}
