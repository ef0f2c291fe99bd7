//! The pay link of a wallet (`quickpay`): built without a request, and always the same.

use serde::Deserialize;
use serde_json::value::RawValue;
use url::form_urlencoded::Serializer;

use super::LONGEST_LABEL;
use super::ledger::ROUBLES;
use crate::domain::invoice::Invoice;
use crate::domain::text::one_line;
use crate::provider::options::{check_length, read_options, text_option};

const QUICKPAY: &str = "/quickpay/confirm";
/// Payment methods: wallet, card.
const WAYS: [&str; 2] = ["PC", "AC"];
/// Longest return address, in characters.
const LONGEST_URL: usize = 2048;
const ACCEPTED: &str = "paymentType, successURL";

/// The invoice's `options`, kept raw so that each error can name its key. Null is the same as
/// absent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuickpayOptions<'a> {
    #[serde(borrow, rename = "paymentType")]
    payment_type: Option<&'a RawValue>,
    #[serde(borrow, rename = "successURL")]
    success_url: Option<&'a RawValue>,
}

/// The link of `invoice`, or why there cannot be one.
pub(super) fn link(invoice: &Invoice, receiver: &str, base: &str) -> Result<String, String> {
    let label = &invoice.external_id.0;
    check_length("external_id", label, 0..=LONGEST_LABEL)?;
    let amount = invoice.facts.amount.as_ref().ok_or("amount: missing")?;
    if amount.currency != ROUBLES {
        let code = one_line(&amount.currency);
        return Err(format!("currency: expected {ROUBLES}, got {code}"));
    }
    let fraction = amount
        .value
        .split_once('.')
        .map_or("", |(_, fraction)| fraction);
    if !amount.is_positive() || fraction.trim_end_matches('0').len() > 2 {
        return Err(format!(
            "amount: expected roubles and kopecks above 0, got {}",
            amount.value
        ));
    }
    let options: QuickpayOptions<'_> = read_options(invoice.wish.options.as_deref(), ACCEPTED)?;
    let mut form = Serializer::new(String::new());
    form.append_pair("receiver", receiver)
        .append_pair("quickpay-form", "button");
    if let Some(way) = text_option("paymentType", options.payment_type, 0..=LONGEST_URL)? {
        if !WAYS.contains(&way.as_str()) {
            return Err(format!(
                "options.paymentType: expected one of {}",
                WAYS.join(", ")
            ));
        }
        form.append_pair("paymentType", &way);
    }
    form.append_pair("sum", &amount.value)
        .append_pair("label", label);
    if let Some(address) = text_option("successURL", options.success_url, 0..=LONGEST_URL)? {
        form.append_pair("successURL", &address);
    }
    Ok(format!("{base}{QUICKPAY}?{}", form.finish()))
}
