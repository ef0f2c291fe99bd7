//! Readers of stdout that stall, go away or are missing from the start.

use std::process::Stdio;

use payrecond::sandbox::SimulatedPayment;

use super::kill::all_delivered;
use super::laws;
use super::program::{self, Program, Stdout};
use crate::shop::Shop;

/// Enough events to fill a pipe of 64 KiB: each has this much metadata.
const EVENTS: usize = 40;
const BURDEN: usize = 4000;

/// Inserts invoices of orders that are already paid.
async fn drop_in_paid(shop: &Shop, count: usize, burden: usize) {
    for n in 0..count {
        let external_id = format!("ORD-{burden}-{n}");
        let id = shop.drop_in(&external_id).await;
        let burden = "x".repeat(burden);
        shop.execute(&format!(
            "UPDATE invoices SET metadata = '{{\"burden\":\"{burden}\"}}' WHERE external_id = '{external_id}'"
        ))
        .await;
        shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    }
}

async fn until_paid(shop: &Shop, count: usize) {
    let paid = "SELECT count(*) FROM invoices WHERE status = 'paid'";
    shop.until(paid, &count.to_string()).await;
}

#[tokio::test]
async fn a_stalled_reader_delays_neither_polling_nor_the_stop_and_loses_nothing() {
    let shop = Shop::open().await;
    drop_in_paid(&shop, EVENTS, BURDEN).await;
    let program = Program::ready_with(&shop, Stdout::Unread).await;
    until_paid(&shop, EVENTS).await;
    // The pipe is full by now; new invoices are polled all the same.
    drop_in_paid(&shop, 1, 1).await;
    until_paid(&shop, EVENTS + 1).await;
    let unread = "SELECT count(*) > 0 FROM outbox_unread WHERE consumer = 'stdout'";
    assert_eq!(shop.ask(unread).await, "1");
    let first = program.stop().await;
    assert_eq!(
        shop.ask(unread).await,
        "1",
        "what nobody took is not acknowledged"
    );
    let program = Program::ready(&shop).await;
    all_delivered(&shop).await;
    let second = program.stop().await;
    laws::hold(&shop, &[first, second]).await;
}

#[tokio::test]
async fn a_reader_that_continues_gets_everything() {
    let shop = Shop::open().await;
    drop_in_paid(&shop, EVENTS, BURDEN).await;
    let mut program = Program::ready_with(&shop, Stdout::Unread).await;
    until_paid(&shop, EVENTS).await;
    program.read_on();
    all_delivered(&shop).await;
    let left = program.stop().await;
    laws::hold(&shop, &[left]).await;
}

#[tokio::test]
async fn a_reader_that_goes_away_stops_nothing() {
    let shop = Shop::open().await;
    let mut program = Program::ready_with(&shop, Stdout::Unread).await;
    drop(program.unread.take());
    drop_in_paid(&shop, 2, 1).await;
    until_paid(&shop, 2).await;
    program.until_said("stdout closed by its reader").await;
    drop_in_paid(&shop, 2, 2).await;
    until_paid(&shop, 4).await;
    let first = program.stop().await;
    assert!(!first.stderr.contains("panicked"), "{}", first.stderr);
    let program = Program::ready(&shop).await;
    all_delivered(&shop).await;
    let second = program.stop().await;
    laws::hold(&shop, &[first, second]).await;
}

/// Through a shell, the only way to start a program without a stdout or stderr.
async fn ready_without(shop: &Shop, closed: &str) -> Program {
    let command = program::by_shell(shop, &format!("exec \"$0\" run {closed}"));
    Program::spawn(shop, command, Stdout::Read, Stdio::piped())
        .until_ready()
        .await
}

#[tokio::test]
async fn without_a_stdout_nothing_counts_as_delivered() {
    for redirection in [">&-", "1</dev/null"] {
        let shop = Shop::open().await;
        let program = ready_without(&shop, redirection).await;
        drop_in_paid(&shop, 2, 1).await;
        until_paid(&shop, 2).await;
        program.until_said("stdout cannot be written").await;
        let first = program.stop().await;
        let unread = "SELECT count(*) FROM outbox_unread WHERE consumer = 'stdout'";
        assert_eq!(shop.ask(unread).await, "2");
        let once = program::by_shell(&shop, &format!("exec \"$0\" run --once {redirection}"));
        let once = Program::spawn(&shop, once, Stdout::Read, Stdio::piped());
        let once = once.ended_within(crate::PATIENCE).await;
        assert_eq!(once.code, Some(1), "{}", once.stderr);
        assert_eq!(shop.ask(unread).await, "2", "{redirection}");
        let program = Program::ready(&shop).await;
        all_delivered(&shop).await;
        let second = program.stop().await;
        laws::hold(&shop, &[first, second]).await;
    }
}

#[tokio::test]
async fn without_a_stderr_nothing_panics() {
    let shop = Shop::open().await;
    let program = ready_without(&shop, "2>&-").await;
    drop_in_paid(&shop, 1, 1).await;
    all_delivered(&shop).await;
    until_paid(&shop, 1).await;
    let first = program.stop().await;
    // And one whose reader has gone.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let command = program::command(&shop);
    let program = Program::spawn(&shop, command, Stdout::Read, writer.into())
        .until_ready()
        .await;
    drop_in_paid(&shop, 1, 2).await;
    until_paid(&shop, 2).await;
    all_delivered(&shop).await;
    let second = program.stop().await;
    laws::hold(&shop, &[first, second]).await;
}

#[tokio::test]
async fn every_format_delivers_the_outbox() {
    for (format, parse) in [
        (
            "hpub",
            laws::hpub_frames as fn(&[u8]) -> Vec<(String, Vec<u8>)>,
        ),
        ("jsonl", laws::jsonl_frames),
        ("nats", laws::nats_frames),
    ] {
        let mut shop = Shop::open().await;
        shop.configure(&format!("[feed]\nstdout = \"{format}\"\n"));
        drop_in_paid(&shop, 3, 1).await;
        let program = Program::ready(&shop).await;
        until_paid(&shop, 3).await;
        all_delivered(&shop).await;
        let left = program.stop().await;
        let frames = parse(&left.stdout);
        let payloads: Vec<String> = frames
            .into_iter()
            .map(|(_, payload)| String::from_utf8(payload).unwrap())
            .collect();
        let stored =
            "SELECT group_concat(payload, char(10)) FROM (SELECT * FROM outbox ORDER BY seq)";
        assert_eq!(payloads.join("\n"), shop.ask(stored).await, "{format}");
        laws::key_is_nowhere(&shop, &[left]);
    }
}

#[tokio::test]
async fn with_the_feed_off_its_position_is_kept() {
    let mut shop = Shop::open().await;
    drop_in_paid(&shop, 1, 1).await;
    let program = Program::ready(&shop).await;
    until_paid(&shop, 1).await;
    all_delivered(&shop).await;
    program.stop().await;
    let consumers = "SELECT count(*) FROM consumers";
    assert_eq!(shop.ask(consumers).await, "1");
    let as_it_was = shop.settings.clone();
    shop.settings += "[feed]\nstdout = \"off\"\n";
    let program = Program::ready(&shop).await;
    drop_in_paid(&shop, 1, 2).await;
    until_paid(&shop, 2).await;
    let left = program.stop().await;
    assert!(left.stdout.is_empty());
    let place = "SELECT acked_seq FROM consumers WHERE name = 'stdout'";
    assert_eq!(shop.ask(place).await, "1");
    shop.settings = as_it_was;
    let program = Program::ready(&shop).await;
    all_delivered(&shop).await;
    let left = program.stop().await;
    assert_eq!(
        laws::nats_frames(&left.stdout).len(),
        1,
        "nothing comes twice"
    );
}

#[tokio::test]
async fn with_the_feed_off_from_the_start_there_is_no_consumer() {
    let mut shop = Shop::open().await;
    shop.settings += "[feed]\nstdout = \"off\"\n";
    drop_in_paid(&shop, 1, 1).await;
    let program = Program::ready(&shop).await;
    until_paid(&shop, 1).await;
    program.stop().await;
    assert_eq!(shop.ask("SELECT count(*) FROM consumers").await, "0");
}
