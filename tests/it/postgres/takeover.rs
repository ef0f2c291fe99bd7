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
