//! The README keeps its word: its script runs, its commands exist, its tables are the program's.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use payrecond::sandbox::Payment;

use crate::shop::Shop;

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
        include_str!("../../src/lifecycle.rs"),
        include_str!("../../src/jobs/intake.rs"),
        include_str!("../../src/jobs/poll/mod.rs"),
        include_str!("../../src/jobs/poll/committer.rs"),
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

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether the example can be run; under CI it must.
fn python_is_here() -> bool {
    let found = Command::new("python3")
        .args(["-c", "import sqlite3"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        assert!(std::env::var_os("CI").is_none(), "python3 is missing");
        eprintln!("not run: python3 with sqlite3 is missing");
    }
    found
}

fn daemon(shop: &Shop) -> Running {
    let settings = shop.folder.path().join("payrecond.toml");
    let text = format!(
        "[database]\npath = {:?}\n[[account]]\nname = \"default\"\nbase_url = {:?}\nrequests_per_second = 0\n{}[feed]\nstdout = \"off\"\n",
        shop.database().display().to_string(),
        shop.base_url,
        shop.settings
    );
    std::fs::write(&settings, text).unwrap();
    let child = Command::new(PROGRAM)
        .arg("--config")
        .arg(settings)
        .arg("run")
        .env_clear()
        .env("PAYRECOND_API_KEY_DEFAULT", "any")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Running(child)
}

fn script(shop: &Shop, arguments: &[&str]) -> Running {
    let child = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/bot.py"))
        .arg(shop.database())
        .args(arguments)
        .current_dir(shop.folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    Running(child)
}

/// All that a script says until it ends well; a script that hangs fails the test.
async fn said(mut script: Running) -> Vec<String> {
    let waiting = tokio::task::spawn_blocking(move || {
        let stdout = BufReader::new(script.0.stdout.take().unwrap());
        let lines: Vec<String> = stdout.lines().map(Result::unwrap).collect();
        (lines, script.0.wait().unwrap())
    });
    let (lines, status) = tokio::time::timeout(Duration::from_secs(30), waiting)
        .await
        .expect("the script ends")
        .unwrap();
    assert!(status.success(), "{lines:?}");
    lines
}

fn credits(shop: &Shop) -> usize {
    let output = Command::new("python3")
        .args([
            "-c",
            "import sqlite3; print(sqlite3.connect('shop.db').execute('SELECT count(*) FROM credits').fetchone()[0])",
        ])
        .current_dir(shop.folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_credits_a_payment_once_and_acknowledges_it() {
    if !python_is_here() {
        return;
    }
    let shop = Shop::open().await;
    let _daemon = daemon(&shop);

    let bot = script(&shop, &["ORD-1"]);
    shop.until("SELECT count(*) FROM invoices WHERE pay_link > ''", "1")
        .await;
    shop.world.pay("ORD-1", &Payment::default()).unwrap();
    let lines = said(bot).await;
    let has_link = lines.iter().any(|line| line.contains("https://"));
    assert!(has_link, "{lines:?}");
    assert_eq!(credits(&shop), 1);
    let unread = "SELECT count(*) FROM outbox_unread WHERE consumer = 'bot'";
    assert_eq!(shop.ask(unread).await, "0");

    assert!(said(script(&shop, &["ORD-1"])).await.is_empty());
    assert_eq!(credits(&shop), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_follows_an_order_that_is_there() {
    if !python_is_here() {
        return;
    }
    let shop = Shop::open().await;
    let _daemon = daemon(&shop);
    let order = payrecond::sandbox::NewOrder::simple("ORD-2", "1.00", "USD");
    let id = shop.world.create(&order).unwrap().order.id.to_string();
    let bot = script(&shop, &["ORD-2", &id]);
    shop.until("SELECT status FROM invoices", "pending").await;
    shop.world.pay(&id, &Payment::default()).unwrap();
    let lines = said(bot).await;
    assert!(lines[0].starts_with("payment.paid ORD-2"), "{lines:?}");
    assert_eq!(credits(&shop), 1);
}
