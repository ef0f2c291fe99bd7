//! Daemons whose lines to the database a test controls, and whose requests to the provider it sees.

use std::process::ExitStatus;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use payrecond::sandbox::SimulatedPayment;
use tokio::process::Child;
use tokio::time::Instant;

use super::line::Line;
use super::reader::{CursorReader, SeenEvent};
use super::server::As;
use super::shop::{ACCOUNTS, ServerShop, signal};
use crate::PATIENCE;

/// A request to the provider, as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub daemon: &'static str,
    pub account: &'static str,
    pub at: Instant,
}

/// A daemon with lines of its own.
pub struct LinedDaemon {
    pub name: &'static str,
    /// To the database.
    pub line: Line,
    child: Child,
    was_restarted: bool,
    /// To the provider, for each account.
    _providers: Vec<Line>,
}

/// Daemons on one database, and a reader of its outbox.
pub struct Cluster {
    pub shop: ServerShop,
    pub daemons: Vec<LinedDaemon>,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// The reader's line to the database.
    pub reader_line: Line,
    reader: CursorReader,
    paid: usize,
}

impl Cluster {
    pub async fn start(shop: ServerShop, names: &[&'static str]) -> Self {
        let server = shop.database.server.address();
        let reader_line = Line::to(server).await;
        let url = shop.database.url_by(As::App, reader_line.address);
        let mut cluster = Self {
            reader: CursorReader::start(url),
            reader_line,
            shop,
            daemons: Vec::new(),
            asked: Arc::default(),
            paid: 0,
        };
        for name in names {
            cluster.add(name).await;
        }
        cluster
    }

    /// One more daemon.
    pub async fn add(&mut self, name: &'static str) {
        let line = Line::to(self.shop.database.server.address()).await;
        let provider = self.shop.sandbox.url();
        let provider = provider.trim_start_matches("http://").parse().unwrap();
        let mut providers = Vec::new();
        for account in ACCOUNTS {
            let asked = Arc::clone(&self.asked);
            let heard = move || {
                asked.lock().unwrap().push(Asked {
                    daemon: name,
                    account,
                    at: Instant::now(),
                });
            };
            providers.push(Line::hearing(provider, Arc::new(heard)).await);
        }
        let url = self.shop.database.url_by(As::Daemon, line.address);
        self.shop.configure(name, &url, |account| {
            let place = ACCOUNTS.iter().position(|known| *known == account);
            format!("http://{}", providers[place.unwrap()].address)
        });
        self.daemons.push(LinedDaemon {
            name,
            line,
            child: self.shop.configured_daemon(name),
            was_restarted: false,
            _providers: providers,
        });
    }

    /// Drops and pays an invoice of each account.
    pub async fn pay_in_each(&mut self, round: &str) {
        for account in ACCOUNTS {
            let id = self
                .shop
                .drop_in(account, &format!("{round}-{account}"))
                .await;
            self.pay(&id);
        }
    }

    /// Pays an order that was dropped in.
    pub fn pay(&mut self, order_id: &str) {
        let payment = SimulatedPayment::default();
        self.shop.world.pay(order_id, &payment).unwrap();
        self.paid += 1;
    }

    /// Waits until every payment is known, and starts daemons that exited meanwhile, as systemd would.
    pub async fn settle(&mut self) {
        let paid = "SELECT count(*) FROM invoices WHERE status = 'paid'";
        self.until(paid, &self.paid.to_string()).await;
    }

    /// Waits for an answer of the database, and keeps the daemons running meanwhile.
    pub async fn until(&mut self, sql: &str, expected: &str) {
        let begun = Instant::now();
        loop {
            self.keep_running();
            let answer = self.shop.try_ask(sql).await;
            if answer.as_ref().is_ok_and(|answer| answer == expected) {
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{sql}: expected {expected}, still {answer:?}\n{}",
                self.shop.logs()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Starts daemons again that exited.
    pub fn keep_running(&mut self) {
        for place in 0..self.daemons.len() {
            if self.exited(place).is_some() {
                self.start_again(place);
            }
        }
    }

    /// Whether a daemon has run since it was added.
    pub fn runs(&mut self, place: usize) -> bool {
        self.exited(place).is_none() && !self.daemons[place].was_restarted
    }

    fn exited(&mut self, place: usize) -> Option<ExitStatus> {
        self.daemons[place].child.try_wait().unwrap()
    }

    /// Waits until a daemon exits by itself, and starts it again.
    pub async fn exit_of(&mut self, place: usize) -> Option<i32> {
        let ended = tokio::time::timeout(PATIENCE, self.daemons[place].child.wait()).await;
        self.start_again(place);
        ended.unwrap().unwrap().code()
    }

    pub fn start_again(&mut self, place: usize) {
        let daemon = &mut self.daemons[place];
        daemon.was_restarted = true;
        daemon.child = self.shop.configured_daemon(daemon.name);
    }

    pub fn signal(&self, place: usize, name: &str) {
        signal(&self.daemons[place].child, name);
    }

    /// Kills a daemon.
    pub async fn kill(&mut self, place: usize) {
        self.daemons[place].child.kill().await.unwrap();
    }

    /// Stops a daemon and waits for its end.
    pub async fn stop_one(&mut self, place: usize) {
        self.signal(place, "TERM");
        let ended = tokio::time::timeout(PATIENCE, self.daemons[place].child.wait()).await;
        assert_eq!(
            ended.unwrap().unwrap().code(),
            Some(0),
            "{}",
            self.shop.logs()
        );
    }

    /// Waits until every account has an owner, and a daemon owns as many of them as given.
    pub async fn until_shared(&mut self, daemon: &str, accounts: usize) {
        let owned = format!(
            "SELECT count(*) FILTER (WHERE owner = '{daemon}') || ' of ' || count(*) FROM leases
              WHERE name LIKE 'account:%' AND owner IS NOT NULL AND until > now_ms()"
        );
        let expected = format!("{accounts} of {}", ACCOUNTS.len());
        self.until(&owned, &expected).await;
    }

    /// The accounts of a daemon.
    pub async fn accounts_of(&self, daemon: &str) -> Vec<&'static str> {
        let owned = format!(
            "SELECT string_agg(name, ' ') FROM leases WHERE name LIKE 'account:%' AND owner = '{daemon}'"
        );
        let owned = self.shop.ask(&owned).await;
        let owns = |account: &&str| owned.contains(&format!("account:{account}"));
        ACCOUNTS.into_iter().filter(owns).collect()
    }

    /// Every request so far, as it arrived.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Stops all, and checks that every payment was told once and in order.
    pub async fn end(mut self) {
        self.settle().await;
        for place in 0..self.daemons.len() {
            if self.exited(place).is_none() {
                self.stop_one(place).await;
            }
        }
        let seen = self.reader.stop().await;
        told_once(&self.shop, self.paid).await;
        assert_eq!(seen, outbox(&self.shop).await, "the reader missed nothing");
    }
}

async fn told_once(shop: &ServerShop, paid: usize) {
    let told = "SELECT count(*) || ' of ' || count(DISTINCT (account, external_id)) FROM outbox
                 WHERE type = 'payment.paid'";
    assert_eq!(shop.ask(told).await, format!("{paid} of {paid}"));
    let unordered = "SELECT count(*) FROM (
        SELECT version, row_number() OVER (PARTITION BY account, external_id ORDER BY seq) AS place
          FROM outbox) AS told WHERE version <> place";
    assert_eq!(shop.ask(unordered).await, "0", "versions in order");
}

async fn outbox(shop: &ServerShop) -> Vec<SeenEvent> {
    let mut program = shop.database.connect(As::App).await;
    let all = sqlx::query_as("SELECT seq, event_id FROM outbox ORDER BY seq");
    all.fetch_all(&mut program).await.unwrap()
}
