//! A subject, an id and a payload, a line each: each format reads back as it was written.

use payrecond::feed::{Format, Frame};

/// # Panics
/// When a law does not hold.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut lines = text.splitn(3, '\n');
    let (Some(subject), Some(event_id), Some(payload)) = (lines.next(), lines.next(), lines.next())
    else {
        return;
    };
    let is_token = |text: &str| {
        !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
    };
    if !is_token(subject) || !is_token(event_id) {
        return;
    }
    let frame = Frame {
        subject,
        event_id,
        payload,
    };
    for format in Format::ALL {
        let mut bytes = format.preamble().to_vec();
        format.encode(&frame, &mut bytes);
        format.encode(&frame, &mut bytes);
        match format {
            Format::Jsonl if payload.contains(['\n', '\r']) => {}
            Format::Jsonl => assert_eq!(bytes, format!("{payload}\n{payload}\n").into_bytes()),
            Format::Nats => {
                let rest = message(&bytes, &frame);
                assert_eq!(message(rest, &frame), b"");
            }
            Format::Hpub => {
                let (connect, rest) = line(&bytes);
                assert!(connect.starts_with(b"CONNECT {"));
                let rest = publication(rest, &frame);
                assert_eq!(publication(rest, &frame), b"");
            }
        }
    }
}

/// Up to the next line end, and what follows it.
fn line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes
        .windows(2)
        .position(|pair| pair == b"\r\n")
        .expect("a line ends");
    (&bytes[..end], &bytes[end + 2..])
}

fn message<'a>(bytes: &'a [u8], frame: &Frame<'_>) -> &'a [u8] {
    let (control, rest) = line(bytes);
    let words = words(control);
    assert_eq!(words[..3], ["MSG", frame.subject, "1"]);
    let (payload, rest) = rest.split_at(number(words[3]));
    assert_eq!(payload, frame.payload.as_bytes());
    rest.strip_prefix(b"\r\n")
        .expect("a message ends with its line")
}

fn publication<'a>(bytes: &'a [u8], frame: &Frame<'_>) -> &'a [u8] {
    let (control, rest) = line(bytes);
    let words = words(control);
    assert_eq!(words[..2], ["HPUB", frame.subject]);
    let (header_bytes, all_bytes) = (number(words[2]), number(words[3]));
    let (all, rest) = rest.split_at(all_bytes);
    let (header, payload) = all.split_at(header_bytes);
    let id = frame.event_id;
    assert_eq!(
        header,
        format!(
            "NATS/1.0\r\nNats-Msg-Id: {id}\r\nContent-Type: application/cloudevents+json; charset=UTF-8\r\n\r\n"
        )
        .as_bytes()
    );
    assert_eq!(payload, frame.payload.as_bytes());
    rest.strip_prefix(b"\r\n")
        .expect("a publication ends with its line")
}

fn words(control: &[u8]) -> Vec<&str> {
    let control = std::str::from_utf8(control).expect("control lines are text");
    control.split(' ').collect()
}

fn number(word: &str) -> usize {
    word.parse().expect("a number of bytes")
}
