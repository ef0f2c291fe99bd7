//! Patterns of subjects, by the rules of NATS.

use std::str::FromStr;

/// A pattern: tokens between points, where `*` stands for one token and `>`, at the end, for all
/// the rest, at least one.
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

/// Why a text is no pattern. Each names the text and what is right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing at all.
    #[error("an empty subject pattern: write tokens between points, such as payments.*.paid")]
    Empty,
    /// Two points in a row, or one at an end.
    #[error(
        "subject pattern {0:?} has an empty token: one point between two tokens, none at the ends"
    )]
    EmptyToken(String),
    /// White space or a control character.
    #[error("subject pattern {0:?} has white space or a control character: tokens have neither")]
    WhiteSpace(String),
    /// A wildcard beside other characters.
    #[error(
        "subject pattern {0:?} has a wildcard within a token: * and > stand alone between points"
    )]
    WildcardInToken(String),
    /// `>` before the end.
    #[error("subject pattern {0:?} goes on after >: it stands for all the rest and comes last")]
    NotLast(String),
    /// Longer than any subject.
    #[error("a subject pattern of {0} bytes: at most {LONGEST_BYTES}")]
    TooLong(usize),
}

/// Longest pattern, in bytes. NATS advises subjects of at most 256.
const LONGEST_BYTES: usize = 1024;

impl Pattern {
    /// Reads a pattern.
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

    /// Whether `subject` is one that the pattern means.
    pub fn matches(&self, subject: &str) -> bool {
        let mut subject_tokens = subject.split('.');
        let head_agrees = self
            .tokens
            .iter()
            .all(|token| subject_tokens.next().is_some_and(|told| token.is(told)));
        // Here the subject is read up to where the pattern's own tokens end.
        head_agrees && subject_tokens.next().is_some() == self.open_ended
    }
}

impl Token {
    fn is(&self, told: &str) -> bool {
        match self {
            Self::Word(word) => word == told,
            Self::Any => !told.is_empty(),
        }
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}
