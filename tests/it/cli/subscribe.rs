//! `feed --follow --subscribe`: one client of the feed's socket, which the service manager passes
//! as stdin and stdout.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};

use payrecond::store::Store as _;
use payrecond::store::sqlite::DatabaseLock;

use super::feed::say_payments;
use super::{Shop, ended, into_review, pay};
use crate::PATIENCE;

const SERVE: [&str; 3] = ["feed", "--follow", "--subscribe"];

/// A client, and the process that serves it.
struct Client {
    socket: UnixStream,
    server: Child,
}

impl Client {
    fn connect(shop: &Shop) -> Self {
        let (socket, theirs) = UnixStream::pair().unwrap();
        // A test that waits for data that never comes fails.
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let both = |socket: UnixStream| Stdio::from(OwnedFd::from(socket));
        let server = shop
            .command(&SERVE)
            .stdin(both(theirs.try_clone().unwrap()))
            .stdout(both(theirs))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { socket, server }
    }

    fn subscribe(shop: &Shop, line: &str) -> Self {
        let mut client = Self::connect(shop);
        client.socket.write_all(line.as_bytes()).unwrap();
        client
    }

    /// The next line, with its end.
    fn line(&mut self) -> String {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            self.socket.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap()
    }

    /// The next frame: its subject and its external id.
    fn frame(&mut self) -> (String, String) {
        let head = self.line();
        let words: Vec<&str> = head.split_whitespace().collect();
        let ["MSG", subject, "1", bytes] = words[..] else {
            panic!("no frame: {head}");
        };
        let mut payload = vec![0; bytes.parse().unwrap()];
        self.socket.read_exact(&mut payload).unwrap();
        assert_eq!(self.line(), "\r\n");
        let event: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        let external_id = event["subject"].as_str().unwrap().to_owned();
        (subject.to_owned(), external_id)
    }

    /// Everything until the server closes, and its exit code.
    fn rest(mut self) -> (String, i32) {
        let mut rest = String::new();
        self.socket.read_to_string(&mut rest).unwrap();
        (rest, ended(&mut self.server))
    }

    /// Hangs up; returns the exit code of the server.
    fn hang_up(mut self) -> i32 {
        drop(self.socket);
        ended(&mut self.server)
    }
}

fn is_refusal(said: &str, reason: &str) -> bool {
    said.starts_with("-ERR '") && said.ends_with("'\r\n") && said.contains(reason)
}

#[tokio::test]
async fn a_client_gets_the_feed_of_its_consumer_and_continues_there() {
    let shop = Shop::new();
    let store = shop.store().await;
    pay(&store, "1", "1").await;
    let mut client = Client::subscribe(&shop, "SUB bot\r\n");
    let paid = |external_id: &str| ("payments.default.paid".to_owned(), external_id.to_owned());
    assert_eq!(client.frame(), paid("1"));
    pay(&store, "2", "2").await;
    assert_eq!(client.frame(), paid("2"));
    assert_eq!(client.hang_up(), 0);
    pay(&store, "3", "3").await;
    let mut again = Client::subscribe(&shop, "sub bot\n");
    // The last events may be repeated, if their acknowledgement was not written before the end.
    let mut next = again.frame();
    if next == paid("2") {
        next = again.frame();
    }
    assert_eq!(next, paid("3"));
}

#[tokio::test]
async fn a_pattern_filters_and_skipped_events_are_acknowledged() {
    let shop = Shop::new();
    let store = shop.store().await;
    pay(&store, "1", "1").await;
    into_review(&store, "2", "2").await;
    let mut client = Client::subscribe(&shop, "SUB bot payments.*.review\r\n");
    assert_eq!(client.frame().1, "2");
    assert_eq!(client.hang_up(), 0);
    assert!(store.consumer("bot").await.unwrap() >= 1);
}

#[tokio::test]
async fn a_client_that_hangs_up_while_idle_ends_its_process() {
    let shop = Shop::new();
    let store = shop.store().await;
    pay(&store, "1", "1").await;
    let mut client = Client::subscribe(&shop, "SUB bot\r\n");
    client.frame();
    while store.consumer("bot").await.unwrap() < 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.hang_up(), 0);
}

#[tokio::test]
async fn a_client_that_leaves_events_unread_ends_its_process_cleanly() {
    let shop = Shop::new();
    let store = shop.store().await;
    // More than the socket holds: the server waits to write.
    say_payments(&store, 600).await;
    let mut client = Client::subscribe(&shop, "SUB bot\r\n");
    client.frame();
    assert_eq!(client.hang_up(), 0);
}

#[tokio::test]
async fn a_client_that_closes_its_sending_side_still_reads() {
    let shop = Shop::new();
    let store = shop.store().await;
    let mut client = Client::subscribe(&shop, "SUB bot\r\n");
    client.socket.shutdown(Shutdown::Write).unwrap();
    pay(&store, "1", "1").await;
    assert_eq!(client.frame().1, "1");
    pay(&store, "2", "2").await;
    assert_eq!(client.frame().1, "2");
    assert_eq!(client.hang_up(), 0);
}

#[test]
fn a_name_in_use_is_refused() {
    let shop = Shop::new();
    let held = DatabaseLock::try_take(&shop.database(), "feed-bot").unwrap();
    assert!(held.is_some());
    let (said, code) = Client::subscribe(&shop, "SUB bot\r\n").rest();
    assert!(is_refusal(&said, "consumer bot is in use"), "{said}");
    assert_eq!(code, 1);
}

#[test]
fn an_invalid_first_line_is_refused_in_one_line() {
    let shop = Shop::new();
    let long = format!("SUB {}", "x".repeat(5000));
    let lines = [
        ("GET / HTTP/1.1\r\n", "SUB <consumer> [pattern]"),
        ("SUB\r\n", "SUB <consumer> [pattern]"),
        ("SUB a b c\r\n", "SUB <consumer> [pattern]"),
        ("SUB bot payments..paid\r\n", "payments..paid"),
        (&long, "too long"),
    ];
    for (line, reason) in lines {
        let (said, code) = Client::subscribe(&shop, line).rest();
        assert!(is_refusal(&said, reason), "{line:.30}: {said}");
        assert_eq!(code, 1);
    }
}

#[test]
fn a_client_without_a_database_gets_an_error_and_a_silent_one_ends_cleanly() {
    let shop = Shop::empty();
    let (said, code) = Client::subscribe(&shop, "SUB bot\r\n").rest();
    assert!(is_refusal(&said, "payrecond.db"), "{said}");
    assert_eq!(code, 1);
    assert_eq!(Client::connect(&shop).hang_up(), 0);
}

#[test]
fn subscribe_without_a_socket_is_refused() {
    let shop = Shop::new();
    let said = shop.run(&SERVE);
    assert_eq!((said.code, said.stdout.as_str()), (1, ""));
    assert!(said.stderr.contains("socket"), "{}", said.stderr);
}
