//! Each kind of credential against a server that requires it. None is shown anywhere.

use async_nats::ConnectOptions;
use nkeys::KeyPair;

use super::check::check;
use super::operator::{NatsOperator, PUBLISHER};
use super::server::{NatsServer, usual};
use crate::faults::program;
use crate::shop::Shop;

const TOKEN: &str = "canary-token-9c1f5e77";
const PASSWORD: &str = "canary:pass-9c1f5e77";

/// A server that requires a credential.
struct Guarded {
    /// Lines of the server's configuration.
    server: String,
    /// The credential that the server accepts, as in its file, and one of the same kind that it does not.
    accepted: String,
    refused: String,
    /// Parts of the credential that must not be shown.
    secrets: Vec<String>,
}

impl Guarded {
    /// The publisher is refused with one credential and publishes with the other, which replaces it while
    /// the publisher runs. `as_admin` connects with all rights.
    async fn require_credential(self, as_admin: impl Fn() -> ConnectOptions) {
        let Some(server) = NatsServer::start_with(&self.server, None) else {
            return;
        };
        let context = server.jetstream_with(as_admin).await;
        context.create_stream(usual()).await.unwrap();
        let mut shop = Shop::open().await;
        let file = shop.folder.path().join("nats.credential");
        std::fs::write(&file, &self.refused).unwrap();
        shop.publish_to(&server);
        shop.configure(&format!("credentials_file = \"{}\"\n", file.display()));
        shop.configure("[log]\nlevel = \"trace\"\n");
        shop.record_payments("ORD-", 3).await;
        let (passes, refusal) = check(&shop).await;
        assert!(!passes, "{refusal}");
        assert!(refusal.contains("refused the credential"), "{refusal}");
        let publisher = shop.start_publisher();
        publisher.until_said("refused the credential").await;
        std::fs::write(&file, format!("{}\n", self.accepted)).unwrap();
        shop.until_published().await;
        let (_, report) = check(&shop).await;
        assert!(report.contains("stream PAYMENTS: file storage"), "{report}");
        let left = publisher.stop().await;
        let stdout = String::from_utf8(left.stdout).unwrap();
        for text in [refusal, report, left.stderr, stdout] {
            for secret in &self.secrets {
                assert!(!text.contains(secret), "{text}");
            }
        }
        assert_eq!(
            context
                .get_stream("PAYMENTS")
                .await
                .unwrap()
                .cached_info()
                .state
                .messages,
            3
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_the_server_and_is_shown_nowhere() {
    let guarded = Guarded {
        server: format!("authorization {{ token: \"{TOKEN}\" }}"),
        accepted: TOKEN.to_owned(),
        refused: "canary-token-wrong".to_owned(),
        secrets: vec!["canary-token".to_owned()],
    };
    let as_admin = || ConnectOptions::with_token(TOKEN.to_owned());
    guarded.require_credential(as_admin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_and_a_password_open_the_server_and_are_shown_nowhere() {
    let guarded = Guarded {
        server: format!("authorization {{ user: \"shop\", password: \"{PASSWORD}\" }}"),
        accepted: format!("shop:{PASSWORD}"),
        refused: "shop:canary:wrong".to_owned(),
        secrets: vec!["canary:".to_owned()],
    };
    let as_admin =
        || ConnectOptions::with_user_and_password("shop".to_owned(), PASSWORD.to_owned());
    guarded.require_credential(as_admin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seed_of_an_nkey_opens_the_server_and_is_shown_nowhere() {
    let (user, stranger) = (KeyPair::new_user(), KeyPair::new_user());
    let (seed, other) = (user.seed().unwrap(), stranger.seed().unwrap());
    let guarded = Guarded {
        server: format!(
            "authorization {{ users: [ {{ nkey: {} }} ] }}",
            user.public_key()
        ),
        accepted: seed.clone(),
        refused: other.clone(),
        secrets: vec![seed.clone(), other],
    };
    let as_admin = || ConnectOptions::with_nkey(seed.clone());
    guarded.require_credential(as_admin).await;
}

/// The user of the file has the rights that docs/nats.md lists, and no others.
#[tokio::test(flavor = "multi_thread")]
async fn a_creds_file_with_the_documented_rights_opens_the_server_and_is_shown_nowhere() {
    let (operator, stranger) = (NatsOperator::new(), NatsOperator::new());
    let admin = operator.add_user(None);
    let publisher = operator.add_user(Some(PUBLISHER));
    let other = stranger.add_user(Some(PUBLISHER));
    let mut secrets = publisher.secrets();
    secrets.extend(other.secrets());
    let guarded = Guarded {
        server: operator.server_lines(),
        accepted: publisher.to_file(),
        refused: other.to_file(),
        secrets,
    };
    let as_admin = || ConnectOptions::with_credentials(&admin.to_file()).unwrap();
    guarded.require_credential(as_admin).await;
}

#[tokio::test]
async fn a_password_in_the_address_is_refused_and_not_shown() {
    for url in [
        "nats://user:canary-pass@127.0.0.1:4222",
        "nats://canary-pass@127.0.0.1:4222",
        "nats://127.0.0.1,nats://a:canary-pass@nats.example",
    ] {
        let mut shop = Shop::open().await;
        shop.configure(&format!("[nats]\nurl = \"{url}\"\n"));
        program::write_config(&shop);
        for command in ["check", "run", "publish"] {
            let mut program = program::program(shop.folder.path());
            let said = program.arg(command).output().await.unwrap();
            let stderr = String::from_utf8(said.stderr).unwrap();
            assert_eq!(said.status.code(), Some(78), "{stderr}");
            assert!(stderr.contains("nats.url"), "{stderr}");
            assert!(stderr.contains("credentials_file"), "{stderr}");
            assert!(!stderr.contains("canary"), "{stderr}");
        }
    }
}

#[tokio::test]
async fn a_missing_credential_file_prevents_the_start() {
    let mut shop = Shop::open().await;
    shop.configure("[nats]\nurl = \"nats://127.0.0.1:4222\"\ncredentials_file = \"gone.creds\"\n");
    let left = shop.start_publisher().ended().await;
    assert_eq!(left.code, Some(78), "{}", left.stderr);
    assert!(left.stderr.contains("gone.creds"), "{}", left.stderr);
}

#[tokio::test]
async fn publish_without_an_address_exits_with_78() {
    let shop = Shop::open().await;
    let left = shop.start_publisher().ended().await;
    assert_eq!(left.code, Some(78), "{}", left.stderr);
    assert!(left.stderr.contains("nats.url is empty"), "{}", left.stderr);
}
