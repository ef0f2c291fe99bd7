//! The audit command: two-way comparison with the provider's own list.

mod budget;
mod fresh;
mod ledger;
mod meanwhile;
mod spans;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use payrecond::clock::{Clock, ManualClock};
use payrecond::daemon;
use payrecond::domain::time::UnixMillis;
use payrecond::jobs::audit::{Audit, AuditError};
use payrecond::limit::SharedLimiter;
use payrecond::provider::{ApiKey, ProviderError};
use payrecond::sandbox::{Fault, FaultKind, NewOrder, Operation, OrderBatch, SimulatedPayment};
use payrecond::store::sqlite::{DatabaseLock, SqliteOptions, SqliteStore};

use crate::shop::{Shop, drop_in_all, seed};

fn audit(shop: &Shop, arguments: &[&str]) -> Output {
    command(shop, arguments).output().unwrap()
}

fn command(shop: &Shop, arguments: &[&str]) -> Command {
    let mut command = program(shop, "audit");
    command.args(arguments);
    command
}

fn program(shop: &Shop, name: &str) -> Command {
    let config = shop.folder.path().join("payrecond.toml");
    std::fs::write(&config, shop.config_text()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_payrecond"));
    command
        .arg("--config")
        .arg(&config)
        .arg(name)
        .env("PAYRECOND_API_KEY_DEFAULT", "key");
    command
}

fn found(output: &Output) -> Vec<String> {
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let each = report["discrepancies"].as_array().unwrap().iter();
    each.map(|d| {
        let word = |pointer: &str| {
            d.pointer(pointer)
                .and_then(|v| v.as_str())
                .unwrap_or("-")
                .to_owned()
        };
        format!(
            "{} {} {}/{}",
            word("/kind"),
            word("/external_id"),
            word("/ours/status"),
            word("/theirs/status")
        )
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_difference_is_found_and_recorded_once() {
    let shop = Shop::open().await;
    let paid = shop.drop_in("AGREES").await;
    let ours_pending = shop.drop_in("OURS-PENDING").await;
    shop.execute("INSERT INTO invoices (external_id, order_id) VALUES ('MISSING', '404')")
        .await;
    let other = shop
        .world
        .create(&NewOrder::simple("THEIRS", "1.00", "USD"))
        .unwrap()
        .order
        .id;
    shop.execute(&format!("INSERT INTO invoices (external_id, order_id, amount, currency) VALUES ('OURS', '{other}', '2.00', 'USD')")).await;
    let unknown = shop
        .world
        .create(&NewOrder::simple("NOBODY", "3.00", "USD"))
        .unwrap()
        .order
        .id;
    shop.world
        .pay(&unknown, &SimulatedPayment::default())
        .unwrap();
    shop.world
        .pay(&ours_pending, &SimulatedPayment::default())
        .unwrap();
    let _ = paid;

    let first = audit(&shop, &["--json"]);
    assert_eq!(
        first.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&first.stderr)
    );
    assert_eq!(
        found(&first),
        [
            "unknown_order NOBODY -/PAID",
            "status OURS-PENDING pending/PAID",
            "amount OURS review/ACTIVE",
            "external_id OURS review/ACTIVE",
            "missing_order MISSING pending/-",
        ]
    );
    let said = "SELECT count(*) FROM outbox WHERE type = 'audit.discrepancy'";
    assert_eq!(shop.ask(said).await, "5");
    let second = audit(&shop, &["--json"]);
    assert_eq!(
        found(&second),
        found(&first),
        "every report lists all that stands"
    );
    assert_eq!(shop.ask(said).await, "5", "and says nothing twice");
    let dense = "SELECT count(*) FROM invoices WHERE version <> (SELECT count(*) FROM outbox o WHERE o.external_id = invoices.external_id)";
    assert_eq!(shop.ask(dense).await, "0");
    let subject = "SELECT subject || ' ' || ifnull(version, 'none') || ' ' || ifnull(status, 'none') FROM outbox WHERE external_id = 'NOBODY'";
    assert_eq!(
        shop.ask(subject).await,
        "payments.default.discrepancy none none"
    );
    let table = String::from_utf8(audit(&shop, &[]).stdout).unwrap();
    assert!(table.contains("PAID, no invoice"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_orders_are_adopted_and_polled_by_the_daemon() {
    let shop = Shop::open().await;
    let order = shop
        .world
        .create(&NewOrder::simple("NOBODY", "3.00", "USD"))
        .unwrap()
        .order
        .id;
    shop.world
        .pay(&order, &SimulatedPayment::default())
        .unwrap();
    let report = audit(&shop, &["--adopt", "--json"]);
    assert_eq!(report.status.code(), Some(3));
    assert_eq!(
        shop.ask("SELECT status || ' ' || order_id FROM invoices")
            .await,
        format!("pending {order}")
    );
    let daemon = shop.start();
    shop.until("SELECT status FROM invoices", "paid").await;
    daemon.stop().await;
    let stats = program(&shop, "stats").arg("--json").output().unwrap();
    let stats: serde_json::Value = serde_json::from_slice(&stats.stdout).unwrap();
    let count = &stats["time_to_detect"]["count"];
    assert_eq!(count, 0, "it was not polled when it was paid");
    let again = audit(&shop, &["--json"]);
    assert_eq!(
        again.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&again.stdout)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_list_is_a_failure_and_changes_nothing() {
    let shop = Shop::open().await;
    shop.drop_in("ORD-1").await;
    let config = shop
        .config_text()
        .replace(&shop.base_url, "http://127.0.0.1:9");
    let path = shop.folder.path().join("away.toml");
    std::fs::write(&path, config).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_payrecond"))
        .arg("--config")
        .arg(&path)
        .args(["audit"])
        .env("PAYRECOND_API_KEY_DEFAULT", "key")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("could not be read"));
    assert_eq!(shop.ask("SELECT count(*) FROM outbox").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_leaves_fresh_differences_to_a_running_daemon() {
    let shop = Shop::open().await;
    let order = NewOrder::simple("NEW", "3.00", "USD");
    let order_id = shop.world.create(&order).unwrap().order.id;
    let logged = |arguments: &[&str]| {
        let mut command = command(&shop, arguments);
        command.env("PAYRECOND__LOG__LEVEL", "info");
        command
    };
    let alone = logged(&[]).output().unwrap();
    assert_eq!(alone.status.code(), Some(3));
    let words = String::from_utf8(alone.stderr).unwrap();
    assert!(!words.contains("comparing again"), "{words}");
    let daemon = DatabaseLock::try_take(&shop.database(), "daemon").unwrap();
    assert!(daemon.is_some());
    // Its daemon lends the requested part.
    let lent = "INSERT INTO meta (key, value) VALUES ('budget_grant:default', '9999999999999')";
    shop.execute(lent).await;
    let mut waiting = logged(&["--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut words = String::new();
    let mut log = BufReader::new(waiting.stderr.take().unwrap());
    log.read_line(&mut words).unwrap();
    assert!(words.contains("comparing again"), "{words}");
    shop.execute(&format!(
        "INSERT INTO invoices (external_id, order_id) VALUES ('NEW', '{order_id}')"
    ))
    .await;
    let ended = waiting.wait_with_output().unwrap();
    assert_eq!(found(&ended), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemons_audit_leaves_fresh_differences_to_polling() {
    let mut shop = Shop::open().await;
    shop.configure("[jobs]\naudit = \"* * * * * *\"\n");
    let order = NewOrder::simple("NEW", "3.00", "USD");
    shop.world.create(&order).unwrap();
    let mut daemon = program(&shop, "run")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(daemon.stderr.take().unwrap()).lines();
    let shown = log
        .by_ref()
        .map(Result::unwrap)
        .find(|line| line.contains("comparing again") || line.contains("audit completed"));
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    let shown = shown.unwrap();
    assert!(shown.contains("comparing again"), "{shown}");
}

/// The audit of the daemon, which shares its account's limiter with the poller, with a clock that
/// jumps ahead at every wait.
async fn nightly(shop: &Shop, clock: &Arc<ManualClock>) -> (Audit, SharedLimiter) {
    let config = shop.config();
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    let account = &config.accounts[0];
    let provider = daemon::provider(account, &config, &clock).unwrap();
    provider.set_key(ApiKey::from_bytes(b"canary-key-0123456789").unwrap());
    let options = SqliteOptions::new(shop.database(), "payments");
    let store = Arc::new(SqliteStore::open(options).await.unwrap());
    let limiter = daemon::limiter(account, clock.as_ref());
    let audit = daemon::audit(
        account,
        provider,
        store.clone(),
        &clock,
        limiter.clone(),
        false,
    );
    (audit, limiter)
}

#[tokio::test]
async fn the_nightly_audit_waits_while_its_account_is_held() {
    let shop = Shop::open().await;
    shop.drop_in("A").await;
    let clock = Arc::new(ManualClock::at(UnixMillis(1_800_000_000_000)));
    let (audit, limiter) = nightly(&shop, &clock).await;
    let hold = Duration::from_mins(5);
    let permit = limiter.lock().take(Duration::ZERO).unwrap();
    let too_often = ProviderError::RateLimited { wait: Some(hold) };
    limiter
        .lock()
        .settle(&permit, Err(&too_often), Duration::ZERO);
    assert_eq!(audit.run_once().await.unwrap().checked, 1);
    assert!(clock.monotonic() >= hold, "{:?}", clock.monotonic());
}

#[tokio::test]
async fn the_nightly_audit_makes_no_request_with_a_refused_key() {
    let shop = Shop::open().await;
    shop.drop_in("A").await;
    let clock = Arc::new(ManualClock::at(UnixMillis(1_800_000_000_000)));
    let (audit, limiter) = nightly(&shop, &clock).await;
    let permit = limiter.lock().take(Duration::ZERO).unwrap();
    let refused = ProviderError::KeyRefused("HTTP 401".into());
    limiter
        .lock()
        .settle(&permit, Err(&refused), Duration::ZERO);
    let error = audit.run_once().await.unwrap_err();
    let is_refusal = matches!(&error, AuditError::ProviderError { error, .. } if matches!(error, ProviderError::KeyRefused(_)));
    assert!(is_refusal, "{error}");
    assert_eq!(shop.asked(Operation::List), 0);
}

/// The provider returns pages of 100 orders although 10,000 were requested.
#[tokio::test(flavor = "multi_thread")]
async fn pages_shorter_than_requested_hide_no_order() {
    for count_works in [true, false] {
        let shop = Shop::open().await;
        let batch = OrderBatch {
            count: 250,
            external_id_prefix: "E".into(),
            ..OrderBatch::default()
        };
        let names = seed(&shop.world, &batch);
        let mut program = shop.connect().await;
        drop_in_all(&shop.world, &mut program, &names).await;
        shop.execute("INSERT INTO invoices (external_id, order_id) VALUES ('MISSING', '404')")
            .await;
        let mut faults = vec![Fault::new(FaultKind::ShortPage)];
        if !count_works {
            faults.push(Fault::new(FaultKind::Status500).on(Operation::Amount));
        }
        shop.world.set_faults(faults);
        let report = audit(&shop, &["--json"]);
        assert_eq!(found(&report), ["missing_order MISSING pending/-"]);
        let report: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
        assert_eq!(report["checked"], 251);
    }
}
