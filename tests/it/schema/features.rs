//! Triggers, defaults and the view run in the programs' SQLite, from 3.34 on.

use std::fs;

/// Words and operators that newer versions have, or that are optional.
const TOO_NEW: &[&str] = &[
    "->",
    "unixepoch(",
    "strict",
    "returning",
    "json_error_position(",
    "jsonb",
    "json_pretty(",
    "format(",
    "timediff(",
    "octet_length(",
    "concat(",
    "concat_ws(",
    "string_agg(",
    "unhex(",
    "materialized",
    "drop column",
    " is distinct",
    " is not distinct",
    "right join",
    "full join",
    "full outer",
    "median(",
    "percentile",
    "if(",
    "sign(",
    "ceil(",
    "floor(",
    "log(",
    "sqrt(",
    "pow(",
    "mod(",
    "subsec",
    "nulls first",
    "generated always",
    " with ",
    "regexp",
    "match ",
    "unistr",
    "load_extension",
    "fts",
    "on conflict (",
];

#[test]
fn the_schema_needs_nothing_newer_than_sqlite_3_34() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let sql = code(&fs::read_to_string(&path).unwrap()).to_lowercase();
        files += 1;
        for word in TOO_NEW {
            assert!(
                !sql.contains(word),
                "{}: '{word}' is too new or not everywhere",
                path.display()
            );
        }
        // UPDATE … FROM: within an UPDATE, a FROM may occur only within parentheses.
        for update in sql
            .split(';')
            .filter(|statement| statement.contains("update invoices\n"))
        {
            assert!(!update.contains("\n  from "), "UPDATE FROM: {update}");
        }
        assert!(!sql.contains('"'), "double quotes are not names everywhere");
    }
    assert!(files > 0);
}

/// The statements without comments and texts.
fn code(sql: &str) -> String {
    let lines = sql
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default());
    let joined = lines.collect::<Vec<_>>().join("\n");
    joined.split('\'').step_by(2).collect::<Vec<_>>().join("''")
}
