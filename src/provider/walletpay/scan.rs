//! Splits an order list into its items while it arrives.
//!
//! The list is `{"status":…,"data":{"items":[…]}}` with the keys in any order and up to 10000
//! items. The scanner knows only where the members of the two objects and the items of the array
//! begin and end. Each piece is passed on whole, to be parsed by serde. At most one piece is kept
//! in memory, and only if it is spread over several chunks; the result does not depend on where
//! chunks are cut.

mod extent;

use std::mem;

use serde::de::IgnoredAny;

use self::extent::Extent;

/// Longest member or item, in bytes. Real items have about 600.
const LONGEST_PIECE: usize = 64 * 1024;
const BYTE_ORDER_MARK: [u8; 3] = *b"\xef\xbb\xbf";
/// Keys that may occur only once, with the object in which they count.
const SINGLE: [(Level, &str); 4] = [
    (Level::Root, "status"),
    (Level::Root, "message"),
    (Level::Root, "data"),
    (Level::Data, "items"),
];

/// A piece of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A member of the outermost object that is not the list; its value is valid JSON.
    Member { key: &'a str, value: &'a str },
    /// The array of items begins.
    Items,
    /// One item, not yet parsed.
    Item(&'a str),
}

/// The object that a key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Root,
    Data,
}

/// What may come next, apart from white space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    /// This byte of a byte order mark or, at the first byte, the object.
    Mark(usize),
    Object,
    KeyOrEnd(Level),
    Key(Level),
    Colon(Level),
    Value(Level),
    CommaOrEnd(Level),
    ItemOrEnd,
    Item,
    CommaOrEndOfItems,
    Nothing,
}

/// A list being received.
pub(super) struct Scanner {
    expect: Expect,
    /// The piece that has begun but not ended.
    open: Option<Extent>,
    /// Its bytes from earlier chunks.
    begun: Vec<u8>,
    key: String,
    /// Which of `SINGLE` have occurred.
    seen: [bool; SINGLE.len()],
}

impl Scanner {
    pub(super) fn new() -> Self {
        Self {
            expect: Expect::Mark(0),
            open: None,
            begun: Vec::new(),
            key: String::new(),
            seen: [false; SINGLE.len()],
        }
    }

    /// Takes the next bytes and passes on the pieces that they complete. Must not be called after
    /// an error.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        sink: &mut impl FnMut(Piece<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = if self.open.is_some() {
                self.go_on(rest, sink)?
            } else {
                self.step(rest, sink)?
            };
        }
        Ok(())
    }

    /// Ends the input; fails if it is incomplete.
    pub(super) fn finish(&self) -> Result<(), String> {
        match self.expect {
            Expect::Nothing => Ok(()),
            _ => Err("broken JSON: ends early".to_owned()),
        }
    }

    /// Processes one structural byte.
    fn step<'b>(
        &mut self,
        bytes: &'b [u8],
        sink: &mut impl FnMut(Piece<'_>) -> Result<(), String>,
    ) -> Result<&'b [u8], String> {
        if let Expect::Mark(at) = self.expect {
            return self.step_mark(at, bytes);
        }
        let Some(at) = bytes.iter().position(|b| !is_space(*b)) else {
            return Ok(&[]);
        };
        let (byte, rest) = (bytes[at], &bytes[at..]);
        self.expect = match (self.expect, byte) {
            (Expect::Object, b'{') => Expect::KeyOrEnd(Level::Root),
            (Expect::KeyOrEnd(level) | Expect::CommaOrEnd(level), b'}') => match level {
                Level::Root => Expect::Nothing,
                Level::Data => Expect::CommaOrEnd(Level::Root),
            },
            (Expect::CommaOrEnd(level), b',') => Expect::Key(level),
            (Expect::Colon(level), b':') => Expect::Value(level),
            (Expect::Value(Level::Root), b'{') if self.key == "data" => {
                Expect::KeyOrEnd(Level::Data)
            }
            (Expect::Value(Level::Data), b'[') if self.key == "items" => {
                sink(Piece::Items)?;
                Expect::ItemOrEnd
            }
            (Expect::ItemOrEnd | Expect::CommaOrEndOfItems, b']') => {
                Expect::CommaOrEnd(Level::Data)
            }
            (Expect::CommaOrEndOfItems, b',') => Expect::Item,
            (Expect::KeyOrEnd(_) | Expect::Key(_), b'"')
            | (Expect::Value(_) | Expect::ItemOrEnd | Expect::Item, _) => {
                self.open = Some(Extent::beginning_with(byte));
                return Ok(rest);
            }
            _ => return Err("broken JSON: not an order list".to_owned()),
        };
        Ok(&rest[1..])
    }

    fn step_mark<'b>(&mut self, at: usize, bytes: &'b [u8]) -> Result<&'b [u8], String> {
        let is_mark = bytes.first() == BYTE_ORDER_MARK.get(at);
        self.expect = match (at, is_mark) {
            (0, false) => {
                self.expect = Expect::Object;
                return Ok(bytes);
            }
            (_, false) => return Err("not UTF-8".to_owned()),
            (2, true) => Expect::Object,
            (_, true) => Expect::Mark(at + 1),
        };
        Ok(&bytes[1..])
    }

    /// Continues the open piece.
    fn go_on<'b>(
        &mut self,
        bytes: &'b [u8],
        sink: &mut impl FnMut(Piece<'_>) -> Result<(), String>,
    ) -> Result<&'b [u8], String> {
        let Some(extent) = &mut self.open else {
            return Ok(bytes);
        };
        let end = extent.advance(bytes)?;
        let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
        if self.begun.len() + part.len() > LONGEST_PIECE {
            return Err(format!("an item larger than {LONGEST_PIECE} bytes"));
        }
        if end.is_none() {
            self.begun.extend_from_slice(part);
            return Ok(rest);
        }
        self.open = None;
        if self.begun.is_empty() {
            self.complete(part, sink)?;
        } else {
            let mut whole = mem::take(&mut self.begun);
            whole.extend_from_slice(part);
            self.complete(&whole, sink)?;
            whole.clear();
            self.begun = whole;
        }
        Ok(rest)
    }

    fn complete(
        &mut self,
        piece: &[u8],
        sink: &mut impl FnMut(Piece<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        let piece = std::str::from_utf8(piece).map_err(|_| "not UTF-8".to_owned())?;
        let broken = |error: serde_json::Error| format!("broken JSON: {error}");
        self.expect = match self.expect {
            Expect::KeyOrEnd(level) | Expect::Key(level) => {
                self.key = serde_json::from_str(piece).map_err(broken)?;
                self.note_key(level)?;
                Expect::Colon(level)
            }
            Expect::Value(level) => {
                serde_json::from_str::<IgnoredAny>(piece).map_err(broken)?;
                if level == Level::Root {
                    let key = &self.key;
                    sink(Piece::Member { key, value: piece })?;
                }
                Expect::CommaOrEnd(level)
            }
            _ => {
                sink(Piece::Item(piece))?;
                Expect::CommaOrEndOfItems
            }
        };
        Ok(())
    }

    fn note_key(&mut self, level: Level) -> Result<(), String> {
        let single = SINGLE.iter().position(|at| *at == (level, &self.key));
        match single.map(|index| mem::replace(&mut self.seen[index], true)) {
            Some(true) => Err(format!("duplicate field `{}`", self.key)),
            Some(false) | None => Ok(()),
        }
    }
}

/// JSON white space.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// The items as texts; the input is split at `cuts`.
    fn scan(bytes: &[u8], cuts: &[usize]) -> Result<Vec<String>, String> {
        let mut items = Vec::new();
        let mut scanner = Scanner::new();
        let mut from = 0;
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        ends.sort_unstable();
        for to in ends.into_iter().chain([bytes.len()]) {
            scanner.feed(&bytes[from..to], &mut |piece| {
                if let Piece::Item(item) = piece {
                    items.push(item.to_owned());
                }
                Ok(())
            })?;
            from = to;
        }
        scanner.finish().map(|()| items)
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f32>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            Just(json!("\\\"{[}]\\")),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn items_match_a_whole_parse_wherever_chunks_end(
            items in prop::collection::vec(any_json(), 0..8),
            extra in any_json(),
            extra_first in any::<bool>(),
            pretty in any::<bool>(),
            cuts in prop::collection::vec(any::<usize>(), 0..12),
        ) {
            let data = json!({"before": extra, "items": items, "total": 1});
            let extra_key = if extra_first { "a" } else { "z" };
            let whole = json!({"data": data, "status": "SUCCESS", extra_key: extra});
            let text = if pretty { serde_json::to_string_pretty(&whole) } else { serde_json::to_string(&whole) };
            let found = scan(text.unwrap().as_bytes(), &cuts).unwrap();
            let found: Vec<Value> = found.iter().map(|item| serde_json::from_str(item).unwrap()).collect();
            let whole: Value = serde_json::from_str(&whole.to_string()).unwrap();
            prop_assert_eq!(Value::from(found), whole["data"]["items"].clone());
        }

        #[test]
        fn no_bytes_panic_and_chunks_do_not_matter(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..200),
                "[\\{\\}\\[\\]\",:\\\\ edatimsu01-]{0,120}".prop_map(String::into_bytes),
                "\\{\"data\":\\{\"items\":\\[[\\{\\}\\[\\]\",:\\\\ a1]{0,60}".prop_map(String::into_bytes),
            ],
            cuts in prop::collection::vec(any::<usize>(), 0..12),
        ) {
            prop_assert_eq!(scan(&bytes, &cuts), scan(&bytes, &[]));
        }

        #[test]
        fn truncated_input_is_never_complete(cut in 1usize..60) {
            let text = br#"{"status":"SUCCESS","data":{"items":[{"id":1},{"id":2}]}}"#;
            let cut = cut.min(text.len());
            prop_assert!(scan(&text[..text.len() - cut], &[]).is_err());
        }
    }

    #[test]
    fn limits_hold_with_any_chunks() {
        let long = format!(
            r#"{{"data":{{"items":["{}"]}}}}"#,
            "x".repeat(LONGEST_PIECE)
        );
        assert!(scan(long.as_bytes(), &[]).unwrap_err().contains("larger"));
        let cuts: Vec<usize> = (0..long.len()).step_by(100).collect();
        assert!(scan(long.as_bytes(), &cuts).unwrap_err().contains("larger"));
        let deep = format!(r#"{{"data":{{"items":[{}"#, "[".repeat(40));
        assert!(scan(deep.as_bytes(), &[]).unwrap_err().contains("deeper"));
    }

    #[test]
    fn a_byte_order_mark_and_outer_white_space_are_ignored() {
        let text = b"\xef\xbb\xbf \r\n{ \"data\" : { \"items\" : [ 1 , \"a\" ] } } \n";
        assert_eq!(scan(text, &[1, 2, 3]), Ok(vec!["1".into(), "\"a\"".into()]));
        assert!(scan(b"\xef\xbb{}", &[]).is_err());
        assert!(scan(br#"{"data":{"items":[1]}} x"#, &[]).is_err());
    }

    #[test]
    fn a_significant_key_occurs_once() {
        for twice in [
            r#"{"data":{"items":[]},"data":{"items":[]}}"#,
            r#"{"data":{"items":[],"items":[]}}"#,
            r#"{"data":null,"d\u0061ta":{"items":[]}}"#,
            r#"{"status":"SUCCESS","status":"SUCCESS","data":{"items":[]}}"#,
        ] {
            let said = scan(twice.as_bytes(), &[]).unwrap_err();
            assert!(said.contains("duplicate"), "{said}");
        }
    }
}
