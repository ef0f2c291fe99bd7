//! Restored older copies: of the stream, and of the database.

use std::path::Path;

use payrecond::sandbox::SimulatedPayment;

use super::scene::{Recorded, assert_same, assert_stream_is_outbox};
use super::server::{Kept, NatsServer, forgetful, usual};
use crate::faults::program::{self, Program};
use crate::shop::Shop;

fn copy_folder(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([from, to])
        .status();
    assert!(copied.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_restored_from_an_older_copy_gets_the_lost_events_again() {
    let Some(mut server) = NatsServer::start() else {
        return;
    };
    server.make_stream_as(forgetful()).await;
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    shop.record_payments("A-", 300).await;
    let publisher = shop.start_publisher();
    shop.until_published().await;
    server.kill();
    let copy = shop.folder.path().join("js-copy");
    copy_folder(server.store(), &copy);
    server.run();
    shop.record_payments("B-", 300).await;
    shop.until_published().await;
    server.kill();
    std::fs::remove_dir_all(server.store()).unwrap();
    copy_folder(&copy, server.store());
    server.run();
    shop.record_payments("C-", 10).await;
    shop.until_published().await;
    assert_stream_is_outbox(&server, &shop).await;
    let left = publisher.stop().await;
    assert!(
        left.stderr
            .contains("stream lacks events that it had acknowledged"),
        "{}",
        left.stderr
    );
}

/// Puts the shop's database back from `copy`, as a person does.
async fn restore(shop: &Shop, copy: &str) {
    program::write_config(shop);
    let mut command = program::program(shop.folder.path());
    let said = command.args(["restore", copy, "--force"]).output().await;
    let said = said.unwrap();
    assert!(said.status.success(), "{said:?}");
}

async fn pay(shop: &Shop, name: &str) {
    let id = shop.drop_in(name).await;
    shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
}

/// After a restore an old id is written again with a higher number, and new facts stand before it: the
/// place by id alone would pass over them.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_publishes_every_new_event() {
    for config in [usual(), forgetful()] {
        let Some(server) = NatsServer::start() else {
            return;
        };
        server.make_stream_as(config).await;
        let mut shop = Shop::open().await;
        shop.publish_to(&server);
        let daemon = Program::ready(&shop).await;
        pay(&shop, "BEFORE-1").await;
        shop.until("SELECT count(*) FROM outbox", "1").await;
        shop.until_published().await;
        daemon.stop().await;
        let copy = shop.folder.path().join("copy.db");
        shop.execute(&format!("VACUUM INTO '{}'", copy.display()))
            .await;
        let daemon = Program::ready(&shop).await;
        let forgotten = shop.drop_in("LOST-1").await;
        shop.world
            .pay(&forgotten, &SimulatedPayment::default())
            .unwrap();
        shop.until("SELECT count(*) FROM outbox", "2").await;
        shop.until_published().await;
        daemon.stop().await;
        let before: Vec<Kept> = server.messages().await;
        assert_eq!(before.len(), 2);

        restore(&shop, copy.to_str().unwrap()).await;
        // New facts first, then the one that the copy had forgotten.
        shop.record_payments("NEW-", 6).await;
        let insert = format!(
            "INSERT INTO invoices (external_id, order_id) VALUES ('LOST-1', '{forgotten}')"
        );
        shop.execute(&insert).await;
        let daemon = Program::ready(&shop).await;
        shop.until("SELECT count(*) FROM outbox", "8").await;
        shop.until_published().await;
        daemon.stop().await;
        let recorded = shop.outbox().await;
        let told: Vec<String> = server.messages().await.into_iter().map(|m| m.id).collect();
        for event in &recorded {
            assert!(told.contains(&event.id), "{} is missing", event.payload);
        }
        let after: Vec<Recorded> = server.messages().await[2..]
            .iter()
            .map(recorded_of)
            .collect();
        let new: Vec<Recorded> = recorded.into_iter().skip(1).collect();
        // Within the window the server knows the old id: it is there once then.
        let repeated = after.len() == new.len();
        let new = if repeated {
            new
        } else {
            new.into_iter()
                .filter(|event| event.id != before[1].id)
                .collect()
        };
        assert_same(&after, &new);
    }
}

fn recorded_of(message: &Kept) -> Recorded {
    Recorded {
        subject: message.subject.clone(),
        id: message.id.clone(),
        payload: message.payload.clone(),
    }
}

/// The copy is older than what was published, and what it has was published too: it is not sent again.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_publishes_no_event_of_its_copy_again() {
    let Some(server) = NatsServer::start() else {
        return;
    };
    server.make_stream_as(forgetful()).await;
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    shop.record_payments("A-", 200).await;
    let copy = shop.folder.path().join("copy.db");
    // Its place is at the beginning, and the events are in it.
    shop.execute(&format!("VACUUM INTO '{}'", copy.display()))
        .await;
    shop.record_payments("LOST-", 100).await;
    let publisher = shop.start_publisher();
    shop.until_published().await;
    publisher.stop().await;
    restore(&shop, copy.to_str().unwrap()).await;
    shop.record_payments("NEW-", 5).await;
    let publisher = shop.start_publisher();
    shop.until_published().await;
    publisher.stop().await;
    let messages = server.messages().await;
    assert_eq!(messages.len(), 305);
    let recorded = shop.outbox().await;
    let told: Vec<Recorded> = messages.iter().map(recorded_of).collect();
    assert_same(&told[..200], &recorded[..200]);
    assert_same(&told[300..], &recorded[200..]);
}
