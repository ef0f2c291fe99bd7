//! Warnings of `check` and of the start of `run` about a configuration that works but is probably a
//! mistake.

use payrecond::sandbox::{Sandbox, SandboxOptions};

use super::{Said, Shop};
use crate::faults::program;
use crate::faults::shim::{self, WallClock};

#[tokio::test(flavor = "multi_thread")]
async fn two_accounts_with_one_key_file_cause_a_warning() {
    let sandbox = Sandbox::start(SandboxOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        ..SandboxOptions::default()
    })
    .await
    .unwrap();
    let shop = Shop::new();
    std::fs::write(shop.folder.path().join("the.key"), "canary-key").unwrap();
    let account = |name: &str| {
        let url = sandbox.url();
        format!("[[account]]\nname = '{name}'\nbase_url = '{url}'\napi_key_file = 'the.key'\n")
    };
    shop.configure(&account("one"));
    let alone = shop.run(&["check"]);
    assert_eq!(alone.code, 0, "{}", alone.stdout);
    assert!(!alone.stdout.contains("WARN"), "{}", alone.stdout);

    shop.configure(&(account("one") + &account("two")));
    let said = shop.run(&["check"]);
    assert_eq!(said.code, 0, "{}", said.stdout);
    let warns = |line: &&str| line.starts_with("WARN  ") && line.contains("\"one\" and \"two\"");
    assert_eq!(
        said.stdout.lines().filter(warns).count(),
        1,
        "{}",
        said.stdout
    );

    let report = shop.run(&["check", "--json"]).json();
    let warnings = report.as_array().unwrap().iter();
    let warnings = warnings.filter(|check| check["warning"] == true && check["ok"] == true);
    assert_eq!(warnings.count(), 1, "{report}");

    let log = shop.run(&["run", "--once"]).stderr;
    let warns = |line: &&str| line.contains("WARN") && line.contains("the.key");
    assert_eq!(log.lines().filter(warns).count(), 1, "{log}");
    assert!(!log.contains("canary"), "{log}");
}

/// The provider reports its time with each answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_difference_is_a_warning_and_from_five_minutes_a_failure() {
    if shim::library().is_none() {
        return;
    }
    let sandbox = Sandbox::start(SandboxOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        ..SandboxOptions::default()
    })
    .await
    .unwrap();
    let shop = Shop::new();
    std::fs::write(shop.folder.path().join("the.key"), "canary-key").unwrap();
    let url = sandbox.url();
    shop.configure(&format!(
        "[[account]]\nname = 'one'\nbase_url = '{url}'\napi_key_file = 'the.key'\n"
    ));
    let clock = WallClock::new(shop.folder.path());
    let day = 24 * 3600;
    for (ahead_s, word, code) in [
        (0, "ok", 0),
        (20, "ok", 0),
        (-20, "ok", 0),
        (45, "WARN", 0),
        (-45, "WARN", 0),
        (600, "FAILED", 1),
        (-600, "FAILED", 1),
        (400 * day, "FAILED", 1),
    ] {
        clock.set(ahead_s);
        let mut command = tokio::process::Command::from(shop.command(&["check"]));
        clock.show(&mut command);
        let said = Said::from(command.output().await.unwrap());
        let is_clock = |line: &&str| line.split_whitespace().nth(1) == Some("clock");
        let lines: Vec<&str> = said.stdout.lines().filter(is_clock).collect();
        assert_eq!(lines.len(), 1, "{}", said.stdout);
        assert!(lines[0].starts_with(word), "{ahead_s} s: {}", lines[0]);
        assert_eq!(said.code, code, "{ahead_s} s: {}", said.stdout);
    }
    let said = shop.run(&["check", "--json"]).json();
    assert_eq!(said[2]["check"], "clock");
}

/// The daemon's unit and a person's shell have different environments.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_overridden_by_the_environment_is_reported_by_every_command() {
    let shop = crate::shop::Shop::open().await;
    program::write_config(&shop);
    let hidden = "overrides database.path";
    let other = shop.folder.path().join("other.db");
    for (path, is_hidden) in [(&other, true), (&shop.database(), false)] {
        for arguments in [&["migrate"][..], &["check"], &["run", "--once"]] {
            let mut command = program::program(shop.folder.path());
            command.env("PAYRECOND__DATABASE__PATH", path);
            let output = command.args(arguments).output().await.unwrap();
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(output.status.success(), "{said}");
            assert_eq!(said.contains(hidden), is_hidden, "{arguments:?}: {said}");
        }
    }
}

/// The settings of the file apply to the daemon and to every command.
#[test]
fn the_units_set_no_setting_of_the_file() {
    for unit in [
        include_str!("../../../systemd/payrecond.service"),
        include_str!("../../../systemd/payrecond-feed@.service"),
    ] {
        assert!(!unit.contains("PAYRECOND__"), "{unit}");
        assert!(
            unit.contains("WorkingDirectory=/var/lib/payrecond\n"),
            "{unit}"
        );
    }
}
