//! The texts of the program: user-facing text follows the glossary, and log messages are
//! searchable.

mod literals;

use std::fs;
use std::path::{Path, PathBuf};

use self::literals::{Literal, literals};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Words and phrases that the glossary replaces, in lower case. A word is matched alone, a phrase
/// anywhere.
const BANNED_WORDS: &[&str] = &[
    "look",
    "looks",
    "looked",
    "sighting",
    "sightings",
    "glance",
    "news",
    "duty",
    "duties",
    "anew",
    "nobody",
    "somebody",
    "whoever",
    "throttle",
    "readers",
    "told",
    "tells",
    "aloud",
    "folder",
];
const BANNED_PHRASES: &[&str] = &[
    "could not ask",
    "cannot be asked",
    "not asked about",
    "came to no end",
    "last turn",
    "no turn for",
    "used just now",
    "usable just now",
    "all that was said",
    "is not fed",
    "trying on",
    "accepted is",
    "accepted are",
    "dropped in",
    "drop in",
    "put in an invoice",
    "stood still",
    "stands still",
    "one reader a name",
    "folded in",
    "no such key",
    "in trouble",
];

/// Literals that are not texts for people.
const NOT_FOR_PEOPLE: &[&str] = &[
    "SELECT ", "INSERT ", "UPDATE ", "DELETE ", "CREATE ", "PRAGMA ", " FROM ",
];

/// The production sources, with their paths below `src`.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(ROOT).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is_test = path.file_stem().is_some_and(|stem| stem == "tests");
            if path.is_dir() && !is_test {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && !is_test {
                let text = fs::read_to_string(&path).unwrap();
                let production = text.split("#[cfg(test)]\nmod tests").next().unwrap();
                found.push((path, production.to_owned()));
            }
        }
    }
    assert!(found.len() > 100, "{}", found.len());
    found
}

/// The banned words and phrases in a text.
fn banned(text: &str) -> Vec<&'static str> {
    let text = without_tags(&text.to_lowercase());
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).collect();
    let is_word = |banned: &&str| words.contains(banned);
    let is_phrase = |banned: &&str| text.contains(*banned);
    let words = BANNED_WORDS.iter().copied().filter(is_word);
    words
        .chain(BANNED_PHRASES.iter().copied().filter(is_phrase))
        .collect()
}

/// Whether people may read a literal: it contains a space, and no SQL.
fn is_for_people(literal: &Literal) -> bool {
    let is_sql = NOT_FOR_PEOPLE
        .iter()
        .any(|word| literal.text.contains(word));
    literal.text.trim().contains(' ') && !is_sql
}

fn help(command: &mut clap::Command, texts: &mut Vec<String>) {
    texts.push(command.render_long_help().to_string());
    for subcommand in command.get_subcommands_mut() {
        help(subcommand, texts);
    }
}

#[test]
fn user_facing_text_follows_the_glossary() {
    let mut texts: Vec<(String, String)> = Vec::new();
    for (path, source) in sources() {
        let found = literals(&source).into_iter().filter(is_for_people);
        texts.extend(found.map(|one| (format!("{}:{}", path.display(), one.line), one.text)));
    }
    let mut helps = Vec::new();
    help(&mut payrecond::cli::command(), &mut helps);
    texts.extend(helps.into_iter().map(|text| ("help".to_owned(), text)));
    for entry in fs::read_dir(Path::new(ROOT).join("pages")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "html") {
            let text = fs::read_to_string(&path).unwrap();
            texts.push((path.display().to_string(), without_tags(&text)));
        }
    }
    assert!(texts.len() > 500, "{} texts found", texts.len());
    let broken: Vec<String> = texts
        .iter()
        .filter(|(_, text)| !banned(text).is_empty())
        .map(|(place, text)| format!("{place}: {:?} in {text:?}", banned(text)))
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// A text without tags, expressions and arguments.
fn without_tags(html: &str) -> String {
    let mut text = String::new();
    let mut depth = 0_u32;
    for c in html.chars() {
        match c {
            '<' | '{' => depth += 1,
            '>' | '}' => depth = depth.saturating_sub(1),
            c if depth == 0 => text.push(c),
            _ => {}
        }
    }
    text
}

/// The arguments of each `tracing` macro in a source, with the line that it begins on.
fn logged(source: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for level in ["error", "warn", "info", "debug", "trace"] {
        let call = format!("tracing::{level}!(");
        for (at, _) in source.match_indices(&call) {
            let rest = &source[at + call.len()..];
            let end = closing_parenthesis(rest);
            let line = source[..at].lines().count();
            found.push((line, &rest[..end]));
        }
    }
    found
}

/// Where the parenthesis closes that was opened just before `rest`.
fn closing_parenthesis(rest: &str) -> usize {
    let mut depth = 1_u32;
    let end = rest.char_indices().find(|(_, c)| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    end.map_or(rest.len(), |(at, _)| at)
}

/// A log message is one literal at the end without arguments inside, so that people can search for
/// it.
#[test]
fn log_messages_are_constant_text() {
    let mut seen = 0;
    for (path, source) in sources() {
        for (line, arguments) in logged(&source) {
            let place = format!("{}:{line}: {arguments}", path.display());
            let message = literals(arguments)
                .pop()
                .unwrap_or_else(|| panic!("{place}"));
            let ends_with_it = arguments.trim_end().trim_end_matches(',').ends_with('"');
            assert!(ends_with_it, "the message is not last in {place}");
            assert!(
                !message.text.contains(['{', '}']),
                "an argument inside {place}"
            );
            assert!(!message.text.ends_with('.'), "a full stop in {place}");
            seen += 1;
        }
    }
    assert!(seen >= 50, "{seen} log messages found");
}

/// Errors begin in lower case and end without a full stop, so that they can be joined.
#[test]
fn errors_are_lower_case_without_a_full_stop() {
    let mut seen = 0;
    for (path, source) in sources() {
        for rest in source.split("#[error(").skip(1) {
            let attribute = rest.split(")]").next().unwrap();
            let Some(message) = literals(attribute).into_iter().next() else {
                continue;
            };
            let text = message.text;
            let place = format!("{}: {text:?}", path.display());
            assert!(!text.ends_with('.'), "{place}");
            let upper: Vec<char> = text.chars().take(2).collect();
            // Names such as HTTP and SUB keep their case.
            let is_sentence =
                upper.len() == 2 && upper[0].is_uppercase() && upper[1].is_lowercase();
            assert!(!is_sentence, "{place}");
            seen += 1;
        }
    }
    assert!(seen >= 20, "{seen} errors found");
}
