//! The coins that an invoice can be paid with, and the currencies of prices.

use bigdecimal::BigDecimal;
use serde_json::{Value, json};

pub(super) struct CloudCoin {
    id: u32,
    code: &'static str,
    pub fullcode: &'static str,
    network: &'static str,
    network_name: &'static str,
    name: &'static str,
    is_stablecoin: bool,
    pub digits: i64,
    /// Millionths of a US dollar.
    micro_usd: u64,
    /// The network's fee, in millionths of a US dollar.
    fee_micro_usd: u64,
}

pub(super) static COINS: [CloudCoin; 5] = [
    CloudCoin {
        id: 4,
        code: "USDT",
        fullcode: "USDT_TRC20",
        network: "TRC20",
        network_name: "Tron",
        name: "Tether",
        is_stablecoin: true,
        digits: 6,
        micro_usd: 1_000_000,
        fee_micro_usd: 1_400_000,
    },
    CloudCoin {
        id: 1,
        code: "BTC",
        fullcode: "BTC",
        network: "BTC",
        network_name: "Bitcoin",
        name: "Bitcoin",
        is_stablecoin: false,
        digits: 8,
        micro_usd: 65_000_000_000,
        fee_micro_usd: 2_000_000,
    },
    CloudCoin {
        id: 3,
        code: "LTC",
        fullcode: "LTC",
        network: "LTC",
        network_name: "Litecoin",
        name: "Litecoin",
        is_stablecoin: false,
        digits: 8,
        micro_usd: 84_000_000,
        fee_micro_usd: 400,
    },
    CloudCoin {
        id: 2,
        code: "ETH",
        fullcode: "ETH",
        network: "ETH",
        network_name: "Ethereum",
        name: "Ethereum",
        is_stablecoin: false,
        digits: 8,
        micro_usd: 3_200_000_000,
        fee_micro_usd: 800_000,
    },
    CloudCoin {
        id: 9,
        code: "TON",
        fullcode: "TON",
        network: "TON",
        network_name: "The Open Network",
        name: "Toncoin",
        is_stablecoin: false,
        digits: 8,
        micro_usd: 5_400_000,
        fee_micro_usd: 30_000,
    },
];

/// Code and millionths of a US dollar.
const FIATS: &[(&str, u64)] = &[
    ("USD", 1_000_000),
    ("UZS", 79),
    ("KGS", 11_400),
    ("KZT", 2_100),
    ("AMD", 2_560),
    ("AZN", 588_000),
    ("BYN", 306_000),
    ("AUD", 650_000),
    ("TRY", 29_000),
    ("AED", 272_000),
    ("CAD", 730_000),
    ("CNY", 138_000),
    ("HKD", 128_000),
    ("IDR", 62),
    ("INR", 11_900),
    ("JPY", 6_700),
    ("PHP", 17_500),
    ("SGD", 750_000),
    ("THB", 28_000),
    ("VND", 39),
    ("MYR", 220_000),
    ("RUB", 10_600),
    ("UAH", 24_300),
    ("EUR", 1_080_000),
    ("GBP", 1_270_000),
];

impl CloudCoin {
    /// The coin of a full code, such as `USDT_TRC20`, or of a plain one.
    pub fn find(code: &str) -> Option<&'static CloudCoin> {
        COINS
            .iter()
            .find(|coin| coin.fullcode == code || coin.code == code)
    }

    pub fn usd(&self) -> BigDecimal {
        micro(self.micro_usd)
    }

    pub fn fee_usd(&self) -> BigDecimal {
        micro(self.fee_micro_usd)
    }

    /// The object `currency` of an invoice.
    pub fn object(&self) -> Value {
        let icons = "https://cdn.cryptocloud.plus";
        json!({
            "id": self.id,
            "code": self.code,
            "fullcode": self.fullcode,
            "network": {
                "code": self.network,
                "id": self.id,
                "icon": format!("{icons}/currency/crypto/{}.svg", self.network),
                "fullname": self.network_name,
            },
            "name": self.name,
            "is_email_required": false,
            "stablecoin": self.is_stablecoin,
            "icon_base": format!("{icons}/currency/icons/main/{}.svg", self.code.to_lowercase()),
            "icon_network": format!("{icons}/icons-currency/{}.svg", self.fullcode),
            "icon_qr": format!("{icons}/currency/icons/stroke/{}.svg", self.code.to_lowercase()),
            "order": self.id,
        })
    }
}

/// US dollars per unit of a currency of prices.
pub(super) fn fiat_usd(code: &str) -> Option<BigDecimal> {
    let fiat = FIATS.iter().find(|(fiat, _)| *fiat == code);
    fiat.map(|(_, millionths)| micro(*millionths))
}

pub(super) fn fiats() -> impl Iterator<Item = &'static str> {
    FIATS.iter().map(|(code, _)| *code)
}

fn micro(millionths: u64) -> BigDecimal {
    BigDecimal::new(millionths.into(), 6)
}
