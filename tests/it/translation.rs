//! The Russian README stays in step with the English one: the same headings, code, tables and
//! pictures in the same places. The text may differ; names, commands and settings may not.

use std::path::Path;

const ENGLISH: &str = include_str!("../../README.md");
const RUSSIAN: &str = include_str!("../../README.ru.md");

/// Its figures would become outdated in two places, so the Russian one links to them.
const FIGURES: &str = "| what | payrecond | beside it |";

/// What both must have, in order.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// Its level.
    Heading(usize),
    /// All lines, with the language.
    Code(Vec<String>),
    /// The names between backquotes of each row, sorted, since another language has another word
    /// order.
    Table(Vec<Vec<String>>),
    Picture(String),
}

fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let mut code = vec![language.to_owned()];
            code.extend(
                lines
                    .by_ref()
                    .take_while(|line| !line.starts_with("```"))
                    .map(str::to_owned),
            );
            parts.push(Part::Code(code));
        } else if line.starts_with('|') {
            let mut rows = vec![names(line)];
            while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
                rows.push(names(row));
            }
            if line != FIGURES {
                parts.push(Part::Table(rows));
            }
        } else if line.starts_with('#') {
            let depth = line.chars().take_while(|c| *c == '#').count();
            parts.push(Part::Heading(depth));
        } else if line.starts_with("![") {
            let target = line.split("](").nth(1).unwrap_or_default();
            parts.push(Part::Picture(target.to_owned()));
        }
    }
    parts
}

fn names(row: &str) -> Vec<String> {
    let mut names: Vec<String> = row
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}

#[test]
fn both_readmes_have_the_same_headings_code_tables_and_pictures() {
    let (english, russian) = (parts(ENGLISH), parts(RUSSIAN));
    for (ours, theirs) in english.iter().zip(&russian) {
        assert_eq!(
            ours, theirs,
            "README.md on the left, README.ru.md on the right"
        );
    }
    assert_eq!(english.len(), russian.len());
    let code = |part: &&Part| matches!(part, Part::Code(_));
    assert!(english.iter().filter(code).count() >= 10);
}

#[test]
fn each_readme_links_to_the_other_at_its_top() {
    for (text, link) in [(ENGLISH, "](README.ru.md)"), (RUSSIAN, "](README.md)")] {
        let top: Vec<&str> = text.lines().take(3).collect();
        assert!(top.iter().any(|line| line.contains(link)), "{top:?}");
    }
}

#[test]
fn links_of_the_russian_readme_are_valid() {
    for link in RUSSIAN.split("](").skip(1) {
        let target = link.split([')', '#']).next().unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(target);
        assert!(path.exists(), "{target}");
    }
}
