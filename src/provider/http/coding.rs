//! Content codings of a body. Their names are case-insensitive, and gzip has a second one (RFC
//! 9110, 8.4.1); an HTTP library that compares names exactly returns compressed bytes as if they
//! were text.

use std::collections::VecDeque;
use std::io::Write as _;

use bytes::{Buf as _, Bytes};
use flate2::write::MultiGzDecoder;

/// Compressed bytes decoded at a time; the output is at most some hundred times as long.
const PIECE: usize = 1024;

/// The requested coding.
pub(super) const ASKED: &str = "gzip";

/// Whether `name` is gzip, in any case and by either of its names.
fn is_gzip(name: &str) -> bool {
    ["gzip", "x-gzip"]
        .iter()
        .any(|gzip| name.eq_ignore_ascii_case(gzip))
}

/// Decodes a body.
pub(super) struct Decoder {
    /// None if the body is not encoded.
    inflater: Option<Inflater>,
}

struct Inflater {
    unpacking: MultiGzDecoder<Vec<u8>>,
    packed: VecDeque<Bytes>,
    has_begun: bool,
}

impl Decoder {
    /// Creates a decoder for the values of `Content-Encoding`, each of which is a list. An error
    /// names the unrequested coding.
    pub(super) fn of<'v>(values: impl Iterator<Item = &'v str>) -> Result<Self, String> {
        let names = values.flat_map(|value| value.split(',')).map(str::trim);
        let mut codings =
            names.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"));
        let inflater = match (codings.next(), codings.next()) {
            (None, _) => None,
            (Some(name), None) if is_gzip(name) => Some(Inflater {
                unpacking: MultiGzDecoder::new(Vec::new()),
                packed: VecDeque::new(),
                has_begun: false,
            }),
            (Some(name), None) => return Err(name.to_owned()),
            (Some(name), Some(further)) => return Err(format!("{name}, {further}")),
        };
        Ok(Self { inflater })
    }

    /// Takes the next received bytes.
    pub(super) fn take(&mut self, bytes: Bytes) -> Option<Bytes> {
        let Some(inflater) = &mut self.inflater else {
            return Some(bytes);
        };
        inflater.has_begun |= !bytes.is_empty();
        inflater.packed.push_back(bytes);
        None
    }

    /// The next decoded piece; None if more bytes are needed.
    pub(super) fn next(&mut self) -> std::io::Result<Option<Bytes>> {
        let Some(inflater) = &mut self.inflater else {
            return Ok(None);
        };
        while let Some(packed) = inflater.packed.front_mut() {
            let piece = packed.split_to(PIECE.min(packed.remaining()));
            if packed.is_empty() {
                inflater.packed.pop_front();
            }
            inflater.unpacking.write_all(&piece)?;
            if let Some(unpacked) = inflater.unpacked() {
                return Ok(Some(unpacked));
            }
        }
        Ok(None)
    }

    /// Ends the input: returns the rest, or an error if the input is incomplete.
    pub(super) fn finish(&mut self) -> std::io::Result<Option<Bytes>> {
        let begun = self.inflater.take().filter(|inflater| inflater.has_begun);
        let Some(mut inflater) = begun else {
            return Ok(None);
        };
        inflater.unpacking.try_finish()?;
        Ok(inflater.unpacked())
    }
}

impl Inflater {
    fn unpacked(&mut self) -> Option<Bytes> {
        let unpacked = std::mem::take(self.unpacking.get_mut());
        (!unpacked.is_empty()).then(|| unpacked.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoder(values: &[&str]) -> Result<Decoder, String> {
        Decoder::of(values.iter().copied())
    }

    #[test]
    fn names_of_codings_are_case_insensitive() {
        for gzip in [
            "gzip",
            "GZIP",
            "Gzip",
            "x-gzip",
            "X-GZip",
            "identity, gzip",
            " gzip ",
        ] {
            assert!(decoder(&[gzip]).unwrap().inflater.is_some(), "{gzip}");
        }
        for plain in [&[][..], &[""], &["identity"], &["Identity"], &[" , "]] {
            assert!(decoder(plain).unwrap().inflater.is_none(), "{plain:?}");
        }
        for (values, named) in [
            (&["br"][..], "br"),
            (&["gzip, gzip"], "gzip, gzip"),
            (&["gzip", "br"], "gzip, br"),
        ] {
            assert_eq!(decoder(values).err().as_deref(), Some(named));
        }
    }
}
