//! The currencies of Crypto Pay, with plausible rates.

use bigdecimal::BigDecimal;
use serde_json::{Value, json};

use crate::sandbox::decimal;

struct Coin {
    code: &'static str,
    name: &'static str,
    digits: u32,
    is_blockchain: bool,
    is_stablecoin: bool,
    /// Millionths of a US dollar.
    micro_usd: u64,
}

const fn coin(code: &'static str, name: &'static str, digits: u32, micro_usd: u64) -> Coin {
    Coin {
        code,
        name,
        digits,
        is_blockchain: true,
        is_stablecoin: false,
        micro_usd,
    }
}

const fn stable(code: &'static str, name: &'static str) -> Coin {
    Coin {
        code,
        name,
        digits: 18,
        is_blockchain: false,
        is_stablecoin: true,
        micro_usd: 1_000_000,
    }
}

/// TON and GRAM are two coins here: GRAM is an older jetton.
const COINS: &[Coin] = &[
    stable("USDT", "Tether"),
    coin("TON", "Toncoin", 9, 5_400_000),
    coin("GRAM", "Gram", 9, 4_100),
    coin("BTC", "Bitcoin", 8, 65_000_000_000),
    coin("ETH", "Ethereum", 18, 3_200_000_000),
    coin("LTC", "Litecoin", 8, 84_000_000),
    coin("BNB", "Binance Coin", 18, 590_000_000),
    coin("TRX", "Tron", 6, 325_000),
    coin("SOL", "Solana", 9, 150_000_000),
    stable("USDC", "USD Coin"),
];

/// Code and millionths of a US dollar.
const FIATS: &[(&str, u64)] = &[
    ("USD", 1_000_000),
    ("EUR", 1_080_000),
    ("RUB", 10_600),
    ("BYN", 306_000),
    ("UAH", 24_300),
    ("GBP", 1_270_000),
    ("CNY", 138_000),
    ("KZT", 2_100),
    ("UZS", 79),
    ("GEL", 370_000),
    ("TRY", 29_000),
    ("AMD", 2_560),
    ("THB", 28_000),
    ("INR", 11_900),
    ("BRL", 180_000),
    ("IDR", 62),
    ("AZN", 588_000),
    ("AED", 272_000),
    ("PLN", 250_000),
    ("ILS", 270_000),
];

/// Currencies that an invoice can be swapped to.
pub(super) const SWAPS: &[&str] = &["USDT", "TON", "TRX", "ETH", "SOL", "BTC", "LTC"];

pub(super) fn is_asset(code: &str) -> bool {
    COINS.iter().any(|coin| coin.code == code)
}

pub(super) fn is_fiat(code: &str) -> bool {
    FIATS.iter().any(|(fiat, _)| *fiat == code)
}

pub(super) fn assets() -> impl Iterator<Item = &'static str> {
    COINS.iter().map(|coin| coin.code)
}

/// Maximum digits of a payment in `asset`; at most eight are printed.
pub(super) fn payment_digits(asset: &str) -> i64 {
    let coin = COINS.iter().find(|coin| coin.code == asset);
    coin.map_or(8, |coin| i64::from(coin.digits.min(8)))
}

/// US dollars per unit, with eight digits, drawn around the market's rate.
pub(super) fn usd_rate(code: &str, rng: &mut fastrand::Rng) -> BigDecimal {
    let coin = COINS.iter().find(|coin| coin.code == code);
    let fiat = || FIATS.iter().find(|(fiat, _)| *fiat == code);
    let micro = coin
        .map(|coin| coin.micro_usd)
        .or_else(|| fiat().map(|(_, micro)| *micro))
        .unwrap_or(1_000_000);
    let swing = BigDecimal::new(rng.u64(99_000_000..101_000_000).into(), 14);
    decimal::rounded(&(BigDecimal::from(micro) * swing), 8)
}

/// The answer of getCurrencies.
pub(super) fn currencies() -> Value {
    let coins = COINS.iter().map(|coin| {
        json!({
            "is_blockchain": coin.is_blockchain,
            "is_stablecoin": coin.is_stablecoin,
            "is_fiat": false,
            "name": coin.name,
            "code": coin.code,
            "decimals": coin.digits,
        })
    });
    let fiats = FIATS.iter().map(|(code, _)| {
        json!({
            "is_blockchain": false,
            "is_stablecoin": false,
            "is_fiat": true,
            "name": code,
            "code": code,
            "decimals": 2,
        })
    });
    coins.chain(fiats).collect()
}
