//! Commands that report or decide.

use std::process::Stdio;

use payrecond::domain::observation::{Observation, OrderState};
use serde_json::json;

use super::{Said, Shop, commit, decided, drop_in, into_review, pay, sql};
use crate::rows::observed_order_of;

#[test]
fn configurations_that_cannot_be_used_end_with_78() {
    let shop = Shop::new();
    for text in [
        "[polling]\nage_factor = 11\n",
        "[polling]\nmisspelt = 1\n",
        "not toml",
    ] {
        shop.configure(text);
        let said = shop.run(&["list"]);
        assert_eq!(said.code, 78, "{text}: {}", said.stderr);
        assert_eq!(said.stdout, "");
    }
    shop.configure("");
    let named = shop.run(&["list", "--config", "absent.toml"]);
    assert_eq!(named.code, 78);
    assert!(named.stderr.contains("absent.toml"), "{}", named.stderr);
}

#[test]
fn wrong_usage_ends_with_2_and_help_with_0() {
    let shop = Shop::empty();
    for arguments in [
        &[][..],
        &["fly"],
        &["show"],
        &["list", "--status", "lost"],
        &["list", "--limit", "0"],
        &["resolve", "A", "--as", "pending", "--note", "x"],
        &["resolve", "A", "--as", "paid"],
        &["resolve", "A", "--as", "paid", "--note", " \n"],
        &["add", "--external-id", "A", "--timeout", "1500ms"],
        &["feed", "--from", "1", "--consumer", "a"],
        &["feed", "--subject", "a..b"],
        &["feed", "--format", "xml"],
        &["feed", "--consumer", "with space"],
        &["feed", "--from", "-1"],
    ] {
        let said = shop.run(arguments);
        assert_eq!(said.code, 2, "{arguments:?}: {}", said.stderr);
        assert_eq!(said.stdout, "", "{arguments:?}");
    }
    let help = shop.run(&["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (0, ""));
    assert!(help.stdout.contains("resolve"));
}

#[test]
fn a_missing_database_is_reported_with_the_command_that_creates_it() {
    let shop = Shop::empty();
    for arguments in [
        &["list"][..],
        &["show", "A"],
        &["why", "A"],
        &["nudge", "A"],
        &["resolve", "A", "--as", "paid", "--note", "x"],
        &["add", "--external-id", "A", "--order-id", "1"],
        &["feed"],
        &["stats"],
    ] {
        let said = shop.run(arguments);
        assert_eq!(said.code, 1, "{arguments:?}");
        assert!(said.stderr.contains("payrecond migrate"), "{}", said.stderr);
        assert!(!shop.database().exists(), "{arguments:?}");
    }
}

#[test]
fn a_file_that_is_not_our_database_is_named_and_refused() {
    let shop = Shop::empty();
    std::fs::write(shop.database(), "no database at all").unwrap();
    let junk = shop.run(&["list"]);
    std::fs::remove_file(shop.database()).unwrap();
    sql(&shop.database(), "CREATE TABLE theirs (a)");
    let foreign = shop.run(&["list"]);
    for said in [junk, foreign] {
        assert_eq!(said.code, 1);
        assert!(said.stderr.contains("payrecond.db"), "{}", said.stderr);
    }
}

#[test]
fn migrate_prints_path_version_and_epoch() {
    let shop = Shop::empty();
    let first = shop.run(&["migrate", "--json"]).json();
    assert_eq!(first["path"], "payrecond.db");
    assert_eq!(first["from_version"], 0);
    assert_eq!(first["put_back"], false);
    let again = shop.run(&["migrate", "--json"]).json();
    assert_eq!(again["epoch"], first["epoch"]);
    assert_eq!(again["schema_version"], first["schema_version"]);
    let shown = shop.run(&["migrate"]).stdout;
    assert!(shown.contains("up to date"), "{shown}");
    assert!(shown.contains(first["epoch"].as_str().unwrap()), "{shown}");
}

#[test]
fn add_prints_the_row_as_the_columns_have_it() {
    let shop = Shop::new();
    let row = shop
        .run(&[
            "add",
            "--external-id",
            "ORD-1",
            "--amount",
            "1.00",
            "--currency",
            "USD",
            "--description",
            "Six eggs",
            "--timeout",
            "1h",
            "--metadata",
            "{\"n\":\n12345678901234567890.10}",
            "--json",
        ])
        .stdout;
    assert!(
        row.contains("\"metadata\":{\"n\": 12345678901234567890.10}"),
        "{row}"
    );
    assert_eq!(row.trim_end().lines().count(), 1);
    let row: serde_json::Value = serde_json::from_str(&row).unwrap();
    for (column, value) in [
        ("id", json!(1)),
        ("account", json!("default")),
        ("external_id", json!("ORD-1")),
        ("order_id", json!(null)),
        ("amount", json!("1.00")),
        ("status", json!("requested")),
        ("timeout_seconds", json!(3600)),
        ("version", json!(0)),
    ] {
        assert_eq!(row[column], value, "{column}");
    }
    assert!(row["created_at"].is_i64() && row["next_poll_at"].is_i64());
}

#[test]
fn a_refusal_of_the_database_is_printed_as_it_is() {
    let shop = Shop::new();
    let add = |rest: &[&str]| shop.run(&[&["add", "--external-id", "A"], rest].concat());
    let said = add(&["--order-id", "2.7e+15"]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("invoices.order_id"), "{}", said.stderr);
    assert_eq!(add(&["--order-id", "1"]).code, 0);
    let twice = add(&["--order-id", "2"]);
    assert_eq!(twice.code, 1);
    assert!(twice.stderr.contains("external_id"), "{}", twice.stderr);
    let unknown = shop.run(&[
        "add",
        "--external-id",
        "A",
        "--order-id",
        "1",
        "--account",
        "elsewhere",
    ]);
    assert_eq!(unknown.code, 0);
    assert!(
        unknown
            .stderr
            .contains("account elsewhere is not in the configuration")
    );
}

#[tokio::test]
async fn list_is_newest_first_and_filtered() {
    let shop = Shop::new();
    let store = shop.store().await;
    pay(&store, "ORD-1", "1").await;
    drop_in(&store, "ORD-2", "2").await;
    drop_in(&store, "ORD-3", "3").await;
    let ids = |arguments: &[&str]| -> Vec<String> {
        let rows = shop.run(&[&["list", "--json"], arguments].concat()).json();
        let rows = rows.as_array().unwrap().clone();
        rows.iter()
            .map(|row| row["external_id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(&[]), ["ORD-3", "ORD-2", "ORD-1"]);
    assert_eq!(ids(&["--limit", "1"]), ["ORD-3"]);
    assert_eq!(ids(&["--status", "paid"]), ["ORD-1"]);
    assert!(ids(&["--account", "other"]).is_empty());
    let shown = shop.run(&["list", "--limit", "2"]);
    assert!(shown.stdout.contains("ORD-2") && !shown.stdout.contains("ORD-1"));
    assert!(shown.stderr.contains("--limit"), "{}", shown.stderr);
    assert!(!shown.stdout.contains('\u{1b}'), "no colours in a pipe");
}

#[tokio::test]
async fn show_has_the_row_and_its_events() {
    let shop = Shop::new();
    let store = shop.store().await;
    pay(&store, "ORD-1", "2703383946854401").await;
    let said = shop.run(&["show", "#1", "--json"]);
    assert!(said.stdout.contains("12345678901234567890.10"));
    let row = said.json();
    assert_eq!(row["status"], "paid");
    assert_eq!(row["order_id"], "2703383946854401");
    assert_eq!(row["next_poll_at"], json!(null));
    let events = row["events"].as_array().unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["type"], "payment.paid");
    assert_eq!(events[0]["payload"]["data"]["external_id"], "ORD-1");
    let shown = shop.run(&["show", "2703383946854401"]).stdout;
    for part in ["#1", "paid", "1.00 USD", "payment.paid", "Z ("] {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
}

#[tokio::test]
async fn a_reference_is_an_id_else_an_external_id_else_an_order_id() {
    let shop = Shop::new();
    let store = shop.store().await;
    drop_in(&store, "A", "77").await;
    drop_in(&store, "77", "A").await;
    drop_in(&store, "#9", "9").await;
    let found = |reference: &str| {
        let row = shop.run(&["show", reference, "--json"]).json();
        row["id"].as_i64().unwrap()
    };
    assert_eq!(
        [found("#2"), found("77"), found("A"), found("#9")],
        [2, 2, 1, 3]
    );
    sql(
        &shop.database(),
        "INSERT INTO invoices (account, external_id, order_id) VALUES ('second', 'A', '5')",
    );
    for command in ["show", "why", "nudge"] {
        let several = shop.run(&[command, "A", "--json"]);
        assert_eq!(several.code, 1);
        let answer: serde_json::Value = serde_json::from_str(&several.stdout).unwrap();
        let ids: Vec<i64> = answer["candidates"]
            .as_array()
            .unwrap()
            .iter()
            .map(|invoice| invoice["id"].as_i64().unwrap())
            .collect();
        assert_eq!(ids, [1, 4]);
        assert_eq!(answer["error"], "2 invoices match A");
        let shown = shop.run(&[command, "A"]);
        assert_eq!((shown.code, shown.stdout.as_str()), (1, ""));
        for part in ["#1", "#4", "second", "--account"] {
            assert!(several.stderr.contains(part), "{}", several.stderr);
        }
    }
    let decided = shop.run(&["show", "A", "--account", "second", "--json"]);
    assert_eq!(decided.json()["id"], 4);
    let nothing = shop.run(&["show", "no\u{1b}[2Jbody"]);
    assert_eq!(nothing.code, 1);
    assert!(
        nothing
            .stderr
            .contains("external ids, order ids and transaction ids")
    );
    assert!(!nothing.stderr.contains('\u{1b}'));
}

#[tokio::test]
async fn control_characters_in_foreign_text_are_removed() {
    let shop = Shop::new();
    let store = shop.store().await;
    let invoice = drop_in(&store, "ORD-\u{202e}1", "1").await;
    let mut odd = observed_order_of(&invoice, OrderState::Unknown);
    odd.provider_status = "FROZEN\u{1b}[2J\u{9b}31m\r\n".into();
    odd.pay_link = Some("https://x\u{1b}]0;t\u{7}".into());
    commit(&store, &[decided(&invoice, Observation::Seen(odd))]).await;
    sql(
        &shop.database(),
        "UPDATE invoices SET metadata = '\"' || char(27 + 128) || char(8238) || '\"'",
    );
    for arguments in [
        &["list"][..],
        &["show", "#1"],
        &["why", "#1"],
        &["stats"],
        &["list", "--json"],
        &["show", "#1", "--json"],
        &["why", "#1", "--json"],
    ] {
        let said = shop.run(arguments);
        assert_eq!(said.code, 0, "{}", said.stderr);
        let moves = |c: char| c != '\n' && c.is_control() || c == '\u{202e}';
        assert!(
            !said.stdout.contains(moves),
            "{arguments:?}: {:?}",
            said.stdout
        );
    }
}

#[tokio::test]
async fn why_shows_observations_rules_and_the_next_poll() {
    let shop = Shop::new();
    let store = shop.store().await;
    into_review(&store, "ORD-1", "1").await;
    let shown = shop.run(&["why", "ORD-1"]).stdout;
    for part in [
        "review",
        "amount_mismatch",
        "ACTIVE",
        "No daemon is running",
        "payrecond resolve '#1'",
    ] {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
    let answer = shop.run(&["why", "ORD-1", "--json"]).json();
    assert_eq!(answer["invoice"]["reason"], "amount_mismatch");
    assert_eq!(answer["obstacles"][0]["kind"], "no_daemon");
    assert!(answer["next_poll"]["rule"].is_string());
    sql(&shop.database(), "UPDATE invoices SET next_poll_at = 0");
    let answer = shop.run(&["why", "#1", "--json"]).json();
    assert_eq!(answer["next_poll"]["rule"], "nudged");
}

/// The statements are run as printed.
#[tokio::test]
async fn why_has_the_statements_for_an_invoice_of_a_mistyped_account() {
    let shop = Shop::new();
    drop(shop.store().await);
    let insert = "INSERT INTO invoices (account, external_id, amount, currency, description) VALUES
                  ('defualt', 'ORD-1', '1.00', 'USD', 'tea')";
    sql(&shop.database(), insert);
    let checked = shop.run(&["check"]).stdout;
    assert!(checked.contains("1 invoice not polled"), "{checked}");
    let why = shop.run(&["why", "ORD-1", "--json"]).json();
    let problem = why["obstacles"][1]["text"].as_str().unwrap();
    assert!(problem.ends_with("Accounts there: default."), "{problem}");
    let advice: Vec<&str> = why["advice"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a.as_str().unwrap())
        .collect();
    let statement = |begins: &str| {
        let line = advice.iter().find(|line| line.contains(begins)).unwrap();
        line[line.find(begins).unwrap()..].to_owned()
    };
    sql(&shop.database(), &statement("INSERT INTO"));
    sql(&shop.database(), &statement("DELETE FROM"));
    let left = shop.run(&["list", "--json"]).json();
    assert_eq!(left.as_array().unwrap().len(), 1);
    assert_eq!(
        (&left[0]["account"], &left[0]["description"]),
        (&json!("default"), &json!("tea"))
    );
    assert!(!shop.run(&["check"]).stdout.contains("not polled"));
}

#[tokio::test]
async fn nudge_requests_a_poll_unless_the_status_is_final() {
    let shop = Shop::new();
    let store = shop.store().await;
    drop_in(&store, "OPEN", "1").await;
    pay(&store, "DONE", "2").await;
    assert_eq!(
        shop.run(&["nudge", "OPEN", "--json"]).json()["next_poll_at"],
        0
    );
    let done = shop.run(&["nudge", "DONE"]);
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("is paid"), "{}", done.stderr);
}

#[tokio::test]
async fn resolve_decides_only_invoices_in_review() {
    let shop = Shop::new();
    let store = shop.store().await;
    into_review(&store, "ORD-1", "1").await;
    into_review(&store, "ORD-2", "2").await;
    let resolve = |reference: &str, verdict: &str| {
        shop.run(&[
            "resolve",
            reference,
            "--as",
            verdict,
            "--note",
            "seen\u{1b}[2J at\nthe bank",
            "--json",
        ])
    };
    let paid = resolve("ORD-1", "paid").json();
    assert_eq!(
        (&paid["status"], &paid["reason"]),
        (&json!("paid"), &json!("resolved"))
    );
    assert_eq!(paid["next_poll_at"], json!(null));
    let cancelled = resolve("ORD-2", "cancelled").json();
    assert_eq!(cancelled["status"], "cancelled");
    assert!(
        cancelled["next_poll_at"].is_i64(),
        "late money is looked for"
    );
    let again = resolve("ORD-1", "expired");
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("is paid"), "{}", again.stderr);
    let events = shop.run(&["show", "ORD-1", "--json"]).json()["events"].clone();
    let last = &events[1]["payload"]["data"];
    assert_eq!(last["note"], "seen [2J at the bank");
    assert_eq!(last["previous_status"], "review");
}

#[tokio::test]
async fn stats_counts_and_marks_consumers_that_fall_behind() {
    let shop = Shop::new();
    let store = shop.store().await;
    pay(&store, "ORD-1", "1").await;
    drop_in(&store, "ORD-2", "2").await;
    sql(
        &shop.database(),
        "INSERT INTO consumers (name) VALUES ('bot');
         UPDATE invoices SET next_poll_at = next_poll_at - 60000, daemon_writes = daemon_writes + 1
          WHERE external_id = 'ORD-2'",
    );
    let stats = shop.run(&["stats", "--json"]).json();
    assert_eq!(stats["invoices"]["paid"], 1);
    assert_eq!(stats["invoices"]["review"], 0);
    assert_eq!(stats["overdue"], 1);
    assert_eq!(stats["highest_seq"], 1);
    assert_eq!(stats["time_to_detect"]["count"], 1);
    assert_eq!(stats["consumers"][0]["unread"], 1);
    let shown = shop.run(&["stats"]).stdout;
    assert!(shown.contains("1 event unread"), "{shown}");
}

#[tokio::test]
async fn invoices_just_covered_by_pages_are_not_overdue() {
    let shop = Shop::new();
    let store = shop.store().await;
    drop_in(&store, "ORD-1", "1").await;
    sql(
        &shop.database(),
        "INSERT INTO accounts (name, provider, state_since) VALUES ('default', 'walletpay', 0)",
    );
    let overdue_when_covered = |seconds_ago: u32| {
        sql(
            &shop.database(),
            &format!(
                "UPDATE invoices SET daemon_writes = daemon_writes + 1, next_poll_at =
                     CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) - {seconds_ago}000;
                 UPDATE accounts SET caught_up_at = (SELECT next_poll_at - 1 FROM invoices)"
            ),
        );
        shop.run(&["stats", "--json"]).json()["overdue"].clone()
    };
    // The daemon renews `caught_up_at` every few seconds: until the next one, nothing is overdue.
    assert_eq!(overdue_when_covered(5), 0);
    assert_eq!(overdue_when_covered(60), 1);
}

#[tokio::test]
async fn a_past_error_is_not_shown_for_a_working_account() {
    let shop = Shop::new();
    sql(
        &shop.database(),
        "INSERT INTO accounts (name, provider, state, state_since, last_error)
         VALUES ('default', 'walletpay', 'working', 0, 'connection refused'),
                ('second', 'walletpay', 'paused', 0, 'no route to host')",
    );
    let shown = shop.run(&["stats"]).stdout;
    assert!(!shown.contains("connection refused"), "{shown}");
    assert!(shown.contains("no route to host"), "{shown}");
    let shown = shop.run(&["stats", "--json"]).json();
    assert_eq!(shown["accounts"][0]["last_error"], "connection refused");
}

#[test]
fn top_needs_a_terminal() {
    let said = Shop::new().run(&["top"]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("payrecond stats"), "{}", said.stderr);
}

#[test]
fn a_closed_stdout_is_a_success() {
    let shop = Shop::new();
    for arguments in [
        &["stats"][..],
        &["list", "--json"],
        &["migrate"],
        &["--help"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = shop.command(arguments);
        let said = command.stdout(Stdio::from(writer)).output().unwrap();
        assert_eq!(said.status.code(), Some(0), "{arguments:?}");
        let stderr = String::from_utf8(said.stderr).unwrap();
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

#[test]
fn a_stdout_that_fails_is_a_failure_and_a_closed_stderr_is_none() {
    let shop = Shop::new();
    let full = std::fs::File::options().write(true).open("/dev/full");
    if let Ok(full) = full {
        let said = shop.command(&["stats"]).stdout(full).output().unwrap();
        assert_eq!(said.status.code(), Some(1));
    }
    for (arguments, code) in [(&["show", "A"][..], 1), (&["fly"], 2), (&["list"], 0)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = shop.command(arguments);
        command.env("PAYRECOND__LOG__LEVEL", "sqlx=trace");
        let said = command.stderr(Stdio::from(writer)).output().unwrap();
        assert_eq!(said.status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn commands_log_only_warnings_by_default() {
    let shop = Shop::new();
    assert_eq!(shop.run(&["stats"]).stderr, "");
    let mut command = shop.command(&["stats"]);
    command.env("PAYRECOND__LOG__LEVEL", "sqlx=trace");
    command.env("PAYRECOND__LOG__FORMAT", "json");
    let said = command.output().unwrap();
    let logged = String::from_utf8(said.stderr).unwrap();
    let first = logged.lines().next().unwrap();
    let line: serde_json::Value = serde_json::from_str(first).unwrap();
    assert!(line["level"].is_string(), "{line}");
}

#[tokio::test]
async fn values_may_begin_with_a_hyphen() {
    let shop = Shop::new();
    let store = shop.store().await;
    into_review(&store, "-1001234567890:17", "1").await;
    let id = |said: Said| said.json()["external_id"].as_str().unwrap().to_owned();
    let name = "-1001234567890:17";
    assert_eq!(id(shop.run(&["show", name, "--json"])), name);
    assert_eq!(id(shop.run(&["show", "--json", name])), name);
    assert_eq!(id(shop.run(&["show", "--json", "--", name])), name);
    for command in ["why", "nudge"] {
        assert_eq!(shop.run(&[command, name]).code, 0, "{command}");
    }
    let note = "-5 refund";
    let resolved = shop.run(&["resolve", name, "--as", "paid", "--note", note, "--json"]);
    assert_eq!(resolved.code, 0, "{}", resolved.stderr);
    let added = shop.run(&[
        "add",
        "--external-id",
        "-7",
        "--order-id",
        "-8",
        "--metadata",
        "-9",
        "--json",
    ]);
    assert_eq!(added.json()["external_id"], "-7");
    let left_out = shop.run(&["resolve", name, "--as", "paid", "--note", "--json"]);
    assert_eq!(left_out.code, 2, "{}", left_out.stderr);
    assert!(left_out.stderr.contains("--note"), "{}", left_out.stderr);
    for wrong in [
        &["list", "--nothing"][..],
        &["list", "-x"],
        &["list", "--limit", "-5"],
        &["feed", "--from", "-1"],
    ] {
        assert_eq!(shop.run(wrong).code, 2, "{wrong:?}");
    }
}

#[test]
fn an_unknown_variable_is_reported_with_its_nearest_name() {
    let shop = Shop::new();
    for command in [&["list"][..], &["run", "--once"], &["check"]] {
        let mut command = shop.command(command);
        command.env("PAYRECOND_LOG_LEVEL", "secret-word");
        let said = Said::from(command.output().unwrap());
        let shown = "unknown environment variable PAYRECOND_LOG_LEVEL ignored: did you mean PAYRECOND__LOG__LEVEL?";
        assert!(said.stderr.contains(shown), "{}", said.stderr);
        assert!(!said.stderr.contains("secret-word"), "{}", said.stderr);
    }
    let mut command = shop.command(&["list"]);
    command
        .env("PAYRECOND_CONFIG", "payrecond.toml")
        .env("PAYRECOND_API_KEY_DEFAULT", "key");
    let said = Said::from(command.output().unwrap()).stderr;
    assert!(!said.contains("variable"), "{said}");
}
