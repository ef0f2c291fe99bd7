//! Bodies of the provider. The first line says what was asked and the HTTP status, the rest is the
//! body: `look 200`, `page 200`, `create 200`, `count 503`.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::executor::block_on;
use payrecond::clock::ManualClock;
use payrecond::domain::money::plain;
use payrecond::domain::observation::{ObservedOrder, OrderState};
use payrecond::domain::time::UnixMillis;
use payrecond::provider::http::{Request, Response, Transport};
use payrecond::provider::walletpay::WalletPay;
use payrecond::provider::{
    ApiKey, CreateOrders, Creation, CreationAnswer, FetchOrders, FetchedOrder, ListItem,
    ListOrders, PageVisitor, Provider, ProviderError,
};

use super::is_one_harmless_line;

/// The order that is asked for; the documented bodies are about it.
const ASKED: &str = "2703383946854401";

/// # Panics
/// When a law does not hold.
pub fn check(data: &[u8]) {
    let line = data.iter().position(|byte| *byte == b'\n');
    let (head, body) = data.split_at(line.map_or(data.len(), |end| end + 1));
    let Ok(head) = std::str::from_utf8(head) else {
        return;
    };
    let mut words = head.split_whitespace();
    let (asked, status) = (words.next(), words.next());
    let status = status.and_then(|status| status.parse().ok()).unwrap_or(200);
    let whole = vec![Bytes::copy_from_slice(body)];
    let pieces = |size| body.chunks(size).map(Bytes::copy_from_slice).collect();
    let answers = [whole, pieces(1), pieces(7)].map(|chunks| match asked {
        Some("page") => block_on(page(status, chunks)),
        Some("create") => block_on(create(status, chunks)),
        Some("count") => block_on(count(status, chunks)),
        _ => block_on(look(status, chunks)),
    });
    let [whole, by_one, by_seven] = answers;
    assert_eq!(whole, by_one, "read byte by byte");
    assert_eq!(whole, by_seven, "read by seven bytes");
}

async fn look(status: u16, chunks: Vec<Bytes>) -> String {
    let answer = answering(status, chunks).fetch(&[ASKED.into()]).await;
    if let Ok([FetchedOrder::Seen(observed)]) = answer.as_deref() {
        assert!((200..300).contains(&status));
        assert_eq!(observed.order_id.0, ASKED);
        holds(observed);
    }
    told(&answer)
}

async fn create(status: u16, chunks: Vec<Bytes>) -> String {
    let creation = Creation {
        external_id: "ORD-1".into(),
        body: "{}".into(),
        idempotence_key: String::new(),
    };
    let answer = answering(status, chunks).create(&creation).await;
    match &answer {
        Ok(CreationAnswer::Exists(observed)) => holds(observed),
        Ok(CreationAnswer::Refused(words) | CreationAnswer::Conflict(words)) => {
            assert!(is_one_harmless_line(words), "{words:?}");
        }
        Ok(CreationAnswer::Link(link)) => assert!(is_one_harmless_line(link), "{link:?}"),
        Err(_) => {}
    }
    told(&answer)
}

async fn count(status: u16, chunks: Vec<Bytes>) -> String {
    told(&answering(status, chunks).count().await)
}

async fn page(status: u16, chunks: Vec<Bytes>) -> String {
    let mut taken = Taken::default();
    let answer = answering(status, chunks).page(0, 100, &mut taken).await;
    assert!(taken.glanced.is_sorted_by(|a, b| a < b));
    if let Ok(end) = &answer {
        assert!((200..300).contains(&status));
        assert!(taken.glanced.last().is_none_or(|last| *last < end.items));
    }
    for (index, observed) in &taken.observed_orders {
        assert!(taken.glanced.contains(index));
        holds(observed);
    }
    format!("{} {:?}", told(&answer), taken.observed_orders)
}

fn holds(observed: &ObservedOrder) {
    assert!(!observed.order_id.0.is_empty());
    assert!(is_one_harmless_line(&observed.provider_status));
    if observed.state != OrderState::Paid {
        assert_eq!(observed.paid_at, None);
    }
    if let Some(money) = &observed.amount {
        assert!(plain(&money.value).is_some(), "{money:?}");
    }
}

fn told<T: Debug>(answer: &Result<T, ProviderError>) -> String {
    if let Err(error) = answer {
        assert!(is_one_harmless_line(&error.to_string()), "{error:?}");
    }
    format!("{answer:?}")
}

/// Wants every item.
#[derive(Default)]
struct Taken {
    /// Places on the page; an item without a usable id is left out.
    glanced: Vec<u64>,
    observed_orders: Vec<(u64, ObservedOrder)>,
}

impl PageVisitor for Taken {
    fn wants(&mut self, item: &ListItem<'_>) -> bool {
        self.glanced.push(item.index);
        true
    }

    fn take(&mut self, item_index: u64, observed: ObservedOrder) {
        self.observed_orders.push((item_index, observed));
    }
}

/// Gives one answer, in these pieces.
struct Script(Mutex<Option<Response>>);

#[async_trait]
impl Transport for Script {
    async fn send(&self, _request: Request) -> Result<Response, ProviderError> {
        let answer = self.0.lock().expect("nothing panics with it").take();
        answer.ok_or_else(|| ProviderError::Unreachable("no more script".into()))
    }

    fn set_key(&self, _key: ApiKey) {}
}

fn answering(status: u16, chunks: Vec<Bytes>) -> WalletPay {
    let response = Response::new(status, None, VecDeque::from(chunks));
    let script = Arc::new(Script(Mutex::new(Some(response))));
    let provider = WalletPay::new(script, Arc::new(ManualClock::at(UnixMillis(1))));
    provider.set_key(ApiKey::from_bytes(b"store-key-0123456789").expect("a key"));
    provider
}
