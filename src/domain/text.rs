//! Sanitizes text from outside before it reaches a terminal, a log line or a column.

/// Longest provider text that is kept, in characters.
const LONGEST: usize = 500;

/// `text` on one line, without control characters (C0, DEL, C1) and without bidirectional
/// formatting characters, cut to 500 characters.
pub fn one_line(text: &str) -> String {
    let mut kept: String = text.chars().map(harmless).take(LONGEST).collect();
    kept.truncate(kept.trim_end().len());
    kept
}

fn harmless(c: char) -> char {
    let turns_direction =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks_line = matches!(c, '\u{2028}' | '\u{2029}');
    if c.is_control() || turns_direction || breaks_line {
        ' '
    } else {
        c
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_removed() {
        assert_eq!(
            one_line("a\r\nb\u{1b}[2Jc\u{9b}d\u{202e}e"),
            "a  b [2Jc d e"
        );
        assert_eq!(one_line(&"я".repeat(900)).chars().count(), 500);
    }
}
