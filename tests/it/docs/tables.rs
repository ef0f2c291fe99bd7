//! Tables and names in the documentation match the program.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::PROGRAM;
use super::page::{Page, pages, quoted};

const CONFIGURATION: &str = include_str!("../../../config.example.toml");

/// Every key of the configuration, as `polling.jitter`.
fn keys() -> BTreeSet<String> {
    let mut section = "";
    let mut keys = BTreeSet::new();
    for line in CONFIGURATION.lines() {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            keys.insert(format!("{section}.{key}"));
        }
    }
    keys
}

fn help(command: Option<&str>) -> String {
    let output = Command::new(PROGRAM).args(command).arg("--help").output();
    let output = output.unwrap();
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_variable_that_a_page_names_is_a_key() {
    let keys = keys();
    for page in pages() {
        for rest in page.text.split("PAYRECOND__").skip(1) {
            let is_name = |c: &char| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == '_';
            let name: String = rest.chars().take_while(is_name).collect();
            let levels = name
                .split("__")
                .filter(|level| level.parse::<u32>().is_err());
            let key = levels.collect::<Vec<_>>().join(".").to_lowercase();
            let is_key = name.is_empty() || keys.contains(&key);
            assert!(is_key, "{}: PAYRECOND__{name}", page.path);
        }
    }
}

#[test]
fn the_command_table_is_that_of_the_program() {
    let shown = help(None);
    let commands: Vec<&str> = shown
        .lines()
        .take_while(|line| *line != "Options:")
        .filter_map(|line| line.strip_prefix("  "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let rows = Page::read("docs/commands.md").table("Command line");
    let told: Vec<&str> = rows
        .iter()
        .map(|row| quoted(&row[0])[0].split(' ').next().unwrap())
        .collect();
    assert_eq!(told, commands);
    for (row, command) in rows.iter().zip(commands) {
        let shown = help(Some(command));
        let options: BTreeSet<&str> = shown
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("--"))
            .filter_map(|option| option.split_whitespace().next())
            .filter(|option| *option != "config")
            .collect();
        let told: BTreeSet<&str> = quoted(&row[2])
            .into_iter()
            .map(|option| option.trim_start_matches('-'))
            .collect();
        assert_eq!(told, options, "options of {command}");
    }
}

#[test]
fn every_log_message_that_operations_explains_is_written_by_the_program() {
    let mut sources = String::new();
    read_sources(
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
        &mut sources,
    );
    let rows = Page::read("docs/operations.md").table("Log messages");
    assert!(rows.len() >= 9, "{rows:?}");
    for row in rows {
        let message = quoted(&row[0])[0].to_owned();
        assert!(sources.contains(&message), "{message}");
    }
}

fn read_sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_sources(&path, text);
        } else {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}
