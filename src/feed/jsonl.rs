//! The payload, one line each.

use super::Frame;

/// Appends the payload and a line feed.
pub fn line(frame: &Frame<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(frame.payload.as_bytes());
    out.push(b'\n');
}
