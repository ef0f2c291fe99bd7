//! A pattern, a line end, a subject: by the rules of NATS, told a second time and in another way.
//! The same bytes are the first line of a subscriber too.

use payrecond::feed::{Pattern, Subscription, is_consumer_name};

/// # Panics
/// When a law does not hold.
pub fn check(data: &[u8]) {
    if let Ok(subscription) = Subscription::parse(data) {
        assert!(is_consumer_name(&subscription.consumer));
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (pattern, subject) = text.split_once('\n').unwrap_or((text, ""));
    let parsed = Pattern::parse(pattern);
    assert_eq!(
        parsed.is_ok(),
        is_pattern(pattern),
        "{pattern:?}: {parsed:?}"
    );
    let Ok(parsed) = parsed else {
        return;
    };
    let words: Vec<&str> = subject.split('.').collect();
    if words.contains(&"") {
        return;
    }
    let tokens: Vec<&str> = pattern.split('.').collect();
    assert_eq!(
        parsed.matches(subject),
        fits(&tokens, &words),
        "{pattern:?} {subject:?}"
    );
}

fn is_pattern(text: &str) -> bool {
    let tokens: Vec<&str> = text.split('.').collect();
    let last = tokens.len() - 1;
    text.len() <= 1024
        && tokens
            .iter()
            .enumerate()
            .all(|(place, token)| match *token {
                "*" => true,
                ">" => place == last,
                word => !word.is_empty() && !word.contains(unfit),
            })
}

fn unfit(c: char) -> bool {
    c == '*' || c == '>' || c.is_whitespace() || c.is_control()
}

fn fits(tokens: &[&str], words: &[&str]) -> bool {
    match (tokens, words) {
        ([], []) | ([">"], [_, ..]) => true,
        ([token, tokens @ ..], [word, words @ ..]) => {
            (*token == "*" || token == word) && fits(tokens, words)
        }
        _ => false,
    }
}
