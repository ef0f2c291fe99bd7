//! A page of the documentation, as tests parse it: blocks of code with their marks, text, tables.

use std::fs;
use std::path::{Path, PathBuf};

pub const README: &str = "README.md";
const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Directories with pages that are not documentation, or not ours.
const LEFT_OUT: [&str; 4] = ["target", "tests", "fuzz", ".git"];

/// How a block is run, by the comment above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    None,
    /// `run`: must succeed.
    Run,
    /// `run: background`: runs until the end of the page.
    Background,
    /// `run: until it succeeds`: repeated, because something else must happen first.
    UntilItSucceeds,
    /// `run: until it shows TEXT`: repeated until stdout has the text.
    UntilItShows(String),
    /// `not run: WHY`.
    NotRun,
    /// `file: PATH`: the content of that file.
    File(String),
}

/// A block of code.
#[derive(Clone, Debug)]
pub struct Block {
    /// Number of its first line, from 1.
    pub line: usize,
    pub language: String,
    pub mark: Mark,
    pub text: String,
}

/// The initial state for a page's commands: `<!-- scene: … -->`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// An empty directory.
    Empty,
    /// A new database.
    Database,
    /// A new database, and a running sandbox and daemon.
    Sandbox,
}

pub struct Page {
    /// From the root of the repo: `docs/sql.md`.
    pub path: String,
    pub text: String,
}

/// Every page of the documentation.
pub fn pages() -> Vec<Page> {
    let mut paths = Vec::new();
    find(Path::new(ROOT), &mut paths);
    paths.sort();
    let relative = |path: &PathBuf| {
        path.strip_prefix(ROOT)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    };
    let pages: Vec<Page> = paths
        .iter()
        .map(|path| Page::read(&relative(path)))
        .collect();
    assert!(pages.len() >= 15, "{} pages found", pages.len());
    pages
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            let is_left_out = folder == Path::new(ROOT) && LEFT_OUT.contains(&name.as_str());
            if !is_left_out {
                find(&path, found);
            }
        } else if path.extension().is_some_and(|end| end == "md") {
            found.push(path);
        }
    }
}

impl Page {
    pub fn read(path: &str) -> Self {
        let text = fs::read_to_string(Path::new(ROOT).join(path));
        Self {
            path: path.to_owned(),
            text: text.unwrap_or_else(|error| panic!("{path}: {error}")),
        }
    }

    pub fn scene(&self) -> Setting {
        let named = self
            .text
            .lines()
            .find_map(|line| comment(line)?.strip_prefix("scene: "));
        match named {
            Some("empty") => Setting::Empty,
            None | Some("database") => Setting::Database,
            Some("sandbox") => Setting::Sandbox,
            Some(other) => panic!("{}: no scene {other}", self.path),
        }
    }

    /// A block within a list is indented, and so are its lines.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<(usize, Block)> = None;
        let mut above = "";
        for (index, line) in self.text.lines().enumerate() {
            let fence = line.trim_start().strip_prefix("```");
            match (&mut open, fence) {
                (None, Some(language)) => {
                    let block = Block {
                        line: index + 2,
                        language: language.to_owned(),
                        mark: self.mark(above),
                        text: String::new(),
                    };
                    open = Some((line.len() - line.trim_start().len(), block));
                }
                (Some(_), Some(_)) => blocks.extend(open.take().map(|(_, block)| block)),
                (Some((indent, block)), None) => {
                    block.text.push_str(line.get(*indent..).unwrap_or_default());
                    block.text.push('\n');
                }
                (None, None) => {}
            }
            above = line;
        }
        assert!(open.is_none(), "{}: a block does not end", self.path);
        blocks
    }

    fn mark(&self, above: &str) -> Mark {
        let Some(words) = comment(above) else {
            return Mark::None;
        };
        match words.split_once(": ").unwrap_or((words, "")) {
            ("run", "") => Mark::Run,
            ("run", "background") => Mark::Background,
            ("run", "until it succeeds") => Mark::UntilItSucceeds,
            ("run", rest) => match rest.strip_prefix("until it shows ") {
                Some(text) => Mark::UntilItShows(text.to_owned()),
                None => panic!("{}: no mark {words}", self.path),
            },
            ("not run", why) if !why.is_empty() => Mark::NotRun,
            ("file", file) if !file.is_empty() => Mark::File(file.to_owned()),
            ("scene", _) => Mark::None,
            _ => panic!("{}: no mark {words}", self.path),
        }
    }

    /// The text without blocks of code.
    pub fn prose(&self) -> String {
        let mut inside = false;
        let mut prose = String::new();
        for line in self.text.lines() {
            let is_fence = line.trim_start().starts_with("```");
            inside ^= is_fence;
            if !inside && !is_fence {
                prose.push_str(line);
                prose.push('\n');
            }
        }
        prose
    }

    /// All commands: in shell blocks and between backquotes.
    pub fn command_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for block in self.blocks().iter().filter(|block| block.language == "sh") {
            lines.extend(block.text.lines().map(str::to_owned));
        }
        let prose = self.prose();
        let in_prose = prose.lines().filter(|line| !line.contains("[--config"));
        lines.extend(in_prose.flat_map(quoted).map(str::to_owned));
        lines
    }

    /// The rows of the first table under a heading, cell by cell.
    pub fn table(&self, heading: &str) -> Vec<Vec<String>> {
        let under = self.text.split(&format!("\n## {heading}\n")).nth(1);
        let section = under.unwrap_or_else(|| panic!("{}: no heading {heading}", self.path));
        let section = section.split("\n## ").next().unwrap();
        let rows = section
            .lines()
            .skip_while(|line| !line.starts_with('|'))
            .take_while(|line| line.starts_with('|'))
            .skip(2);
        rows.map(|row| {
            let cells = row.trim_matches('|').split(" | ");
            cells.map(|cell| cell.trim().to_owned()).collect()
        })
        .collect()
    }
}

impl Block {
    /// SQL runs unless marked otherwise; commands run if marked.
    pub fn runs(&self) -> bool {
        match self.mark {
            Mark::NotRun | Mark::File(_) => false,
            Mark::None => self.language == "sql",
            Mark::Run | Mark::Background | Mark::UntilItSucceeds | Mark::UntilItShows(_) => true,
        }
    }
}

/// The text of a line that is a comment.
fn comment(line: &str) -> Option<&str> {
    let inside = line.trim().strip_prefix("<!--")?.strip_suffix("-->")?;
    Some(inside.trim())
}

/// The texts between backquotes on a line.
pub fn quoted(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}
