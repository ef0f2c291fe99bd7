//! Telegram Stars over a scripted transport: what no simulated server answers.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use payrecond::clock::ManualClock;
use payrecond::domain::time::UnixMillis;
use payrecond::provider::http::{Request, Response, Transport};
use payrecond::provider::{ApiKey, LedgerPage, Provider as _, ProviderError, telegram_stars};

/// The longest wait that the transport obeys.
const LONGEST_WAIT: Duration = Duration::from_mins(2);

/// Returns prepared answers in turn.
#[derive(Default)]
struct Script(Mutex<VecDeque<Response>>);

#[async_trait]
impl Transport for Script {
    async fn send(&self, _: Request) -> Result<Response, ProviderError> {
        let answer = self.0.lock().unwrap().pop_front();
        answer.ok_or_else(|| ProviderError::Unreachable("no more script".into()))
    }

    fn set_key(&self, _: ApiKey) {}

    fn cap_wait(&self, wait: Duration) -> Duration {
        wait.min(LONGEST_WAIT)
    }
}

/// The first page of the ledger of a bot that answers so.
async fn first_page(answer: Response) -> Result<LedgerPage, ProviderError> {
    let script = Arc::new(Script::default());
    script.0.lock().unwrap().push_back(answer);
    let clock = Arc::new(ManualClock::at(UnixMillis(1_800_000_000_000)));
    let bot = telegram_stars::TelegramStars::new(script, clock);
    bot.ledger().unwrap().ledger_page(None, None).await
}

#[tokio::test]
async fn a_wait_in_the_body_is_cut() {
    for (seconds, wait) in [(30, Duration::from_secs(30)), (86_400, LONGEST_WAIT)] {
        let body = format!(
            r#"{{"ok":false,"error_code":429,"description":"Too Many Requests: retry after {seconds}","parameters":{{"retry_after":{seconds}}}}}"#
        );
        let error = first_page(Response::whole(429, body)).await.unwrap_err();
        assert_eq!(error, ProviderError::RateLimited { wait: Some(wait) });
    }
}

#[tokio::test]
async fn a_payload_that_is_not_utf_8_makes_one_entry_unreadable() {
    let entry = |id: &str, payload: &[u8]| {
        let head = format!(
            r#"{{"id":"{id}","date":1800000000,"amount":1,"source":{{"type":"user","user":{{"first_name":"#
        );
        // Nothing is read of a name.
        let name: &[u8] = b"\"\xff\"},\"invoice_payload\":\"";
        [head.as_bytes(), name, payload, b"\"}}"].concat()
    };
    let body = [
        br#"{"ok":true,"result":{"transactions":["#.to_vec(),
        entry("a", b"ORD-1"),
        b",".to_vec(),
        entry("b", b"ORD-\xd02"),
        b",".to_vec(),
        entry("c", "ORD-\u{fffd}".as_bytes()),
        b"]}}".to_vec(),
    ]
    .concat();
    let page = first_page(Response::whole(200, body)).await.unwrap();
    let labels = page.transactions.iter();
    let labels: Vec<String> = labels
        .map(|one| one.external_id.clone().unwrap().0)
        .collect();
    assert_eq!(labels, ["ORD-1", "ORD-\u{fffd}"]);
    let [left_out] = &page.unreadable[..] else {
        panic!("{:?}", page.unreadable);
    };
    assert_eq!(left_out.place, "getStarTransactions, offset 1");
    assert_eq!(left_out.what, "a payload that is not UTF-8: b");
}
