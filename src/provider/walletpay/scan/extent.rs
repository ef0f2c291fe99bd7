//! Where a piece of JSON ends.

use super::is_space;

/// Deepest nesting within one piece.
const DEEPEST: u32 = 32;

/// The extent of a piece of JSON.
pub(super) struct Extent {
    /// Other values are bare words, which have no end of their own.
    has_end: bool,
    in_string: bool,
    escaped: bool,
    depth: u32,
}

impl Extent {
    pub(super) fn beginning_with(byte: u8) -> Self {
        Self {
            has_end: matches!(byte, b'{' | b'[' | b'"'),
            in_string: false,
            escaped: false,
            depth: 0,
        }
    }

    /// Where the piece ends in `bytes`; None if it continues.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>, String> {
        if !self.has_end {
            let ends = |b: &u8| matches!(b, b',' | b'}' | b']') || is_space(*b);
            return Ok(bytes.iter().position(ends));
        }
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if self.escaped {
                self.escaped = false;
            } else if self.in_string {
                let plain = |b: &u8| !matches!(b, b'"' | b'\\');
                at += bytes[at..].iter().take_while(|b| plain(b)).count();
                match bytes.get(at) {
                    None => return Ok(None),
                    Some(b'\\') => self.escaped = true,
                    Some(_) => {
                        self.in_string = false;
                        if self.depth == 0 {
                            return Ok(Some(at + 1));
                        }
                    }
                }
            } else {
                match byte {
                    b'"' => self.in_string = true,
                    b'{' | b'[' => {
                        self.depth += 1;
                        if self.depth > DEEPEST {
                            return Err(format!("nested deeper than {DEEPEST}"));
                        }
                    }
                    b'}' | b']' => {
                        self.depth = self.depth.saturating_sub(1);
                        if self.depth == 0 {
                            return Ok(Some(at + 1));
                        }
                    }
                    _ => {}
                }
            }
            at += 1;
        }
        Ok(None)
    }
}
