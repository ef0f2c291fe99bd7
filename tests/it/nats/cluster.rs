//! A cluster of three servers whose stream has three replicas: the leader is killed while events are
//! published.

use async_nats::jetstream::stream::{Config, Info};
use async_nats::jetstream::{self, Context};

use super::scene::assert_stream_is_outbox;
use super::server::{NatsServer, STREAM, forgetful};
use crate::free_port::free_port;
use crate::shop::Shop;
use crate::until::eventually;

struct NatsCluster {
    servers: Vec<NatsServer>,
}

impl NatsCluster {
    /// Starts three servers; None where the machine has no nats-server.
    fn start() -> Option<Self> {
        let routes = (0..3).map(|_| format!("127.0.0.1:{}", free_port()));
        let routes: Vec<String> = routes.collect();
        let all: Vec<String> = routes
            .iter()
            .map(|address| format!("\"nats://{address}\""))
            .collect();
        let servers = routes.iter().enumerate().map(|(n, own)| {
            let lines = format!(
                "server_name: {}\ncluster {{ name: tests, listen: \"{own}\", routes: [{}] }}",
                name(n),
                all.join(", ")
            );
            NatsServer::start_with(&lines, None)
        });
        let servers = servers.collect::<Option<Vec<_>>>()?;
        Some(Self { servers })
    }

    fn url(&self) -> String {
        let each: Vec<String> = self.servers.iter().map(NatsServer::url).collect();
        each.join(",")
    }

    /// A client of the servers that run.
    async fn jetstream(&self) -> Context {
        eventually(async || {
            let each: Vec<String> = self.servers.iter().map(NatsServer::url).collect();
            let client = async_nats::connect(each).await.ok()?;
            Some(jetstream::new(client))
        })
        .await
    }

    async fn make_stream(&self) {
        let context = self.jetstream().await;
        // Refused until the servers have elected a leader.
        eventually(async || {
            let config = Config {
                num_replicas: 3,
                ..forgetful()
            };
            context.create_stream(config).await.ok()
        })
        .await;
    }

    /// What the stream tells of itself, once it is as asked.
    async fn until_stream(&self, fits: impl Fn(&Info) -> bool) -> Info {
        let context = self.jetstream().await;
        eventually(async || {
            let stream = context.get_stream(STREAM).await.ok()?;
            let info = stream.get_info().await.ok()?;
            fits(&info).then_some(info)
        })
        .await
    }

    /// The number of the server that leads the stream.
    async fn leader(&self) -> usize {
        self.until_leader_has(0).await
    }

    /// The number of the leader, once it answers with `count` messages: a new leader may answer before it has
    /// applied all that it holds.
    async fn until_leader_has(&self, count: u64) -> usize {
        let has_all = |info: &Info| leader_of(info).is_some() && info.state.messages >= count;
        let info = self.until_stream(has_all).await;
        server_of(leader_of(&info).unwrap())
    }

    /// Waits until every replica holds what the leader holds.
    async fn until_complete(&self) {
        self.until_stream(|info| {
            let replicas = info.cluster.as_ref().map(|cluster| &cluster.replicas);
            replicas.is_some_and(|replicas| {
                replicas.len() == 2 && replicas.iter().all(|one| one.current && !one.offline)
            })
        })
        .await;
    }
}

fn name(server: usize) -> String {
    format!("nats-{server}")
}

fn server_of(leader: &str) -> usize {
    (0..3).find(|n| name(*n) == leader).unwrap()
}

fn leader_of(info: &Info) -> Option<&str> {
    info.cluster
        .as_ref()?
        .leader
        .as_deref()
        .filter(|leader| !leader.is_empty())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_of_a_cluster_costs_no_event_and_no_order() {
    let Some(mut cluster) = NatsCluster::start() else {
        return;
    };
    cluster.make_stream().await;
    let mut shop = Shop::open().await;
    shop.publish_to_url(&cluster.url());
    shop.record_payments("ORD-", 6000).await;
    let publisher = shop.start_publisher();
    for stored in [300, 2500] {
        let leader = cluster.until_leader_has(stored).await;
        cluster.servers[leader].kill();
        // Two of three are a majority.
        cluster.until_leader_has(stored + 1000).await;
        cluster.servers[leader].run();
        cluster.until_complete().await;
    }
    shop.until_published().await;
    let leader = cluster.leader().await;
    cluster.servers[leader].kill();
    // Some versions of nats-server elect a replica that lacks most of what a majority had acknowledged (2.9.10:
    // 2 of 6 runs side by side). What is missing is published again with the next event.
    shop.record_payments("LAST-", 1).await;
    shop.until_published().await;
    publisher.stop().await;
    let next = cluster.until_leader_has(6001).await;
    assert_ne!(next, leader);
    assert_stream_is_outbox(&cluster.servers[next], &shop).await;
}
