//! Content codings of a body. Their names have no case, and gzip has a second one (RFC 9110, 8.4.1);
//! an HTTP library that takes them to the letter hands packed bytes on as if they were text.

use std::collections::VecDeque;
use std::io::Write as _;

use bytes::{Buf as _, Bytes};
use flate2::write::MultiGzDecoder;

/// Packed bytes that are unpacked at a time: at most some hundred times as many come out.
const PIECE: usize = 1024;

/// The coding that is asked for.
pub(super) const ASKED: &str = "gzip";

/// Whether `name` is gzip, in any case and by either of its names.
fn is_gzip(name: &str) -> bool {
    ["gzip", "x-gzip"]
        .iter()
        .any(|gzip| name.eq_ignore_ascii_case(gzip))
}

/// Turns a body back into what it was before it was coded.
pub(super) struct Decoder {
    /// None: nothing was done to it.
    inflater: Option<Inflater>,
}

struct Inflater {
    unpacking: MultiGzDecoder<Vec<u8>>,
    packed: VecDeque<Bytes>,
    has_begun: bool,
}

impl Decoder {
    /// For the values of `Content-Encoding`, each a list. An error names the coding that nobody asked
    /// for.
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

    /// Takes the next bytes as they came.
    pub(super) fn take(&mut self, bytes: Bytes) -> Option<Bytes> {
        let Some(inflater) = &mut self.inflater else {
            return Some(bytes);
        };
        inflater.has_begun |= !bytes.is_empty();
        inflater.packed.push_back(bytes);
        None
    }

    /// The next piece of what was taken; None when more must be taken first.
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

    /// The end of the bytes: what is still in it, or an error where they end too early.
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
    fn names_of_codings_have_no_case() {
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
