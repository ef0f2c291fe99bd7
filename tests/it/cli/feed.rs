//! `feed`: what is printed, what is acknowledged, and how it ends.

use std::process::Stdio;

use payrecond::domain::observation::{Observation, OrderState};
use payrecond::domain::time::UnixMillis;
use payrecond::store::Store as _;
use payrecond::store::sqlite::{DatabaseLock, SqliteStore};
use serde_json::Value;

use super::{Running, Said, Shop, commit, decided, drop_in, ended, into_review, pay, sql};
use crate::rows::observed_order_of;

/// The external ids in frames of format `jsonl`.
fn shown(stdout: &str) -> Vec<String> {
    let frame = |line| -> Value { serde_json::from_str(line).unwrap() };
    let lines = stdout.lines().map(frame);
    lines
        .map(|event| event["subject"].as_str().unwrap().to_owned())
        .collect()
}

impl Shop {
    fn feed(&self, rest: &[&str]) -> Vec<String> {
        let said = self.run(&[&["feed", "--format", "jsonl"], rest].concat());
        assert_eq!(said.code, 0, "{rest:?}: {}", said.stderr);
        shown(&said.stdout)
    }

    fn acked(&self, consumer: &str) -> Option<i64> {
        let stats = self.run(&["stats", "--json"]).json();
        let consumers = stats["consumers"].as_array().unwrap();
        let found = consumers.iter().find(|known| known["name"] == consumer);
        found.and_then(|known| known["acked_seq"].as_i64())
    }
}

#[tokio::test]
async fn everything_is_printed_from_the_beginning_or_from_a_seq() {
    let shop = Shop::new();
    let store = shop.store().await;
    for n in ["1", "2", "3"] {
        pay(&store, n, n).await;
    }
    assert_eq!(shop.feed(&[]), ["1", "2", "3"]);
    assert_eq!(shop.feed(&["--from", "2"]), ["2", "3"]);
    assert_eq!(shop.feed(&["--from", "1", "--limit", "2"]), ["1", "2"]);
    assert!(shop.feed(&["--from", "4"]).is_empty());
    let nats = shop.run(&["feed", "--limit", "1"]).stdout;
    assert!(nats.starts_with("MSG payments.default.paid 1 "), "{nats}");
    let hpub = shop.run(&["feed", "--format", "hpub"]).stdout;
    assert!(hpub.starts_with("CONNECT {"), "{hpub}");
    assert_eq!(hpub.matches("HPUB payments.default.paid").count(), 3);
}

#[tokio::test]
async fn a_consumer_continues_where_it_was_and_skips_other_subjects() {
    let shop = Shop::new();
    let store = shop.store().await;
    pay(&store, "1", "1").await;
    into_review(&store, "2", "2").await;
    pay(&store, "3", "3").await;
    let bot = |rest: &[&str]| shop.feed(&[&["--consumer", "bot"], rest].concat());
    assert_eq!(bot(&["--limit", "1"]), ["1"]);
    assert_eq!(shop.acked("bot"), Some(1));
    assert_eq!(bot(&["--subject", "payments.*.paid"]), ["3"]);
    assert_eq!(shop.acked("bot"), Some(3));
    assert!(bot(&[]).is_empty());
    let only_others = ["--consumer", "other", "--subject", "payments.shop.>"];
    assert!(shop.feed(&only_others).is_empty());
    assert_eq!(shop.acked("other"), Some(3));
    assert_eq!(shop.feed(&["--subject", "payments.*.review"]), ["2"]);
}

#[tokio::test]
async fn a_seq_below_the_kept_events_starts_at_the_first_with_a_message() {
    let shop = Shop::new();
    let store = shop.store().await;
    for n in ["1", "2", "3"] {
        pay(&store, n, n).await;
    }
    store.consumer("bot").await.unwrap();
    store.acknowledge("bot", 2).await.unwrap();
    let all = UnixMillis(i64::MAX);
    assert_eq!(store.prune_outbox(all, 100).await.unwrap(), 2);
    let said = shop.run(&["feed", "--format", "jsonl", "--from", "1"]);
    assert_eq!(shown(&said.stdout), ["3"]);
    assert!(said.stderr.contains("events before 3"), "{}", said.stderr);
    let kept = shop.run(&["feed", "--format", "jsonl", "--from", "3"]);
    assert_eq!((shown(&kept.stdout).len(), kept.stderr.as_str()), (1, ""));
}

#[tokio::test]
async fn follow_prints_new_events_and_exits_cleanly_on_a_signal() {
    let shop = Shop::new();
    let store = shop.store().await;
    pay(&store, "1", "1").await;
    for signal in ["TERM", "INT"] {
        let feed = Running::start(shop.command(&["feed", "--format", "jsonl", "--follow"]));
        assert_eq!(shown(&feed.line()), ["1"]);
        let name = format!("during-{signal}");
        pay(&store, &name, &name).await;
        while shown(&feed.line()) != [name.as_str()] {}
        feed.signal(signal);
        assert_eq!(feed.end(), 0);
    }
}

#[tokio::test]
async fn follow_waits_for_new_events_and_ends_at_its_limit() {
    let shop = Shop::new();
    let store = shop.store().await;
    pay(&store, "1", "1").await;
    let from = [
        "feed", "--format", "jsonl", "--follow", "--from", "3", "--limit", "1",
    ];
    let feed = Running::start(shop.command(&from));
    pay(&store, "2", "2").await;
    pay(&store, "3", "3").await;
    assert_eq!(shown(&feed.line()), ["3"]);
    assert_eq!(feed.end(), 0);
}

#[tokio::test]
async fn a_consumer_has_one_holder_until_it_ends() {
    let shop = Shop::new();
    let store = shop.store().await;
    pay(&store, "1", "1").await;
    let follow = ["feed", "--format", "jsonl", "--consumer", "bot", "--follow"];
    let holder = Running::start(shop.command(&follow));
    holder.line();
    let second = shop.run(&["feed", "--consumer", "bot"]);
    assert_eq!((second.code, second.stdout.as_str()), (1, ""));
    assert!(second.stderr.contains("bot is in use"), "{}", second.stderr);
    assert_eq!(shop.feed(&["--consumer", "other"]), ["1"]);
    holder.signal("KILL");
    assert_eq!(holder.end(), -1);
    pay(&store, "2", "2").await;
    let after = shop.feed(&["--consumer", "bot"]);
    assert_eq!(after.last().unwrap(), "2");
}

#[test]
fn the_daemons_own_consumer_is_refused_while_it_runs() {
    let shop = Shop::new();
    let daemon = DatabaseLock::try_take(&shop.database(), "feed-stdout").unwrap();
    assert!(daemon.is_some());
    assert_eq!(shop.run(&["feed", "--consumer", "stdout"]).code, 1);
    drop(daemon);
    assert_eq!(shop.run(&["feed", "--consumer", "stdout"]).code, 0);
}

/// With hundreds, enough events to overflow a pipe.
pub async fn say_payments(store: &SqliteStore, count: usize) {
    let mut paid = Vec::new();
    for n in 0..count {
        let invoice = drop_in(store, &format!("ORD-{n}"), &format!("{n}")).await;
        paid.push(decided(
            &invoice,
            Observation::Seen(observed_order_of(&invoice, OrderState::Paid)),
        ));
    }
    commit(store, &paid).await;
}

#[tokio::test]
async fn a_closed_pipe_ends_the_feed_cleanly_without_loss() {
    let shop = Shop::new();
    let store = shop.store().await;
    say_payments(&store, 600).await;
    let mut feed = shop.command(&["feed", "--consumer", "bot"]);
    let mut feed = feed.stdout(Stdio::piped()).spawn().unwrap();
    drop(feed.stdout.take());
    assert_eq!(ended(&mut feed), 0);
    let acked = usize::try_from(shop.acked("bot").unwrap()).unwrap();
    // More than a pipe holds: a frame that was not read is not acknowledged.
    assert!(acked < 600, "{acked}");
    assert_eq!(shop.feed(&["--consumer", "bot"]).len(), 600 - acked);
}

#[test]
fn a_closed_pipe_is_noticed_while_nothing_is_written() {
    let shop = Shop::new();
    let mut feed = shop.command(&["feed", "--format", "hpub", "--follow"]);
    let mut feed = feed.stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = std::io::BufReader::new(feed.stdout.take().unwrap());
    let mut preamble = String::new();
    std::io::BufRead::read_line(&mut stdout, &mut preamble).unwrap();
    assert!(preamble.starts_with("CONNECT"), "{preamble}");
    drop(stdout);
    assert_eq!(ended(&mut feed), 0);
}

#[tokio::test]
async fn a_signal_ends_the_feed_while_stdout_is_blocked() {
    let shop = Shop::new();
    let store = shop.store().await;
    say_payments(&store, 600).await;
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut feed = shop.command(&["feed", "--follow"]);
    let mut feed = feed.stdout(Stdio::from(writer)).spawn().unwrap();
    // The first byte proves that it writes, and so that it listens for signals.
    std::io::Read::read_exact(&mut reader, &mut [0]).unwrap();
    let process = feed.id().to_string();
    let sent = std::process::Command::new("kill").arg(&process).status();
    assert!(sent.unwrap().success());
    assert_eq!(ended(&mut feed), 0);
    drop(reader);
}

/// Runs a command in a shell that closes stdout, or opens something for reading in its place.
fn with_stdout(shop: &Shop, redirection: &str, arguments: &str) -> Said {
    let program = env!("CARGO_BIN_EXE_payrecond");
    let line = format!("exec {program} {arguments} {redirection}");
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", &line])
        .current_dir(shop.database().parent().unwrap())
        .env_clear()
        .envs(crate::other_day::environment());
    command.output().unwrap().into()
}

#[tokio::test]
async fn a_stdout_that_cannot_be_written_is_an_error_before_anything_is_acknowledged() {
    let shop = Shop::new();
    let store = shop.store().await;
    pay(&store, "1", "1").await;
    let feeds = [
        "feed --consumer bot",
        "feed --consumer bot --format hpub --follow",
    ];
    for (place, redirection) in ["1</dev/null", "1<payrecond.toml", ">&-", "1<>/dev/null"]
        .into_iter()
        .enumerate()
    {
        for arguments in feeds {
            let said = with_stdout(&shop, redirection, arguments);
            assert_eq!(said.code, 1, "{arguments} {redirection}: {}", said.stderr);
            let shown = said.stderr.contains("stdout cannot be written");
            assert!(shown, "{arguments} {redirection}: {}", said.stderr);
        }
        assert_eq!(shop.acked("bot"), None, "no place was made");
        // Unwanted output is no reason to fail; output that cannot be written is one, before
        // anything is done.
        let is_refused = place < 2;
        let add = format!("add --external-id X{place} --order-id 90{place}");
        for arguments in ["feed", "list", "stats --json", "show 1", &add] {
            let said = with_stdout(&shop, redirection, arguments);
            let code = i32::from(is_refused);
            assert_eq!(
                said.code, code,
                "{arguments} {redirection}: {}",
                said.stderr
            );
        }
        let added = format!("SELECT count(*) FROM invoices WHERE external_id = 'X{place}'");
        let count = if is_refused { "0" } else { "1" };
        assert_eq!(sql(&shop.database(), &added).trim(), count, "{redirection}");
    }
    let kept = with_stdout(&shop, ">/dev/null", "feed --consumer bot");
    assert_eq!(kept.code, 0, "{}", kept.stderr);
    assert_eq!(shop.acked("bot"), Some(1), "thrown away on purpose");
}

#[tokio::test]
async fn every_valid_consumer_name_can_read() {
    let shop = Shop::new();
    let store = shop.store().await;
    pay(&store, "1", "1").await;
    for name in [
        "б".repeat(50),
        "付".repeat(64),
        "😀".repeat(64),
        "../../a/b".to_owned(),
        "a\u{3000}b\u{2003}c".to_owned(),
        "x".repeat(64),
        "-1001234567890:17".to_owned(),
    ] {
        let insert = format!("INSERT INTO consumers (name) VALUES ('{name}')");
        sql(&shop.database(), &insert);
        let held = Running::start(shop.command(&[
            "feed",
            "--format",
            "jsonl",
            "--follow",
            "--consumer",
            &name,
        ]));
        assert_eq!(shown(&held.line()), ["1"], "{name}");
        let second = shop.run(&["feed", "--consumer", &name]);
        assert!(second.stderr.contains("is in use"), "{}", second.stderr);
    }
    for name in ["a b", "a\u{a0}b", "a\tb"] {
        let refused = shop.run(&["feed", "--consumer", name]);
        assert_eq!(refused.code, 2, "{name:?}");
        let done = std::process::Command::new("sqlite3")
            .arg(shop.database())
            .arg(format!("INSERT INTO consumers (name) VALUES ('{name}')"))
            .output()
            .unwrap();
        assert!(!done.status.success(), "{name:?}");
    }
}
