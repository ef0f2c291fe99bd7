//! The string literals of a Rust source, without comments.

/// A string literal.
pub struct Literal {
    /// The line that it begins on, from 1.
    pub line: usize,
    /// Its text, with continued lines joined.
    pub text: String,
}

/// The rest of a source, read character by character.
struct Cursor<'a> {
    rest: std::str::Chars<'a>,
    line: usize,
}

impl Cursor<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        if next == Some('\n') {
            self.line += 1;
        }
        next
    }

    fn begins(&self, text: &str) -> bool {
        self.rest.as_str().starts_with(text)
    }

    fn skip(&mut self, characters: usize) {
        for _ in 0..characters {
            self.next();
        }
    }

    fn skip_past(&mut self, end: &str) {
        while !self.begins(end) && self.next().is_some() {}
        self.skip(end.chars().count());
    }
}

/// All string literals of `source`, in order.
pub fn literals(source: &str) -> Vec<Literal> {
    let mut cursor = Cursor {
        rest: source.chars(),
        line: 1,
    };
    let mut found = Vec::new();
    loop {
        if cursor.begins("//") {
            cursor.skip_past("\n");
        } else if let Some(hashes) = raw_hashes(cursor.rest.as_str()) {
            found.push(raw(&mut cursor, hashes));
        } else if cursor.begins("\"") {
            found.push(plain(&mut cursor));
        } else if let Some(length) = character(cursor.rest.as_str()) {
            cursor.skip(length);
        } else if cursor.next().is_none() {
            return found;
        }
    }
}

/// The number of `#` of a raw string that begins here.
fn raw_hashes(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix('r')?;
    let hashes = after.chars().take_while(|c| *c == '#').count();
    after[hashes..].starts_with('"').then_some(hashes)
}

fn raw(cursor: &mut Cursor<'_>, hashes: usize) -> Literal {
    let line = cursor.line;
    cursor.skip(hashes + 2);
    let end = format!("\"{}", "#".repeat(hashes));
    let mut text = String::new();
    while !cursor.begins(&end) {
        match cursor.next() {
            Some(c) => text.push(c),
            None => break,
        }
    }
    cursor.skip(end.len());
    Literal { line, text }
}

fn plain(cursor: &mut Cursor<'_>) -> Literal {
    let line = cursor.line;
    cursor.skip(1);
    let mut text = String::new();
    while let Some(c) = cursor.next() {
        match c {
            '"' => break,
            '\\' if cursor.begins("\n") => {
                while cursor.rest.as_str().starts_with(char::is_whitespace) {
                    cursor.next();
                }
            }
            '\\' => {
                cursor.next();
                text.push(' ');
            }
            c => text.push(c),
        }
    }
    Literal { line, text }
}

/// The length of a character literal that begins here, so that `'"'` does not begin a string.
fn character(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('\'')?;
    let mut characters = inside.chars();
    match characters.next()? {
        '\\' => Some(inside.chars().take_while(|c| *c != '\'').count().max(2) + 2),
        _ => (characters.next()? == '\'').then_some(3),
    }
}

#[test]
fn literals_are_found_without_comments_and_characters() {
    let source = "let a = \"one \\\n   two\"; // \"no\"\nlet b = '\"'; let c = r#\"th\"ree\"#; let d = '\\''; \"four\"";
    let found = literals(source);
    let texts: Vec<&str> = found.iter().map(|one| one.text.as_str()).collect();
    assert_eq!(texts, ["one two", "th\"ree", "four"]);
    assert_eq!(found[1].line, 3);
}
