//! Two frames of the NATS client protocol: what a subscriber reads and what a publisher sends.
//!
//! Lengths are in bytes and do not include the line end of a frame.

use super::Frame;

/// The first line of a publisher. A server refuses `HPUB` unless headers were announced.
pub const CONNECT: &[u8] = b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\n";

/// What an event is: without this header a message with headers would be an event in binary mode.
pub const CONTENT_TYPE: &str = "application/cloudevents+json; charset=UTF-8";

/// The subscription id of a message. There is only one.
const SUBSCRIPTION: &str = "1";

/// Appends `MSG <subject> 1 <bytes>`, the payload, and their line ends.
pub fn message(frame: &Frame<'_>, out: &mut Vec<u8>) {
    let bytes = frame.payload.len();
    append(out, &["MSG ", frame.subject, " ", SUBSCRIPTION, " "]);
    append(out, &[&bytes.to_string(), "\r\n", frame.payload, "\r\n"]);
}

/// Appends `HPUB <subject> <header bytes> <total bytes>`, the header with the event's id, by which
/// JetStream recognizes a repeated event, and its content type, the payload, and their line ends.
pub fn publication(frame: &Frame<'_>, out: &mut Vec<u8>) {
    let header = [
        "NATS/1.0\r\nNats-Msg-Id: ",
        frame.event_id,
        "\r\nContent-Type: ",
        CONTENT_TYPE,
        "\r\n\r\n",
    ];
    let header_bytes: usize = header.iter().map(|part| part.len()).sum();
    let total_bytes = header_bytes + frame.payload.len();
    let lengths = format!(" {header_bytes} {total_bytes}\r\n");
    append(out, &["HPUB ", frame.subject, &lengths]);
    append(out, &header);
    append(out, &[frame.payload, "\r\n"]);
}

fn append(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}
