//! What the next owner of an account knows of the last one.

use std::sync::Arc;
use std::time::Duration;

use payrecond::clock::{Clock, SystemClock};
use payrecond::daemon::{self, SharedPolling, SharedPollingParts};
use payrecond::domain::invoice::AccountName;
use payrecond::jobs::Heartbeat;
use payrecond::jobs::lending::LONGEST_LOAN;
use payrecond::jobs::share::WorkShare;
use payrecond::limit::Limits;
use payrecond::provider::ApiKey;
use payrecond::store::postgres::{PostgresOptions, PostgresStore, prepare};
use payrecond::store::{Database as _, ServerLocation, Store};
use tokio_util::sync::CancellationToken;

use super::server::{self, As};
use super::shop::{ACCOUNTS, ServerShop, stopped};
use crate::shop::{Shop, poll_setup};
use crate::until::eventually;

const LIMITS: Limits = Limits {
    requests_per_second: 8.0,
    burst: 4,
    max_in_flight: 4,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_owner_leaves_what_the_last_one_has_lent() {
    let Some(database) = server::database().await else {
        return;
    };
    let location = ServerLocation::new(database.url(As::Daemon), None);
    prepare(&location).await.unwrap();
    let store = PostgresStore::open(PostgresOptions {
        server: location,
        subject_prefix: "payments".into(),
        off_consumers: Vec::new(),
    });
    let store = Arc::new(store.await.unwrap());
    let shop = Shop::open().await;
    let (config, clock) = (shop.config(), Arc::new(SystemClock::new()));
    let clock = clock as Arc<dyn Clock>;
    let provider = daemon::provider(&config.accounts[0], &config, &clock).unwrap();
    provider.set_key(ApiKey::from_bytes(b"canary-key-0123456789").unwrap());
    let (setup, _somebody_wrote) = poll_setup(&shop, provider, LIMITS).await;
    let account = AccountName::from("default");
    let leases = store.leases().unwrap();
    let until = leases.now().await.unwrap().plus(LONGEST_LOAN);
    store.grant_budget(&account, until).await.unwrap();
    let polling = SharedPolling::new(SharedPollingParts {
        leases,
        share: WorkShare::shared(Arc::clone(&store) as Arc<dyn Store>),
        clock,
        name: "next".into(),
        term: Duration::from_secs(10),
        accounts: vec![(setup.clone(), LIMITS)],
        heartbeat: Heartbeat::default(),
    });
    let ending = CancellationToken::new();
    let running = tokio::spawn(polling.run(ending.clone(), Arc::default()));
    eventually(async || {
        let words = setup.signals.status_lines.words();
        words.contains("polling").then_some(())
    })
    .await;
    assert_eq!(setup.limiter.lock().rate(), Some(4.0), "half of it is lent");
    ending.cancel();
    running.await.unwrap();
    store.close().await;
}

/// A timer's pass keeps a wait that outlasts it, and tries a refused key by the probe first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_pass_knows_what_the_last_owner_knew() {
    let Some(shop) = ServerShop::open().await else {
        return;
    };
    let daemon = shop.daemon("one");
    shop.pay_in_each("first").await;
    shop.until_paid(ACCOUNTS.len()).await;
    stopped(daemon).await;
    let record = "UPDATE payrecond.accounts
                     SET state = CASE name WHEN 'a' THEN 'held' ELSE 'key_refused' END,
                         resume_at = CASE name WHEN 'a'
                             THEN (extract(epoch FROM now()) * 1000)::bigint + 600000 END
                   WHERE name IN ('a', 'b')";
    shop.write_as_daemon(record).await;
    shop.pay_in_each("second").await;
    let pass = shop
        .command(&["run", "--once"])
        .env("RUST_LOG", "debug")
        .stderr(std::fs::File::create("/tmp/once.err").unwrap())
        .output()
        .await
        .unwrap();
    assert_eq!(
        pass.status.code(),
        Some(1),
        "one invoice could not be asked about"
    );
    let unpaid = "SELECT string_agg(account, ' ') FROM invoices WHERE status <> 'paid'";
    assert_eq!(shop.ask(unpaid).await, "a");
    shop.write_as_daemon("UPDATE payrecond.accounts SET resume_at = NULL WHERE name = 'a'")
        .await;
    shop.run(&["run", "--once"]).await;
    shop.until_paid(2 * ACCOUNTS.len()).await;
}

/// `pg_restore` as a role that may not drop the tables fails, but sets the sequence of the events' numbers back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_that_were_set_back_are_not_assigned_again() {
    let Some(shop) = ServerShop::open().await else {
        return;
    };
    let daemon = shop.daemon("one");
    shop.pay_in_each("first").await;
    shop.until_paid(ACCOUNTS.len()).await;
    stopped(daemon).await;
    let newest = "SELECT max(seq) FROM outbox";
    let before: i64 = shop.ask(newest).await.parse().unwrap();
    let set_back =
        "SELECT setval('payrecond.outbox_seq', (SELECT max(seq) - 3 FROM payrecond.outbox))";
    shop.write_as_daemon(set_back).await;
    let daemon = shop.daemon("two");
    shop.pay_in_each("second").await;
    shop.until_paid(2 * ACCOUNTS.len()).await;
    let lowest = format!("SELECT min(seq) FROM outbox WHERE seq > {before}");
    let lowest: i64 = shop.ask(&lowest).await.parse().unwrap();
    assert!(
        lowest > before + 1000,
        "a new epoch: {before}, then {lowest}"
    );
    assert_eq!(
        shop.ask("SELECT count(DISTINCT epoch) FROM outbox").await,
        "2"
    );
    stopped(daemon).await;
}
