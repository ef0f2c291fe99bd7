//! First contact: each answer names the next step.

use std::fs;

use super::{Said, Shop};

/// A directory without configuration and database.
fn empty() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn run_in(folder: &tempfile::TempDir, arguments: &[&str]) -> Said {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_payrecond"));
    let output = command
        .args(arguments)
        .env_clear()
        .current_dir(folder.path())
        .output();
    Said::from(output.unwrap())
}

fn assert_says(said: &Said, code: i32, parts: &[&str]) {
    let words = format!("{}{}", said.stdout, said.stderr);
    assert_eq!(said.code, code, "{words}");
    for part in parts {
        assert!(words.contains(part), "{part:?} is missing in: {words}");
    }
}

#[test]
fn without_arguments_commands_and_first_steps_are_shown() {
    let said = run_in(&empty(), &[]);
    let groups = ["Run:", "Invoices:", "Events:", "Operations:", "Try it out:"];
    assert_says(&said, 2, &groups);
    assert_says(&said, 2, &["payrecond demo", "payrecond init", "Options:"]);
    let at = groups.map(|group| said.stderr.find(group).unwrap());
    assert!(at.is_sorted(), "{}", said.stderr);
    let help = run_in(&empty(), &["--help"]);
    assert_eq!((help.code, help.stdout), (0, said.stderr));
}

#[test]
fn a_typo_in_a_command_is_answered_with_the_nearest_one() {
    assert_says(&run_in(&empty(), &["lst"]), 2, &["'list'"]);
    assert_says(&run_in(&empty(), &["list", "--jsno"]), 2, &["'--json'"]);
}

#[test]
fn an_unknown_option_is_not_taken_for_an_invoice() {
    let folder = empty();
    for command in ["show", "why", "nudge"] {
        let said = run_in(&folder, &[command, "--jsno"]);
        assert_says(
            &said,
            2,
            &["'--jsno'", "did you mean '--json'?", "-- --jsno"],
        );
    }
    let shop = Shop::new();
    let added = ["add", "--external-id", "--jsno", "--order-id", "1"];
    assert_eq!(shop.run(&added).code, 0);
    assert_says(&shop.run(&["show", "--", "--jsno"]), 0, &["--jsno"]);
}

#[test]
fn run_without_a_configuration_names_the_key_and_the_next_step() {
    let said = run_in(&empty(), &["run", "--once"]);
    let key = ["PAYRECOND_API_KEY_DEFAULT", "payrecond check"];
    assert_says(&said, 78, &key);
    assert_says(&said, 78, &["no configuration file", "payrecond init"]);
    let said = run_in(&empty(), &["run", "--config", "mine.toml"]);
    assert_says(
        &said,
        78,
        &["mine.toml", "payrecond init --output mine.toml"],
    );
}

#[test]
fn a_command_without_a_database_names_the_command_that_creates_it() {
    assert_says(&run_in(&empty(), &["list"]), 1, &["payrecond migrate"]);
}

#[test]
fn init_writes_a_configuration_and_names_the_key_file() {
    let folder = empty();
    let said = run_in(&folder, &["init"]);
    let next = ["payrecond migrate", "payrecond check", "payrecond run"];
    assert_says(&said, 0, &next);
    assert_says(
        &said,
        0,
        &["/etc/payrecond/walletpay.key", "PAYRECOND_API_KEY_DEFAULT"],
    );
    assert_says(&run_in(&folder, &["migrate"]), 0, &["payrecond.db"]);
    assert_says(&run_in(&folder, &["list"]), 0, &[]);

    fs::write(folder.path().join("payrecond.toml"), "# mine").unwrap();
    let again = run_in(&folder, &["init"]);
    assert_says(&again, 1, &["payrecond.toml exists", "--output"]);
    let kept = fs::read_to_string(folder.path().join("payrecond.toml")).unwrap();
    assert_eq!(kept, "# mine");
}

#[test]
fn init_names_the_file_that_it_wrote_elsewhere() {
    let folder = empty();
    let said = run_in(&folder, &["init", "--output", "other.toml"]);
    assert_says(&said, 0, &["payrecond --config other.toml check"]);
    assert_says(
        &run_in(&folder, &["--config", "other.toml", "migrate"]),
        0,
        &[],
    );
    let nowhere = run_in(&folder, &["init", "--output", "nowhere/a.toml"]);
    assert_says(&nowhere, 1, &["mkdir -p nowhere"]);
    let unknown = run_in(&folder, &["init", "--provider", "walletpya"]);
    assert_says(&unknown, 2, &["walletpay"]);
}
