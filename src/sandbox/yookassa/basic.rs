//! HTTP Basic: the credentials in the header `Authorization`.

use axum::http::{HeaderMap, header};

/// `shopId:secret`, both nonempty.
pub(super) fn credentials(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    let text = String::from_utf8(decode(encoded.trim())?).ok()?;
    let (shop, secret) = text.split_once(':')?;
    let complete = !shop.is_empty() && !secret.is_empty();
    (scheme.eq_ignore_ascii_case("basic") && complete).then_some(text)
}

/// Base64 with or without its padding.
fn decode(encoded: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut held, mut bits) = (0_u32, 0);
    for sign in encoded.trim_end_matches('=').bytes() {
        let value = match sign {
            b'A'..=b'Z' => sign - b'A',
            b'a'..=b'z' => sign - b'a' + 26,
            b'0'..=b'9' => sign - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        held = (held << 6) | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((held >> bits) & 0xFF).unwrap_or_default());
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        credentials(&headers)
    }

    #[test]
    fn shop_and_secret_are_both_needed() {
        assert_eq!(
            read("Basic MTAwNTAwOnRlc3Rfa2V5").as_deref(),
            Some("100500:test_key")
        );
        assert_eq!(read("basic YTpi").as_deref(), Some("a:b"));
        assert_eq!(read("Basic OnNlY3JldA=="), None, ":secret");
        assert_eq!(read("Basic c2hvcDo="), None, "shop:");
        assert_eq!(read("Basic ?"), None);
        assert_eq!(read("Bearer YTpi"), None);
    }
}
