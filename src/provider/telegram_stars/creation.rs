//! The request for an invoice link. The same row always gives the same bytes. Limits are those of
//! the Bot API.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::LONGEST_PAYLOAD;
use super::ledger::STARS;
use crate::domain::invoice::Invoice;
use crate::domain::text::one_line;
use crate::provider::Creation;
use crate::provider::options::{check_length, read_options, text_option};

/// Longest title, in characters.
const LONGEST_TITLE: usize = 32;
/// Longest description, in characters.
const LONGEST_DESCRIPTION: usize = 255;
/// Longest address of a photo, in characters.
const LONGEST_PHOTO_URL: usize = 2048;
/// The only allowed period of a subscription, in seconds.
const SUBSCRIPTION_PERIOD_S: u64 = 2_592_000;
/// Maximum price of a subscription, in Stars.
const MOST_PER_PERIOD: u64 = 10_000;
const ACCEPTED: &str = "title, photo_url, subscription_period";

/// The request body. The order of the fields is the order of the bytes.
#[derive(Serialize)]
struct LinkBody<'a> {
    title: &'a str,
    description: &'a str,
    payload: &'a str,
    provider_token: &'static str,
    currency: &'static str,
    prices: [PriceBody<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    photo_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription_period: Option<u64>,
}

#[derive(Serialize)]
struct PriceBody<'a> {
    label: &'a str,
    amount: u64,
}

/// The invoice's `options`, kept raw so that each error can name its key. Null is the same as
/// absent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StarsOptions<'a> {
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(borrow)]
    photo_url: Option<&'a RawValue>,
    #[serde(borrow)]
    subscription_period: Option<&'a RawValue>,
}

/// The creation request for `invoice`, or why it can never be made.
pub(super) fn creation(invoice: &Invoice) -> Result<Creation, String> {
    let payload = &invoice.external_id.0;
    if payload.len() > LONGEST_PAYLOAD {
        let bytes = payload.len();
        return Err(format!(
            "external_id: {bytes} bytes, expected at most {LONGEST_PAYLOAD}"
        ));
    }
    let price = price(invoice)?;
    let options: StarsOptions<'_> = read_options(invoice.wish.options.as_deref(), ACCEPTED)?;
    let description = invoice.wish.description.as_deref().unwrap_or_default();
    check_length("description", description, 1..=LONGEST_DESCRIPTION)?;
    let title = match text_option("title", options.title, 1..=LONGEST_TITLE)? {
        Some(title) => title,
        None => description.chars().take(LONGEST_TITLE).collect(),
    };
    check_length("options.title", &title, 1..=LONGEST_TITLE)?;
    let photo_url = text_option("photo_url", options.photo_url, 1..=LONGEST_PHOTO_URL)?;
    let body = LinkBody {
        title: &title,
        description,
        payload,
        provider_token: "",
        currency: STARS,
        prices: [PriceBody {
            label: &title,
            amount: price,
        }],
        photo_url: photo_url.as_deref(),
        subscription_period: period(options.subscription_period, price)?,
    };
    Ok(Creation {
        external_id: invoice.external_id.clone(),
        body: serde_json::to_string(&body).map_err(|error| error.to_string())?,
        idempotence_key: String::new(),
    })
}

/// Prices in Stars are whole numbers.
fn price(invoice: &Invoice) -> Result<u64, String> {
    let amount = invoice.facts.amount.as_ref().ok_or("amount: missing")?;
    if amount.currency != STARS {
        return Err(format!(
            "currency: expected {STARS}, got {}",
            one_line(&amount.currency)
        ));
    }
    let (whole, fraction) = amount.value.split_once('.').unwrap_or((&amount.value, ""));
    let is_whole = fraction.bytes().all(|b| b == b'0');
    let price = whole.parse().ok().filter(|price| *price > 0 && is_whole);
    price.ok_or_else(|| format!("amount: expected whole Stars above 0, got {}", amount.value))
}

fn period(token: Option<&RawValue>, price: u64) -> Result<Option<u64>, String> {
    let Some(token) = token else { return Ok(None) };
    let period: Option<u64> = serde_json::from_str(token.get()).ok();
    if period != Some(SUBSCRIPTION_PERIOD_S) {
        return Err(format!(
            "options.subscription_period: expected {SUBSCRIPTION_PERIOD_S}"
        ));
    }
    if price > MOST_PER_PERIOD {
        return Err(format!(
            "amount: expected at most {MOST_PER_PERIOD} Stars for a subscription, got {price}"
        ));
    }
    Ok(period)
}
