//! The feed into NATS JetStream, as configured.

use std::sync::Arc;

use futures::FutureExt as _;

use super::{DaemonError, NATS_CONSUMER};
use crate::config::{self, Environment, NatsConfig};
use crate::jetstream::Connector;
use crate::jobs::feed::{Feed, FeedRole, StreamSetup, StreamSink, TakeRole};
use crate::metrics::FeedMeter;
use crate::store::{Database, DatabaseOptions, Role, Store, StoreError};

/// The publisher as configured.
pub(super) struct NatsFeed {
    connector: Connector,
    stream: Option<String>,
    subject_prefix: String,
    database: DatabaseOptions,
}

impl NatsFeed {
    /// Reads the configuration of the publisher.
    ///
    /// # Errors
    /// If the credential is missing or unusable.
    pub(super) fn new(
        nats: &NatsConfig,
        database: DatabaseOptions,
        env: &Environment,
    ) -> Result<Self, DaemonError> {
        Ok(Self {
            connector: connector(nats, env)?,
            stream: nats.stream.clone(),
            subject_prefix: database.subject_prefix.clone(),
            database,
        })
    }

    /// Opens the feed at its acknowledged position.
    pub(super) async fn open_feed(
        &self,
        store: Arc<dyn Database>,
        meter: FeedMeter,
    ) -> Result<Feed<StreamSink>, DaemonError> {
        let place = consumer_position(store.as_ref(), NATS_CONSUMER).await?;
        let store = store as Arc<dyn Store>;
        let sink = StreamSink::new(StreamSetup {
            connector: self.connector.clone(),
            stream: self.stream.clone(),
            subject_prefix: self.subject_prefix.clone(),
            store: Arc::clone(&store),
        });
        let consumer = Some(NATS_CONSUMER.to_owned());
        let feed = Feed::into_sink(store, consumer, place, sink).metered(meter);
        // `publish` may run beside a daemon.
        let take = take_role(self.database.clone(), NATS_CONSUMER);
        Ok(feed.under(FeedRole::in_turn(NATS_CONSUMER, take)))
    }
}

/// Takes the role of a consumer's only holder.
pub(super) fn take_role(database: DatabaseOptions, consumer: &'static str) -> TakeRole {
    Arc::new(move || {
        let database = database.clone();
        async move { database.hold(Role::Consumer(consumer)).await }.boxed()
    })
}

/// Makes the connector as configured.
///
/// # Errors
/// If the credential is missing or unusable.
pub fn connector(nats: &NatsConfig, env: &Environment) -> Result<Connector, DaemonError> {
    config::nats_credential(nats, env)?;
    Ok(Connector {
        servers: nats.servers.clone(),
        credential: config::credential_reader(nats, env),
        tls_ca_file: nats.tls_ca_file.clone(),
    })
}

/// The last event that a consumer has acknowledged.
pub(super) async fn consumer_position(
    store: &dyn Database,
    consumer: &str,
) -> Result<i64, StoreError> {
    let place = store.consumer(consumer).await;
    place.map_err(|error| error.at(store.name()))
}
