//! What payrecond is compared with, as programs of their own: the bare loops.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::{StreamExt as _, stream};
use payrecond::clock::SystemClock;
use payrecond::domain::observation::ObservedOrder;
use payrecond::provider::http::{HttpOptions, HttpTransport};
use payrecond::provider::walletpay::{self, WalletPay};
use payrecond::provider::{ApiKey, ListItem, ListOrders, PageVisitor, Provider as _};
use serde_json::Value;

use crate::bed::IN_FLIGHT;

const KEY_HEADER: &str = "wpay-store-api-key";
/// The path that `looks` asks about one order on.
const PREVIEW: &str = "/wpay/store-api/v1/order/preview?id=";
const LIST: &str = "/wpay/store-api/v1/reconciliation/order-list";

/// Runs a worker by its name; its arguments follow.
pub async fn run(words: &[&str]) -> Result<()> {
    match words {
        ["looks", url, ids] => looks(url, ids).await,
        ["pages", url] => pages(url).await,
        ["pages-serde", url] => pages_serde(url).await,
        _ => bail!("no such worker: {words:?}"),
    }
}

/// Previews of all orders whose ids the file holds, answers read and thrown away.
async fn looks(url: &str, ids: &str) -> Result<()> {
    // As the daemon asks: inflating half a kilobyte would halve the rate.
    let client = reqwest::Client::builder().no_proxy().gzip(false).build()?;
    let ids = std::fs::read_to_string(ids)?;
    let answers = stream::iter(ids.lines()).map(|id| {
        let request = client.get(format!("{url}{PREVIEW}{id}"));
        let request = request.header(KEY_HEADER, "bench");
        async move { request.send().await?.error_for_status()?.bytes().await }
    });
    let mut answers = answers.buffer_unordered(IN_FLIGHT);
    while let Some(answer) = answers.next().await {
        answer?;
    }
    Ok(())
}

/// Wants nothing.
struct Passing;

impl PageVisitor for Passing {
    fn wants(&mut self, _glance: &ListItem<'_>) -> bool {
        false
    }

    fn take(&mut self, _index: u64, _sighting: ObservedOrder) {}
}

/// The whole list, by the same reader that the daemon uses.
async fn pages(url: &str) -> Result<()> {
    let clock = Arc::new(SystemClock::new());
    let options = HttpOptions {
        base_url: url.parse()?,
        connect_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(15),
        max_response_bytes: 32 << 20,
        max_retry_after: Duration::from_secs(1),
        pool_size: IN_FLIGHT,
    };
    let transport = HttpTransport::new(options, walletpay::KIND.key_place, clock.clone())?;
    let provider = WalletPay::new(Arc::new(transport), clock);
    let key = ApiKey::from_bytes(b"bench").map_err(anyhow::Error::msg)?;
    provider.set_key(key);
    let limit = provider.page_limit();
    let mut offset = 0;
    loop {
        let page = provider.page(offset, limit, &mut Passing).await?;
        offset += page.items;
        if page.items < u64::from(limit) {
            return Ok(());
        }
    }
}

/// The whole list, each page read to its end and parsed as any JSON.
async fn pages_serde(url: &str) -> Result<()> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut offset = 0;
    loop {
        let page = format!(
            "{url}{LIST}?offset={offset}&count={}",
            walletpay::PAGE_LIMIT
        );
        let request = client.get(page).header(KEY_HEADER, "bench");
        let body = request.send().await?.error_for_status()?.bytes().await?;
        let page: Value = serde_json::from_slice(&body)?;
        let items = page["data"]["items"].as_array().context("no items")?.len();
        offset += items;
        if items < usize::try_from(walletpay::PAGE_LIMIT)? {
            return Ok(());
        }
    }
}
