//! A shop whose daemon is affected by a fault at a selected call, and what must hold afterwards.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use futures::StreamExt as _;
use payrecond::sandbox::SimulatedPayment;

use super::kill::request;
use super::laws;
use super::program::{self, Left, Program, Stdout};
use super::shim::Rule;
use crate::shop::Shop;

/// Scenes that are played concurrently, since they mostly wait.
const AT_ONCE: usize = 4;

/// Paid orders, and orders that are created and then paid.
pub struct Struck {
    pub shop: Shop,
    runs: Vec<Left>,
}

/// The outcome of a run under a rule.
#[derive(Debug, PartialEq, Eq)]
pub enum Came {
    /// It ended by itself, or was ended.
    Ended,
    /// Everything is paid and recorded.
    Settled,
    /// It logged one of the messages.
    Said,
}

impl Struck {
    pub async fn open() -> Self {
        let shop = Shop::open().await;
        for n in 0..2 {
            shop.drop_in(&format!("ORD-{n}")).await;
            request(&shop, &format!("NEW-{n}")).await;
        }
        let runs = Vec::new();
        Self { shop, runs }
    }

    fn healed(&self) -> PathBuf {
        self.shop.folder.path().join("healed")
    }

    /// From now on no call is affected.
    pub fn heal(&self) {
        std::fs::write(self.healed(), "").unwrap();
    }

    pub fn start_under(&self, rule: Rule) -> Program {
        let mut command = program::command(&self.shop);
        rule.onto(&mut command, &self.healed());
        Program::spawn(&self.shop, command, Stdout::Read, Stdio::piped())
    }

    /// Pays every order that exists. Returns what comes first.
    pub async fn until(&self, program: &mut Program, words: &[&str]) -> Came {
        let waiting = async {
            loop {
                if program.has_ended() {
                    return Came::Ended;
                }
                if self.is_settled().await {
                    return Came::Settled;
                }
                let said = program.said();
                if words.iter().any(|words| said.contains(words)) {
                    return Came::Said;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let came = tokio::time::timeout(crate::PATIENCE, waiting).await;
        came.unwrap_or_else(|_| panic!("nothing came: {}", program.said()))
    }

    async fn is_settled(&self) -> bool {
        for order in self.shop.world.orders() {
            let _ = self.shop.world.pay(&order.id, &SimulatedPayment::default());
        }
        let open = "SELECT (SELECT count(*) FROM invoices WHERE status <> 'paid')
                         + (SELECT count(*) FROM outbox_unread WHERE consumer = 'stdout')";
        self.shop.ask(open).await == "0"
    }

    pub fn keep(&mut self, left: Left) {
        assert!(!left.stderr.contains("panicked"), "{}", left.stderr);
        // A side file ahead of a failed commit, or one that could not be read.
        assert!(!left.stderr.contains("older copy"), "{}", left.stderr);
        self.runs.push(left);
    }

    /// A start without faults settles everything, and all laws hold.
    pub async fn settles(mut self) {
        let mut program = Program::ready(&self.shop).await;
        let came = self.until(&mut program, &[]).await;
        assert_eq!(came, Came::Settled, "{}", program.said());
        self.keep(program.stop().await);
        laws::hold(&self.shop, &self.runs).await;
        let made = self.shop.world.orders().len();
        assert_eq!(made, 4, "an order was made twice or not at all");
    }
}

/// Plays a scene under each rule, a few at a time. A failure names its rule.
pub async fn play<F, T>(rules: Vec<Rule>, scene: impl Fn(Rule) -> F) -> Vec<(Rule, T)>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let scenes = rules.into_iter().map(|rule| {
        let playing = tokio::spawn(scene(rule));
        async move {
            let done = playing.await;
            (rule, done.unwrap_or_else(|_| panic!("under {rule:?}")))
        }
    });
    // Each is spawned when its turn comes.
    let scenes: Vec<_> = futures::stream::iter(scenes)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    scenes
}
