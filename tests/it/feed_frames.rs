//! Frames and patterns of the feed, parsed like other programs do, and by a real server.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use payrecond::feed::{
    Format, Frame, Pattern, PatternError, SubscribeError, Subscription, is_consumer_name,
};
use proptest::prelude::*;

use crate::PATIENCE;
use crate::faults::program::is_missing;
use crate::free_port::free_port;

const ID: &str = "7f3f0a5e-9a34-5d57-8a50-0d8f27ad7a0c";

fn encoded(format: Format, frames: &[Frame<'_>]) -> Vec<u8> {
    let mut out = format.preamble().to_vec();
    for frame in frames {
        format.encode(frame, &mut out);
    }
    out
}

#[test]
fn frames_are_byte_exact() {
    let frame = Frame {
        subject: "payments.default.paid",
        event_id: ID,
        payload: r#"{"metadata":"я🥚"}"#,
    };
    assert_eq!(frame.payload.len(), 21);
    assert_eq!(
        encoded(Format::Nats, &[frame]),
        "MSG payments.default.paid 1 21\r\n{\"metadata\":\"я🥚\"}\r\n".as_bytes()
    );
    assert_eq!(
        encoded(Format::Hpub, &[frame]),
        format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":true}}\r\n\
             HPUB payments.default.paid 122 143\r\nNATS/1.0\r\nNats-Msg-Id: {ID}\r\n\
             Content-Type: application/cloudevents+json; charset=UTF-8\r\n\r\n\
             {{\"metadata\":\"я🥚\"}}\r\n"
        )
        .into_bytes()
    );
    assert_eq!(
        encoded(Format::Jsonl, &[frame]),
        "{\"metadata\":\"я🥚\"}\n".as_bytes()
    );
}

#[test]
fn names_of_formats_round_trip() {
    for format in Format::ALL {
        assert_eq!(Format::parse(format.as_str()), Some(format));
    }
    assert_eq!(Format::parse("off"), None);
    assert_eq!(Format::parse("NATS"), None);
}

/// A message in a NATS client.
#[derive(Debug, PartialEq, Eq)]
struct Message {
    subject: String,
    headers: Vec<(String, String)>,
    payload: Vec<u8>,
}

/// Parses the protocol like clients: a control line up to CR LF, then the given number of bytes,
/// then CR LF. The payload may contain anything, including line ends.
fn read_message(reader: &mut impl BufRead) -> Option<Message> {
    let line = read_control_line(reader)?;
    Some(read_body(&line, reader))
}

fn read_body(control_line: &str, reader: &mut impl BufRead) -> Message {
    let words: Vec<&str> = control_line.split(' ').collect();
    let (subject, header_len, total_len) = match words.as_slice() {
        ["MSG", subject, _, total] => (subject, 0, total.parse().unwrap()),
        ["HMSG", subject, _, header, total] | ["HPUB", subject, header, total] => {
            (subject, header.parse().unwrap(), total.parse().unwrap())
        }
        other => panic!("not a message: {other:?}"),
    };
    let mut body = vec![0; total_len];
    reader.read_exact(&mut body).unwrap();
    let mut end = [0; 2];
    reader.read_exact(&mut end).unwrap();
    assert_eq!(&end, b"\r\n");
    let payload = body.split_off(header_len);
    Message {
        subject: (*subject).to_owned(),
        headers: read_headers(&String::from_utf8(body).unwrap()),
        payload,
    }
}

fn read_control_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    let length = reader.read_line(&mut line).unwrap();
    (length > 0).then(|| line.strip_suffix("\r\n").unwrap().to_owned())
}

fn read_headers(block: &str) -> Vec<(String, String)> {
    if block.is_empty() {
        return Vec::new();
    }
    let lines = block.strip_prefix("NATS/1.0\r\n").unwrap();
    let lines = lines.strip_suffix("\r\n").unwrap();
    lines
        .split_terminator("\r\n")
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

proptest! {
    #[test]
    fn frames_round_trip(
        rows in prop::collection::vec(
            ("[a-z]{1,9}(\\.[a-z0-9_-]{1,9}){1,3}", "[0-9a-f-]{1,36}", any::<String>()),
            0..8,
        ),
    ) {
        let frames: Vec<Frame<'_>> = rows
            .iter()
            .map(|(subject, event_id, payload)| Frame { subject, event_id, payload })
            .collect();
        for format in [Format::Nats, Format::Hpub] {
            let bytes = encoded(format, &frames);
            let mut reader = bytes.strip_prefix(format.preamble()).unwrap();
            for frame in &frames {
                let headers = match format {
                    Format::Hpub => headers(frame),
                    Format::Nats | Format::Jsonl => Vec::new(),
                };
                let expected = Message {
                    subject: frame.subject.to_owned(),
                    headers,
                    payload: frame.payload.as_bytes().to_vec(),
                };
                prop_assert_eq!(read_message(&mut reader), Some(expected));
            }
            prop_assert_eq!(read_message(&mut reader), None);
        }
    }

    #[test]
    fn lines_round_trip(payloads in prop::collection::vec("[^\r\n]*", 0..8)) {
        let mut out = Vec::new();
        for payload in &payloads {
            Format::Jsonl.encode(&Frame { subject: "s", event_id: ID, payload }, &mut out);
        }
        let text = String::from_utf8(out).unwrap();
        prop_assert_eq!(text.split_terminator('\n').collect::<Vec<_>>(), payloads);
    }
}

#[test]
fn patterns_follow_the_rules_of_nats() {
    for (pattern, subject, matches) in [
        ("payments.default.paid", "payments.default.paid", true),
        ("payments.default.paid", "payments.default.expired", false),
        ("payments.default", "payments.default.paid", false),
        ("payments.default.paid", "payments.default", false),
        ("payments.*.paid", "payments.default.paid", true),
        ("payments.*.paid", "payments.paid", false),
        ("payments.*.paid", "payments.a.b.paid", false),
        ("payments.*", "payments.default.paid", false),
        ("*.*.*", "payments.default.paid", true),
        ("*", "payments", true),
        ("*", "payments.default", false),
        (">", "payments", true),
        (">", "payments.default.paid", true),
        ("payments.>", "payments", false),
        ("payments.>", "payments.default", true),
        ("payments.>", "payments.default.paid", true),
        ("payments.default.paid.>", "payments.default.paid", false),
        ("*.>", "payments", false),
        ("*.default.>", "payments.default.paid", true),
        ("Payments.>", "payments.default", false),
        ("payments.defaul", "payments.default", false),
    ] {
        let parsed = Pattern::parse(pattern).unwrap();
        assert_eq!(parsed.matches(subject), matches, "{pattern} {subject}");
    }
}

#[test]
fn an_invalid_pattern_is_refused_with_its_text_and_rule() {
    use PatternError as E;
    let empty: fn(String) -> E = E::EmptyToken;
    for (text, kind) in [
        (".", empty),
        ("a.", empty),
        (".a", empty),
        ("a..b", empty),
        ("a b", E::WhiteSpace),
        ("a.\tb", E::WhiteSpace),
        (" a", E::WhiteSpace),
        ("a\r\n", E::WhiteSpace),
        ("a\u{a0}b", E::WhiteSpace),
        ("a\u{0}b", E::WhiteSpace),
        ("a*", E::WildcardInToken),
        ("a.*b.c", E::WildcardInToken),
        ("**", E::WildcardInToken),
        ("a.>>", E::WildcardInToken),
        ("a.b>", E::WildcardInToken),
        (">.a", E::NotLast),
        ("a.>.b", E::NotLast),
        ("a.>.>", E::NotLast),
    ] {
        let refusal = Pattern::parse(text).unwrap_err();
        assert_eq!(refusal, kind(text.to_owned()));
        assert!(refusal.to_string().contains(&format!("{text:?}")));
    }
    assert_eq!(Pattern::parse(""), Err(E::Empty));
    assert_eq!(
        Pattern::parse(&"a".repeat(1025)),
        Err(E::TooLong(1025)),
        "as long as one likes"
    );
}

/// A second implementation of the rules: a recursive comparison of both token lists.
fn reference(pattern: &[&str], subject: &[&str]) -> bool {
    match (pattern, subject) {
        ([], []) | ([">"], [_, ..]) => true,
        ([], _) | (_, []) => false,
        ([p, pattern @ ..], [s, subject @ ..]) => {
            (*p == "*" || p == s) && reference(pattern, subject)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn patterns_agree_with_a_reference(
        pattern in prop::collection::vec("[ab*]", 1..5),
        open_ended in any::<bool>(),
        subject in prop::collection::vec("[ab]", 1..6),
    ) {
        let mut tokens: Vec<&str> = pattern.iter().map(String::as_str).collect();
        if open_ended {
            tokens.push(">");
        }
        let subject: Vec<&str> = subject.iter().map(String::as_str).collect();
        let parsed = Pattern::parse(&tokens.join(".")).unwrap();
        prop_assert_eq!(parsed.matches(&subject.join(".")), reference(&tokens, &subject));
    }

    #[test]
    fn no_pattern_text_panics(text in "[ab.*> \t]{0,8}|.{0,12}") {
        let tokens: Vec<&str> = text.split('.').collect();
        let (last, others) = tokens.split_last().unwrap();
        let word = |token: &str| {
            !token.is_empty()
                && !token.contains(|c: char| c.is_whitespace() || c.is_control())
                && (token == "*" || !token.contains(['*', '>']))
        };
        let right = others.iter().all(|token| word(token)) && (*last == ">" || word(last));
        prop_assert_eq!(Pattern::parse(&text).is_ok(), right);
    }

    #[test]
    fn no_first_line_panics(line in prop::collection::vec(any::<u8>(), 0..80)) {
        drop(Subscription::parse(&line));
    }
}

#[test]
fn a_first_line_has_a_consumer_and_a_pattern() {
    let pattern = |text| Some(Pattern::parse(text).unwrap());
    for (line, consumer, wanted) in [
        ("SUB bot\r\n", "bot", None),
        ("SUB bot\n", "bot", None),
        ("SUB bot", "bot", None),
        (
            "sub bot payments.*.paid\r\n",
            "bot",
            pattern("payments.*.paid"),
        ),
        ("SUB  bot\t> \r\n", "bot", pattern(">")),
        ("SUB касса-1\r\n", "касса-1", None),
    ] {
        let asked = Subscription::parse(line.as_bytes()).unwrap();
        assert_eq!(asked.consumer, consumer);
        assert_eq!(asked.pattern, wanted);
    }
    for (line, refusal) in [
        (&b""[..], SubscribeError::NotSub),
        (b"\r\n", SubscribeError::NotSub),
        (b"SUB\r\n", SubscribeError::NotSub),
        (b"PUB bot\r\n", SubscribeError::NotSub),
        (b"SUBbot\r\n", SubscribeError::NotSub),
        (b"SUB bot payments.> 1\r\n", SubscribeError::NotSub),
        (b"SUB \xff\r\n", SubscribeError::NotText),
        (b"SUB a\rb\r\n", SubscribeError::Consumer("a\rb".into())),
        (b"SUB a\nb\r\n", SubscribeError::Consumer("a\nb".into())),
        (
            b"SUB bot a..b\r\n",
            SubscribeError::Pattern(PatternError::EmptyToken("a..b".into())),
        ),
    ] {
        assert_eq!(Subscription::parse(line), Err(refusal));
    }
    let long = format!("SUB {}\r\n", "x".repeat(2048));
    assert_eq!(
        Subscription::parse(long.as_bytes()),
        Err(SubscribeError::TooLong)
    );
}

#[test]
fn a_consumer_name_follows_the_databases_rule() {
    for good in [
        "a",
        "stdout",
        "a.b:c/d",
        "a\u{3000}b\u{2028}c",
        &"я".repeat(64),
        &"😀".repeat(64),
    ] {
        assert!(is_consumer_name(good), "{good}");
    }
    for bad in [
        "",
        "a b",
        "a\tb",
        "a\u{1b}[2J",
        "a\u{a0}b",
        "a\u{85}b",
        &"x".repeat(65),
    ] {
        assert!(!is_consumer_name(bad), "{bad:?}");
    }
}

/// The headers of a published frame.
fn headers(frame: &Frame<'_>) -> Vec<(String, String)> {
    [
        ("Nats-Msg-Id", frame.event_id),
        (
            "Content-Type",
            "application/cloudevents+json; charset=UTF-8",
        ),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// A separate nats-server on loopback, ended with the test.
struct Server {
    child: Child,
    port: u16,
    _files: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Starts a server; None if none is installed.
fn start_server() -> Option<Server> {
    let files = tempfile::tempdir().unwrap();
    for program in ["nats-server", "/usr/sbin/nats-server"] {
        let port = free_port();
        let started = Command::new(program)
            .args(["--addr", "127.0.0.1", "--port", &port.to_string()])
            .arg("--jetstream")
            .arg("--store_dir")
            .arg(files.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        if let Ok(child) = started {
            return Some(Server {
                child,
                port,
                _files: files,
            });
        }
    }
    None
}

impl Server {
    /// A raw connection, after the server has accepted it and sent its greeting.
    fn connect(&self) -> BufReader<TcpStream> {
        let pause = Duration::from_millis(20);
        let tries = PATIENCE.as_millis() / pause.as_millis();
        for _ in 0..tries {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", self.port)) {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut reader = BufReader::new(stream);
                let greeting = read_control_line(&mut reader).unwrap();
                assert!(greeting.starts_with("INFO {"), "{greeting}");
                return reader;
            }
            std::thread::sleep(pause);
        }
        panic!("the server takes no connection");
    }
}

/// A client that subscribes to the stream's subjects and to answers.
struct Client(BufReader<TcpStream>);

impl Client {
    fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// The next control line for the test; the server's own PINGs are answered.
    fn line(&mut self) -> String {
        loop {
            let line = read_control_line(&mut self.0).unwrap();
            if line != "PING" {
                return line;
            }
            self.send(b"PONG\r\n");
        }
    }

    fn message(&mut self) -> Message {
        let line = self.line();
        read_body(&line, &mut self.0)
    }

    /// Waits until the server has processed everything sent before.
    fn settle(&mut self) {
        self.send(b"PING\r\n");
        assert_eq!(self.line(), "PONG");
    }

    /// The JSON answer to a JetStream request.
    fn ask(&mut self, subject: &str, request: &str) -> serde_json::Value {
        let length = request.len();
        self.send(format!("PUB {subject} answers {length}\r\n{request}\r\n").as_bytes());
        let answer = self.message();
        assert_eq!(answer.subject, "answers");
        serde_json::from_slice(&answer.payload).unwrap()
    }
}

#[test]
fn a_real_server_stores_repeated_hpub_frames_once() {
    let Some(server) = start_server() else {
        return is_missing("nats-server");
    };
    let rows = [
        ("payments.default.pending", "id-1", r#"{"n":"1"}"#),
        (
            "payments.default.paid",
            "id-2",
            r#"{"n":"2","metadata":"яйца 🥚"}"#,
        ),
        (
            "payments.second-shop.expired",
            "id-3",
            "{\"n\":\"3\",\"text\":\"\\r\\n\"}",
        ),
    ];
    let frames = rows.map(|(subject, event_id, payload)| Frame {
        subject,
        event_id,
        payload,
    });

    let mut client = Client(server.connect());
    client.send(Format::Hpub.preamble());
    client.send(b"SUB answers 9\r\n");
    client.settle();
    let stream = r#"{"name":"PAYMENTS","subjects":["payments.>"],"storage":"memory"}"#;
    let made = client.ask("$JS.API.STREAM.CREATE.PAYMENTS", stream);
    assert_eq!(made["error"], serde_json::Value::Null, "{made}");
    client.send(b"SUB payments.> 1\r\n");
    client.settle();

    // Like `feed --format hpub | nc`, twice.
    for _ in 0..2 {
        let mut pipe = Client(server.connect());
        pipe.send(&encoded(Format::Hpub, &frames));
        pipe.settle();
    }

    for frame in frames.iter().chain(&frames) {
        let expected = Message {
            subject: frame.subject.to_owned(),
            headers: headers(frame),
            payload: frame.payload.as_bytes().to_vec(),
        };
        assert_eq!(client.message(), expected);
    }
    client.send(b"UNSUB 1\r\n");
    let state = client.ask("$JS.API.STREAM.INFO.PAYMENTS", "");
    assert_eq!(state["state"]["messages"], 3, "{state}");
    assert_eq!(state["state"]["last_seq"], 3, "{state}");
}
