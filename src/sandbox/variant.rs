//! Behaviours that a provider's documentation leaves open, so that the sandbox can simulate either
//! one.

use std::str::FromStr;

macro_rules! variants {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal,)*) => {
        /// The second of two possible behaviours.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Variant {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Variant {
            pub const ALL: &'static [Variant] = &[$(Variant::$variant,)*];

            pub const fn name(self) -> &'static str {
                match self {
                    $(Variant::$variant => $name,)*
                }
            }

            /// What it changes, in one line.
            pub const fn help(self) -> &'static str {
                match self {
                    $(Variant::$variant => concat!($($doc),*),)*
                }
            }
        }
    };
}

variants! {
    /// Wallet Pay writes the id of a created order and of a preview as a number, not as text
    WalletPayNumberId = "walletpay-number-id",
    /// Crypto Pay writes fees as numbers, not as text
    CryptoPayNumberFees = "crypto-pay-number-fees",
    /// Crypto Pay refuses every token, as a network does with a token of the other one
    CryptoPayWrongNetwork = "crypto-pay-wrong-network",
    /// Crypto Pay is the testnet: bots and hosts of the links are those of the test network
    CryptoPayTestnet = "crypto-pay-testnet",
    /// Crypto Pay answers false, not an error, when an unknown invoice is deleted
    CryptoPayDeleteFalse = "crypto-pay-delete-false",
    /// YooKassa answers 400, not 404, about an unknown payment
    YooKassaNotFound400 = "yookassa-not-found-400",
    /// YooKassa's shop fiscalizes: a payment without a receipt is refused
    YooKassaReceiptRequired = "yookassa-receipt-required",
    /// YooKassa answers a repeated request with the object as it is now, not as it was first
    YooKassaRepeatPresent = "yookassa-repeat-present",
    /// CryptoCloud reads `limit` as a size, not as the number of the last record
    CryptoCloudLimitSize = "cryptocloud-limit-size",
    /// CryptoCloud reads `limit` as a size and refuses more than 100
    CryptoCloudLimitRefused = "cryptocloud-limit-refused",
    /// CryptoCloud refuses a key with the field `detail`
    CryptoCloud401Detail = "cryptocloud-401-detail",
    /// CryptoCloud writes uuids without the prefix INV-
    CryptoCloudBareUuid = "cryptocloud-bare-uuid",
    /// CryptoCloud's links lead to the old host, without a scheme
    CryptoCloudOldHost = "cryptocloud-old-host",
    /// CryptoCloud's project is in test mode: its invoices are tests
    CryptoCloudTestMode = "cryptocloud-test-mode",
    /// CryptoCloud cancels an invoice that is paid in part at its end
    CryptoCloudPartialCanceled = "cryptocloud-partial-canceled",
    /// CryptoCloud does not know an invoice in its first three seconds
    CryptoCloudFreshMissing = "cryptocloud-fresh-missing",
    /// YooMoney's token is dead: every request is refused, for good
    YooMoneyDeadToken = "yoomoney-dead-token",
    /// YooMoney's token has the scope operation-history alone
    YooMoneyHistoryScope = "yoomoney-history-scope",
}

impl FromStr for Variant {
    type Err = String;

    fn from_str(name: &str) -> Result<Variant, String> {
        let mut all = Variant::ALL.iter().copied();
        all.find(|variant| variant.name() == name).ok_or_else(|| {
            let names: Vec<_> = Variant::ALL.iter().map(|it| it.name()).collect();
            format!("{name:?}; expected: {}", names.join(", "))
        })
    }
}
