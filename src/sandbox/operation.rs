//! The simulated providers, and the operations of each.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! providers {
    ($($provider:ident = $provider_name:literal at $paths:literal {
        $($operation:ident = $name:literal,)*
    })*) => {
        /// A simulated provider.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum SimulatedProvider {
            $($provider,)*
        }

        impl SimulatedProvider {
            pub const ALL: &'static [SimulatedProvider] = &[$(SimulatedProvider::$provider,)*];

            /// Its name in an account's configuration.
            pub const fn name(self) -> &'static str {
                match self {
                    $(SimulatedProvider::$provider => $provider_name,)*
                }
            }

            /// Where its API lies, for people.
            pub const fn paths(self) -> &'static str {
                match self {
                    $(SimulatedProvider::$provider => $paths,)*
                }
            }
        }

        /// One operation of a provider's API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Operation {
            $($($operation,)*)*
        }

        impl Operation {
            pub const ALL: &'static [Operation] = &[$($(Operation::$operation,)*)*];

            pub const fn provider(self) -> SimulatedProvider {
                match self {
                    $($(Operation::$operation => SimulatedProvider::$provider,)*)*
                }
            }

            /// Unique within its provider.
            pub const fn name(self) -> &'static str {
                match self {
                    $($(Operation::$operation => $name,)*)*
                }
            }
        }
    };
}

providers! {
    WalletPay = "walletpay" at "/wpay/store-api/v1/…" {
        Create = "create",
        Preview = "preview",
        List = "list",
        Amount = "amount",
    }
    CryptoPay = "crypto-pay" at "/api/…" {
        CryptoPayGetMe = "getMe",
        CryptoPayCreateInvoice = "createInvoice",
        CryptoPayDeleteInvoice = "deleteInvoice",
        CryptoPayGetInvoices = "getInvoices",
        CryptoPayGetStats = "getStats",
        CryptoPayGetBalance = "getBalance",
        CryptoPayGetCurrencies = "getCurrencies",
        CryptoPayUnknown = "unknown",
    }
    YooKassa = "yookassa" at "/v3/…" {
        YooKassaMe = "me",
        YooKassaCreatePayment = "create_payment",
        YooKassaGetPayment = "get_payment",
        YooKassaListPayments = "list_payments",
        YooKassaCapturePayment = "capture_payment",
        YooKassaCancelPayment = "cancel_payment",
        YooKassaCreateRefund = "create_refund",
        YooKassaGetRefund = "get_refund",
        YooKassaListRefunds = "list_refunds",
    }
    CryptoCloud = "cryptocloud" at "/v2/…" {
        CryptoCloudCreate = "create",
        CryptoCloudInfo = "info",
        CryptoCloudList = "list",
        CryptoCloudCancel = "canceled",
        CryptoCloudStatistics = "statistics",
        CryptoCloudBalance = "balance",
    }
    TelegramStars = "telegram-stars" at "/bot<token>/…" {
        StarsGetMe = "getMe",
        StarsGetTransactions = "getStarTransactions",
        StarsGetBalance = "getMyStarBalance",
        StarsCreateInvoiceLink = "createInvoiceLink",
        StarsRefundPayment = "refundStarPayment",
        StarsGetUpdates = "getUpdates",
        StarsUnknown = "unknown",
    }
    YooMoney = "yoomoney" at "/api/operation-history and others" {
        YooMoneyAccountInfo = "account-info",
        YooMoneyHistory = "operation-history",
        YooMoneyDetails = "operation-details",
    }
}

impl Operation {
    /// May read or write thousands of orders for one request.
    pub(super) const fn is_long(self) -> bool {
        matches!(
            self,
            Operation::List
                | Operation::CryptoPayGetInvoices
                | Operation::YooKassaListPayments
                | Operation::YooKassaListRefunds
                | Operation::CryptoCloudList
        )
    }

    /// The operations of `provider`.
    pub fn of(provider: SimulatedProvider) -> impl Iterator<Item = Operation> {
        let all = Operation::ALL.iter().copied();
        all.filter(move |operation| operation.provider() == provider)
    }
}

impl fmt::Display for SimulatedProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for SimulatedProvider {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl SimulatedProvider {
    /// The provider with that name, or an error with the accepted names.
    pub fn parse(name: &str) -> Result<SimulatedProvider, String> {
        let mut all = SimulatedProvider::ALL.iter().copied();
        all.find(|provider| provider.name() == name).ok_or_else(|| {
            let names: Vec<_> = SimulatedProvider::ALL.iter().map(|it| it.name()).collect();
            format!("{name:?}; expected: {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_provider_has_two_operations_of_one_name() {
        for provider in SimulatedProvider::ALL {
            let mut names: Vec<_> = Operation::of(*provider).map(Operation::name).collect();
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!((names.len(), all > 0), (all, true), "{provider}");
        }
    }
}
