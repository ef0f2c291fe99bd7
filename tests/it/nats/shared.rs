//! Other programs publish into the same stream at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::scene::{Recorded, assert_same};
use super::server::{NatsServer, forgetful};
use crate::shop::Shop;

/// With expected numbers alone a later event could fit by chance, and the events before it would be lost.
#[tokio::test(flavor = "multi_thread")]
async fn messages_of_other_publishers_cost_no_event() {
    let Some(server) = NatsServer::start() else {
        return;
    };
    server.make_stream_as(forgetful()).await;
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    shop.record_payments("ORD-", 1500).await;
    let context = server.jetstream().await;
    let done = Arc::new(AtomicBool::new(false));
    let others = tokio::spawn({
        let done = Arc::clone(&done);
        async move {
            let mut sent = 0_u64;
            while !done.load(Ordering::Relaxed) {
                let message = format!("other {sent}").into();
                let answer = context.publish("payments.other.noise", message).await;
                answer.unwrap().await.unwrap();
                sent += 1;
                // Sometimes many in a row, sometimes a pause for a window.
                if sent.is_multiple_of(7) {
                    tokio::time::sleep(std::time::Duration::from_millis(sent % 5)).await;
                }
            }
            sent
        }
    });
    let publisher = shop.start_publisher();
    shop.until_published().await;
    // It also finds its position before messages of others.
    publisher.kill().await;
    shop.execute("UPDATE consumers SET acked_seq = acked_seq WHERE name = 'nats'")
        .await;
    shop.record_payments("NEXT-", 50).await;
    let publisher = shop.start_publisher();
    shop.until_published().await;
    publisher.stop().await;
    done.store(true, Ordering::Relaxed);
    let sent = others.await.unwrap();
    let messages = server.messages().await;
    let is_ours = |subject: &str| subject != "payments.other.noise";
    let ours: Vec<Recorded> = messages
        .iter()
        .filter(|message| is_ours(&message.subject))
        .map(|message| Recorded {
            subject: message.subject.clone(),
            id: message.id.clone(),
            payload: message.payload.clone(),
        })
        .collect();
    assert_same(&ours, &shop.outbox().await);
    assert_eq!(messages.len() as u64, sent + 1550);
}
