//! A shop whose events go into a stream.

use std::process::Stdio;

use payrecond::clock::{Clock as _, SystemClock};
use payrecond::domain::invoice::InvoiceId;
use payrecond::domain::observation::{Observation, OrderState};
use payrecond::store::sqlite::{SqliteOptions, SqliteStore};
use payrecond::store::{Store, Written};

use super::server::NatsServer;
use crate::cli::decided;
use crate::faults::program::{self, Program, Stdout};
use crate::rows::observed_order_of;
use crate::shop::Shop;

/// An event of the outbox.
#[derive(Debug, PartialEq, Eq)]
pub struct Recorded {
    pub subject: String,
    pub id: String,
    pub payload: String,
}

/// The events of an outbox, in order; for both databases.
pub const RECORDED: &str = "SELECT subject, event_id, payload FROM outbox ORDER BY seq";
/// How far the publisher is behind the end of the outbox; for both databases.
pub const BEHIND: &str = "SELECT (SELECT coalesce(max(seq), 0) FROM outbox)
                               - coalesce((SELECT acked_seq FROM consumers WHERE name = 'nats'), 0)";

impl From<(String, String, String)> for Recorded {
    fn from((subject, id, payload): (String, String, String)) -> Self {
        Self {
            subject,
            id,
            payload,
        }
    }
}

impl Shop {
    /// Configures the publisher for `server`.
    pub fn publish_to(&mut self, server: &NatsServer) {
        self.publish_to_url(&server.url());
    }

    /// Configures the publisher for the servers of an address.
    pub fn publish_to_url(&mut self, url: &str) {
        self.configure(&format!("[nats]\nurl = \"{url}\"\n"));
    }

    /// Writes an event for each of `count` new invoices, without a daemon.
    pub async fn record_payments(&self, prefix: &str, count: usize) {
        let options = SqliteOptions::new(self.database(), "payments");
        let store = SqliteStore::open(options).await.unwrap();
        let names: Vec<String> = (0..count).map(|n| format!("{prefix}{n}")).collect();
        let json = serde_json::to_string(&names).unwrap();
        self.execute(&format!(
            "INSERT INTO invoices (external_id, order_id, amount, currency)
             SELECT value, 'o' || value, '1.00', 'USD' FROM json_each('{json}')"
        ))
        .await;
        let mut connection = self.connect().await;
        let ids: Vec<InvoiceId> = sqlx::query_scalar(
            "SELECT id FROM invoices WHERE external_id IN (SELECT value FROM json_each(?)) ORDER BY id",
        )
        .bind(&json)
        .fetch_all(&mut connection)
        .await
        .unwrap()
        .into_iter()
        .map(InvoiceId)
        .collect();
        assert_eq!(ids.len(), count);
        pay_all(&store, ids).await;
        payrecond::store::Database::close(&store).await;
    }

    /// `payrecond publish` as a process.
    pub fn start_publisher(&self) -> Program {
        self.start_publisher_with(&[])
    }

    pub fn start_publisher_with(&self, arguments: &[&str]) -> Program {
        program::write_config(self);
        let mut command = program::program(self.folder.path());
        command.arg("publish").args(arguments);
        Program::spawn(self, command, Stdout::Read, Stdio::piped())
    }

    /// Every event of the outbox, in order.
    pub async fn outbox(&self) -> Vec<Recorded> {
        let mut connection = self.connect().await;
        let rows = sqlx::query_as(RECORDED).fetch_all(&mut connection).await;
        let rows: Vec<(String, String, String)> = rows.unwrap();
        rows.into_iter().map(Recorded::from).collect()
    }

    /// Waits until every event was acknowledged for the stream.
    pub async fn until_published(&self) {
        self.until(BEHIND, "0").await;
    }
}

/// Pays invoices, again those that a daemon has written to meanwhile.
pub async fn pay_all(store: &dyn Store, mut ids: Vec<InvoiceId>) {
    while !ids.is_empty() {
        let some: Vec<InvoiceId> = ids.drain(..ids.len().min(500)).collect();
        ids.extend(pay_rows(store, &some).await);
    }
}

/// Pays invoices. Returns those that a daemon has written to meanwhile.
async fn pay_rows(store: &dyn Store, ids: &[InvoiceId]) -> Vec<InvoiceId> {
    let invoices = store.load(ids).await.unwrap();
    let paid: Vec<_> = invoices
        .iter()
        .map(|invoice| {
            let order = observed_order_of(invoice, OrderState::Paid);
            decided(invoice, Observation::Seen(order))
        })
        .collect();
    let written = store.commit(&paid, SystemClock::new().now()).await.unwrap();
    let stale = written.iter().zip(ids);
    stale
        .filter(|(written, _)| **written == Written::Stale)
        .map(|(_, id)| *id)
        .collect()
}

/// Asserts that the stream holds every event of the outbox once, in order, as it is there.
pub async fn assert_stream_is_outbox(server: &NatsServer, shop: &Shop) {
    assert_stream_holds(server, &shop.outbox().await).await;
}

/// Asserts that the stream holds these events and no others.
pub async fn assert_stream_holds(server: &NatsServer, recorded: &[Recorded]) {
    let messages = server.messages().await;
    let published = messages.into_iter().map(|message| {
        assert_eq!(
            message.content_type,
            "application/cloudevents+json; charset=UTF-8"
        );
        Recorded {
            subject: message.subject,
            id: message.id,
            payload: message.payload,
        }
    });
    assert_same(&published.collect::<Vec<_>>(), recorded);
}

/// Compares event by event, so that the message of a failure is short.
pub fn assert_same(published: &[Recorded], recorded: &[Recorded]) {
    for (place, (published, recorded)) in published.iter().zip(recorded).enumerate() {
        assert_eq!(published, recorded, "at place {place}");
    }
    assert_eq!(published.len(), recorded.len(), "events in the stream");
}
