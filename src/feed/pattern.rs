//! Subject patterns, by the rules of NATS.

use std::str::FromStr;

/// A pattern: tokens joined by dots, where `*` matches one token and `>`, at the end, one or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    tokens: Vec<Token>,
    /// Whether the pattern ends in `>`.
    open_ended: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Any,
}

/// Why a text is not a pattern. Each message shows the text and what is expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The text is empty.
    #[error("subject pattern is empty; expected tokens joined by dots, such as payments.*.paid")]
    Empty,
    /// Two dots in a row, or a dot at an end.
    #[error(
        "subject pattern {0:?} has an empty token; expected tokens joined by single dots, such as payments.*.paid"
    )]
    EmptyToken(String),
    /// White space or a control character.
    #[error("subject pattern {0:?} contains white space or a control character; remove it")]
    WhiteSpace(String),
    /// A wildcard beside other characters.
    #[error("subject pattern {0:?} has a wildcard inside a token; * and > must be whole tokens")]
    WildcardInToken(String),
    /// `>` before the end.
    #[error("subject pattern {0:?} continues after >; > matches the rest and must come last")]
    NotLast(String),
    /// Longer than any subject.
    #[error("subject pattern has {0} bytes; at most {LONGEST_BYTES} are allowed")]
    TooLong(usize),
}

/// Longest pattern, in bytes. NATS advises subjects of at most 256.
const LONGEST_BYTES: usize = 1024;

impl Pattern {
    /// Parses a pattern.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let refused = |kind: fn(String) -> PatternError| Err(kind(text.to_owned()));
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > LONGEST_BYTES {
            return Err(PatternError::TooLong(text.len()));
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return refused(PatternError::WhiteSpace);
        }
        let mut pattern = Self {
            tokens: Vec::new(),
            open_ended: false,
        };
        for token in text.split('.') {
            if pattern.open_ended {
                return refused(PatternError::NotLast);
            }
            match token {
                "" => return refused(PatternError::EmptyToken),
                "*" => pattern.tokens.push(Token::Any),
                ">" => pattern.open_ended = true,
                word if word.contains(['*', '>']) => {
                    return refused(PatternError::WildcardInToken);
                }
                word => pattern.tokens.push(Token::Word(word.to_owned())),
            }
        }
        Ok(pattern)
    }

    /// Whether the pattern matches `subject`.
    pub fn matches(&self, subject: &str) -> bool {
        let mut subject_tokens = subject.split('.');
        let head_agrees = self
            .tokens
            .iter()
            .all(|token| subject_tokens.next().is_some_and(|part| token.is(part)));
        // The subject was compared up to the length of the pattern.
        head_agrees && subject_tokens.next().is_some() == self.open_ended
    }
}

impl Token {
    fn is(&self, part: &str) -> bool {
        match self {
            Self::Word(word) => word == part,
            Self::Any => !part.is_empty(),
        }
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}
