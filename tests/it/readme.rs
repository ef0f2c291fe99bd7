//! The README keeps its word: its commands exist, its tables are the program's. That its scripts run
//! is for `examples` to show.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const README: &str = include_str!("../../README.md");
const SCRIPT: &str = include_str!("../../examples/bot.py");
const FEED_SCRIPT: &str = include_str!("../../examples/feed.py");
const CONFIGURATION: &str = include_str!("../../config.example.toml");
const PROGRAM: &str = env!("CARGO_BIN_EXE_payrecond");

/// The code blocks of a language, in order.
fn blocks(language: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    let mut inside: Option<bool> = None;
    for line in README.lines() {
        match (line.strip_prefix("```"), inside) {
            (Some(opened), None) => {
                inside = Some(opened == language);
                if opened == language {
                    blocks.push(String::new());
                }
            }
            (Some(_), Some(_)) => inside = None,
            (None, Some(true)) => {
                let block = blocks.last_mut().unwrap();
                block.push_str(line);
                block.push('\n');
            }
            (None, Some(false) | None) => {}
        }
    }
    blocks
}

/// The rows of the table under a heading, cell by cell.
fn table(heading: &str) -> Vec<Vec<String>> {
    let after = README.split(&format!("\n## {heading}\n")).nth(1).unwrap();
    let section = after.split("\n## ").next().unwrap();
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

/// What stands between backquotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn help(command: Option<&str>) -> String {
    let output = Command::new(PROGRAM)
        .args(command)
        .arg("--help")
        .output()
        .unwrap();
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_scripts_of_the_readme_are_the_examples() {
    for script in [SCRIPT, FEED_SCRIPT] {
        let stands = blocks("python").contains(&script.to_owned());
        assert!(stands, "this does not stand in the README:\n{script}");
    }
}

#[test]
fn the_configuration_table_is_that_of_the_example_file() {
    let mut section = "";
    let mut expected = Vec::new();
    for line in CONFIGURATION.lines() {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
        } else if let Some((key, value)) = line.split_once(" = ").filter(|_| !line.starts_with('#'))
        {
            expected.push((format!("{section}.{key}"), value.to_owned()));
        }
    }
    let told: Vec<(String, String)> = table("Configuration")
        .iter()
        .map(|row| (row[0].replace('`', ""), row[1].replace('`', "")))
        .collect();
    assert_eq!(told, expected);
}

#[test]
fn the_command_table_is_that_of_the_program() {
    let shown = help(None);
    let commands: Vec<&str> = shown
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    let rows = table("Command line");
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
fn every_command_line_of_the_readme_is_understood() {
    let mut seen = 0;
    let blocks = blocks("sh");
    let in_blocks = blocks.iter().flat_map(|block| block.lines());
    let in_prose = README
        .lines()
        .filter(|line| !line.starts_with("```") && !line.contains("[--config"))
        .flat_map(quoted);
    for line in in_blocks.chain(in_prose) {
        let line = line.strip_prefix("sudo ").unwrap_or(line);
        let Some(rest) = line.strip_prefix("payrecond ") else {
            continue;
        };
        let rest = rest.split(" >&").next().unwrap();
        // The shell reads the quotes; help is shown only for arguments that are understood so far.
        let script = format!("\"$0\" {rest} --help");
        let output = Command::new("sh")
            .args(["-c", &script, PROGRAM])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{line}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        seen += 1;
    }
    assert!(seen > 20, "{seen} command lines found");
}

#[test]
fn every_alarm_that_the_readme_explains_is_said_by_the_program() {
    let sources = [
        include_str!("../../src/daemon.rs"),
        include_str!("../../src/daemon/duties.rs"),
        include_str!("../../src/daemon/parts.rs"),
        include_str!("../../src/lifecycle.rs"),
        include_str!("../../src/jobs/intake.rs"),
        include_str!("../../src/jobs/poll/settle.rs"),
        include_str!("../../src/jobs/poll/writer.rs"),
        include_str!("../../src/store/sqlite/checkpoint.rs"),
    ];
    let section = README.split("\n| the log says |").nth(1).unwrap();
    let rows: Vec<&str> = section
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert!(rows.len() >= 9, "{rows:?}");
    for row in rows {
        let alarm = quoted(row)[0];
        assert!(
            sources.iter().any(|source| source.contains(alarm)),
            "{alarm}"
        );
    }
}

#[test]
fn pictures_and_pages_that_are_linked_are_there() {
    for link in README.split("](").skip(1) {
        let target = link.split(')').next().unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(target);
        assert!(path.exists(), "{target}");
    }
}

#[test]
fn the_package_ships_what_its_readme_speaks_of() {
    let manifest = include_str!("../../Cargo.toml");
    let assets = manifest.split("\nassets = [\n").nth(1).unwrap();
    // Beside the README in /usr/share/doc/payrecond: the same folders as here.
    let shipped: Vec<(&str, &str)> = assets
        .lines()
        .take_while(|line| *line != "]")
        .map(|line| line.split('"').collect::<Vec<_>>())
        .filter_map(|cells| Some((cells[1], cells[3].strip_prefix("usr/share/doc/payrecond/")?)))
        .collect();
    let is_shipped = |target: &str| {
        let (folder, name) = target.rsplit_once('/').unwrap_or(("", target));
        shipped.iter().any(|(from, to)| {
            let pattern = from.rsplit('/').next().unwrap();
            let (begin, end) = pattern.split_once('*').unwrap_or((pattern, ""));
            let fits = if pattern.contains('*') {
                name.starts_with(begin) && name.ends_with(end)
            } else {
                name == pattern
            };
            fits && to.trim_end_matches('/') == folder
        })
    };
    let linked = README
        .split("](")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap());
    let files = quoted(README).into_iter().filter(|name| {
        ["deploy/", "docs/", "examples/"]
            .iter()
            .any(|folder| name.starts_with(folder))
            && !name.contains(' ')
    });
    let missing: Vec<&str> = linked
        .chain(files)
        .filter(|name| !is_shipped(name))
        .collect();
    assert_eq!(missing, [""; 0]);
}
