//! The creation request. The same invoice always gives the same bytes.
//!
//! The bytes must be equal because YooKassa answers a repeat under the same key with the existing
//! payment, but another body with an error. Currencies, minimum sums and the need for a receipt are
//! checked by the service; its 400 leads to `rejected`.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::payment::EXTERNAL_ID_KEY;
use crate::domain::invoice::{AccountName, ExternalId, Invoice};
use crate::domain::money::{Money, is_plain_decimal};
use crate::domain::text::one_line;
use crate::provider::options::{check_length, read_options};

/// Longest description, in characters.
const LONGEST_DESCRIPTION: usize = 128;
/// Longest return address, in characters.
const LONGEST_URL: usize = 2048;
/// Maximum number of entries in `metadata`, including ours, and maximum length of a key and of a
/// value.
const MOST_METADATA: usize = 16;
const LONGEST_METADATA_KEY: usize = 32;
const LONGEST_METADATA_VALUE: usize = 512;
const ACCEPTED: &str = "return_url, receipt, payment_method_data, metadata";
/// Namespace of idempotence keys. A key must never change, or a repeat would create a second
/// payment.
const KEY_NAMESPACE: Uuid = Uuid::from_u128(0x2f6b_1c0e_58c4_5b0a_9d57_6a6e_3f10_b7d4);

/// The request body. The order of the fields is the order of the bytes: never change it.
#[derive(Serialize)]
struct PaymentBody<'a> {
    amount: PaymentAmountBody<'a>,
    /// Without it the money would be held, and returned after days.
    capture: bool,
    confirmation: ConfirmationBody<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    metadata: PaymentMetadataBody<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_method_data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct PaymentAmountBody<'a> {
    value: &'a str,
    currency: &'a str,
}

#[derive(Serialize)]
struct ConfirmationBody<'a> {
    r#type: &'a str,
    return_url: &'a str,
}

/// Our entry first, then the shop's in order.
struct PaymentMetadataBody<'a> {
    external_id: &'a str,
    shops: Vec<(String, String)>,
}

impl Serialize for PaymentMetadataBody<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ours = (EXTERNAL_ID_KEY, self.external_id);
        let shops = self.shops.iter().map(|(key, value)| (&**key, &**value));
        serializer.collect_map(std::iter::once(ours).chain(shops))
    }
}

/// The invoice's `options`, kept raw so that each error can name its key. Null is the same as
/// absent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PaymentOptions<'a> {
    #[serde(borrow)]
    return_url: Option<&'a RawValue>,
    #[serde(borrow)]
    receipt: Option<&'a RawValue>,
    #[serde(borrow)]
    payment_method_data: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

/// The request body for `invoice`, or why it can never be made. `return_url` is the account's own.
pub(super) fn body(invoice: &Invoice, return_url: &str) -> Result<String, String> {
    let amount = invoice.facts.amount.as_ref().ok_or("amount: missing")?;
    check_amount(amount)?;
    let options: PaymentOptions<'_> = read_options(invoice.wish.options.as_deref(), ACCEPTED)?;
    let return_url = chosen_return_url(options.return_url, return_url)?;
    let body = PaymentBody {
        amount: PaymentAmountBody {
            value: &amount.value,
            currency: &amount.currency,
        },
        capture: true,
        confirmation: ConfirmationBody {
            r#type: "redirect",
            return_url: &return_url,
        },
        description: description(invoice)?,
        metadata: metadata(&invoice.external_id, options.metadata)?,
        payment_method_data: json_object("payment_method_data", options.payment_method_data)?,
        receipt: json_object("receipt", options.receipt)?,
    };
    serde_json::to_string(&body).map_err(|error| error.to_string())
}

/// The idempotence key of an invoice's payment: always the same.
pub(super) fn idempotence_key(account: &AccountName, external_id: &ExternalId) -> String {
    let name = format!("{account}\n{external_id}");
    Uuid::new_v5(&KEY_NAMESPACE, name.as_bytes()).to_string()
}

fn check_amount(amount: &Money) -> Result<(), String> {
    let is_code = |code: &str| code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase());
    if !is_code(&amount.currency) {
        return Err("currency: expected three upper-case letters such as RUB".into());
    }
    let value = amount.value.as_str();
    if !is_plain_decimal(value) {
        return Err("amount: expected a plain decimal such as 100.00".into());
    }
    let digits = value.split_once('.').map_or(0, |(_, after)| after.len());
    if digits > 2 {
        return Err(format!(
            "amount: {digits} digits after the point, expected at most 2"
        ));
    }
    Ok(())
}

fn description(invoice: &Invoice) -> Result<Option<&str>, String> {
    let text = invoice.wish.description.as_deref();
    check_length(
        "description",
        text.unwrap_or_default(),
        0..=LONGEST_DESCRIPTION,
    )?;
    Ok(text)
}

/// The return address of the payer: the invoice's, else the account's.
fn chosen_return_url(option: Option<&RawValue>, setting: &str) -> Result<String, String> {
    let Some(token) = option else {
        return match setting {
            "" => Err(
                "options.return_url: needed, since account.settings.return_url is not set".into(),
            ),
            url => Ok(url.to_owned()),
        };
    };
    let url: String = serde_json::from_str(token.get())
        .map_err(|_| "options.return_url: expected a text or null".to_owned())?;
    if is_return_url(&url) {
        Ok(url)
    } else {
        Err(format!(
            "options.return_url: expected a link such as https://t.me/your_bot of at most {LONGEST_URL} characters"
        ))
    }
}

/// Whether it is a valid return address.
pub(super) fn is_return_url(url: &str) -> bool {
    let has_place = |rest: &str| rest.starts_with(|first: char| first.is_alphanumeric());
    let is_plain = url.len() <= LONGEST_URL && !url.contains(|c: char| c.is_control() || c == ' ');
    is_plain
        && url.split_once("://").is_some_and(|(scheme, rest)| {
            matches!(scheme, "https" | "http" | "tg") && has_place(rest)
        })
}

/// An object that is passed to the service unchecked: the service knows the rules, and they change.
fn json_object<'a>(key: &str, token: Option<&'a RawValue>) -> Result<Option<&'a RawValue>, String> {
    match token {
        Some(token) if !token.get().starts_with('{') => {
            Err(format!("options.{key}: expected a JSON object or null"))
        }
        token => Ok(token),
    }
}

fn metadata<'a>(
    external_id: &'a ExternalId,
    token: Option<&RawValue>,
) -> Result<PaymentMetadataBody<'a>, String> {
    let external_id = external_id.0.as_str();
    check_length("external_id", external_id, 0..=LONGEST_METADATA_VALUE)?;
    let shops = match token {
        Some(token) => shops_metadata(token)?,
        None => Vec::new(),
    };
    if shops.len() >= MOST_METADATA {
        return Err(format!(
            "options.metadata: {} entries, expected at most {} beside external_id",
            shops.len(),
            MOST_METADATA - 1
        ));
    }
    Ok(PaymentMetadataBody { external_id, shops })
}

/// The shop's entries, sorted by key.
fn shops_metadata(token: &RawValue) -> Result<Vec<(String, String)>, String> {
    let entries: std::collections::BTreeMap<String, String> = serde_json::from_str(token.get())
        .map_err(|_| "options.metadata: expected an object of texts".to_owned())?;
    for (key, value) in &entries {
        if key == EXTERNAL_ID_KEY {
            return Err("options.metadata: the key external_id is payrecond's own".into());
        }
        let name = format!("options.metadata.{}", one_line(key));
        check_length(&name, key, 0..=LONGEST_METADATA_KEY)?;
        check_length(&name, value, 0..=LONGEST_METADATA_VALUE)?;
    }
    Ok(entries.into_iter().collect())
}
