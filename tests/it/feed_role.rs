//! The role of a consumer's only holder: when a delivery takes it, checks it and gives it back.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::FutureExt as _;
use payrecond::jobs::feed::{Delivered, Feed, FeedError, FeedRole, Sink, TakeRole};
use payrecond::store::sqlite::SqliteStore;
use payrecond::store::{RoleHold, Store, StoreError, StoredEvent};

use crate::cli::{Shop, pay};

const CONSUMER: &str = "nats";

/// The consumer, as its processes see it.
#[derive(Default)]
struct SharedRole {
    /// Another process has it, or took it from this one.
    is_elsewhere: AtomicBool,
    /// It could not be renewed in time.
    is_unconfirmed: AtomicBool,
    taken: AtomicUsize,
    given_back: AtomicUsize,
}

/// The role while this process has it.
struct Held {
    role: Arc<SharedRole>,
    /// As it was when it was taken.
    number: usize,
}

impl RoleHold for Held {
    fn require_held(&self) -> Result<(), StoreError> {
        if self.role.is_unconfirmed.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("not renewed".into()));
        }
        let is_last = self.role.taken.load(Ordering::SeqCst) == self.number;
        if is_last && !self.role.is_elsewhere.load(Ordering::SeqCst) {
            return Ok(());
        }
        Err(StoreError::Replaced("taken".into()))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.role.given_back.fetch_add(1, Ordering::SeqCst);
    }
}

impl SharedRole {
    fn take(role: &Arc<Self>) -> TakeRole {
        let role = Arc::clone(role);
        Arc::new(move || {
            let role = Arc::clone(&role);
            async move {
                if role.is_elsewhere.load(Ordering::SeqCst) {
                    return Ok(None);
                }
                let number = role.taken.fetch_add(1, Ordering::SeqCst) + 1;
                let held: Box<dyn RoleHold> = Box::new(Held { role, number });
                Ok(Some(held))
            }
            .boxed()
        })
    }
}

/// What happens in the sink.
#[derive(Default)]
struct SinkScript {
    /// Done while it is prepared for the next time.
    during_prepare: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    /// How many events it accepts at a time.
    at_a_time: usize,
    refuses: AtomicBool,
    prepared: AtomicUsize,
    forgotten: AtomicUsize,
    accepted: Mutex<Vec<i64>>,
}

struct Scripted(Arc<SinkScript>);

#[async_trait]
impl Sink for Scripted {
    fn batch_size(&self) -> u32 {
        10
    }

    async fn prepare(&mut self, _acknowledged: i64) -> Result<Option<i64>, FeedError> {
        self.0.prepared.fetch_add(1, Ordering::SeqCst);
        if let Some(happens) = self.0.during_prepare.lock().unwrap().take() {
            happens();
        }
        Ok(None)
    }

    async fn deliver(&mut self, events: &[StoredEvent], _limit: u64) -> Delivered {
        if self.0.refuses.load(Ordering::SeqCst) {
            return Delivered {
                failure: Some(FeedError::Stopped("full".into())),
                ..Delivered::default()
            };
        }
        let events: Vec<i64> = events.iter().map(|event| event.seq).collect();
        let count = events.len().min(self.0.at_a_time);
        self.0.accepted.lock().unwrap().extend(&events[..count]);
        Delivered {
            events: count,
            frames: count as u64,
            failure: None,
        }
    }

    fn forget(&mut self) {
        self.0.forgotten.fetch_add(1, Ordering::SeqCst);
    }
}

/// An outbox with events, and a delivery under a role.
struct Scene {
    _shop: Shop,
    store: Arc<SqliteStore>,
    role: Arc<SharedRole>,
    sink: Arc<SinkScript>,
    feed: Feed<Scripted>,
}

impl Scene {
    async fn with_events(count: usize) -> Self {
        let shop = Shop::new();
        assert_eq!(shop.run(&["migrate"]).code, 0);
        let store = shop.store().await;
        for n in 0..count {
            pay(&store, &format!("ORD-{n}"), &format!("o{n}")).await;
        }
        let place = store.consumer(CONSUMER).await.unwrap();
        let sink = Arc::new(SinkScript {
            at_a_time: 2,
            ..SinkScript::default()
        });
        let role = Arc::new(SharedRole::default());
        let outbox = Arc::clone(&store) as Arc<dyn Store>;
        let end = Scripted(Arc::clone(&sink));
        let feed = Feed::into_sink(outbox, Some(CONSUMER.to_owned()), place, end);
        let feed = feed.under(FeedRole::in_turn(CONSUMER, SharedRole::take(&role)));
        Self {
            _shop: shop,
            store,
            role,
            sink,
            feed,
        }
    }

    fn accepted(&self) -> Vec<i64> {
        self.sink.accepted.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn the_rest_of_a_batch_is_delivered_once_the_sink_is_prepared_again() {
    let mut scene = Scene::with_events(5).await;
    assert_eq!(scene.feed.run_once(None).await.unwrap(), 5);
    assert_eq!(scene.accepted(), [1, 2, 3, 4, 5]);
    assert_eq!(scene.sink.prepared.load(Ordering::SeqCst), 4);
    assert_eq!(scene.store.consumer(CONSUMER).await.unwrap(), 5);
}

#[tokio::test]
async fn a_role_that_is_lost_while_the_sink_is_prepared_delivers_nothing() {
    let mut scene = Scene::with_events(3).await;
    let role = Arc::clone(&scene.role);
    let lost = Box::new(move || role.is_elsewhere.store(true, Ordering::SeqCst));
    *scene.sink.during_prepare.lock().unwrap() = Some(lost);
    let error = scene.feed.run_once(None).await.unwrap_err();
    assert!(matches!(error, FeedError::Standby(_)), "{error}");
    assert_eq!(
        error.to_string(),
        "consumer nats is held by another process; waiting"
    );
    assert!(scene.accepted().is_empty());
}

#[tokio::test]
async fn a_role_taken_anew_continues_where_the_other_process_left_off() {
    let mut scene = Scene::with_events(4).await;
    assert_eq!(scene.feed.run_once(Some(2)).await.unwrap(), 2);
    let forgotten = scene.sink.forgotten.load(Ordering::SeqCst);
    // Another process takes the role, delivers the third event, and ends.
    scene.role.taken.fetch_add(1, Ordering::SeqCst);
    scene.store.acknowledge(CONSUMER, 3).await.unwrap();
    assert_eq!(scene.feed.run_once(None).await.unwrap(), 1);
    assert_eq!(scene.accepted(), [1, 2, 4]);
    let since = scene.sink.forgotten.load(Ordering::SeqCst) - forgotten;
    assert_eq!(since, 1, "the sink's content is read again");
}

#[tokio::test]
async fn a_role_that_is_not_renewed_delivers_nothing_until_it_is() {
    let mut scene = Scene::with_events(2).await;
    assert_eq!(scene.feed.run_once(Some(1)).await.unwrap(), 2);
    pay(&scene.store, "LATER", "later").await;
    scene.role.is_unconfirmed.store(true, Ordering::SeqCst);
    let error = scene.feed.run_once(None).await.unwrap_err();
    assert!(matches!(error, FeedError::Unconfirmed(_)), "{error}");
    assert_eq!(scene.accepted(), [1, 2]);
    scene.role.is_unconfirmed.store(false, Ordering::SeqCst);
    assert_eq!(scene.feed.run_once(None).await.unwrap(), 1);
    assert_eq!(scene.role.taken.load(Ordering::SeqCst), 1, "it kept it");
}

#[tokio::test]
async fn a_delivery_that_cannot_go_on_gives_its_role_back() {
    let mut scene = Scene::with_events(2).await;
    scene.sink.refuses.store(true, Ordering::SeqCst);
    let error = scene.feed.run_once(None).await.unwrap_err();
    assert!(matches!(error, FeedError::Stopped(_)), "{error}");
    assert_eq!(scene.role.given_back.load(Ordering::SeqCst), 1);
    scene.sink.refuses.store(false, Ordering::SeqCst);
    assert_eq!(scene.feed.run_once(None).await.unwrap(), 2);
    assert_eq!(scene.role.taken.load(Ordering::SeqCst), 2);
}
