//! Credentials, TLS and what `check` finds: refused in words, and no secret is shown.

use std::path::{Path, PathBuf};

use async_nats::ConnectOptions;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use rcgen::{CertificateParams, KeyPair};

use super::scene::assert_stream_is_outbox;
use super::server::{NatsServer, usual};
use crate::faults::program;
use crate::shop::Shop;

const TOKEN: &str = "canary-token-9c1f5e77";

async fn check(shop: &Shop) -> (bool, String) {
    program::write_config(shop);
    let mut command = program::program(shop.folder.path());
    let said = command.args(["check", "--json"]).output().await.unwrap();
    let stdout = String::from_utf8(said.stdout).unwrap();
    let checks: Vec<serde_json::Value> = serde_json::from_str(&stdout).unwrap();
    let of_nats = checks.iter().filter(|check| check["check"] == "nats");
    let told: Vec<String> = of_nats.map(ToString::to_string).collect();
    (said.status.success(), told.join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_from_a_file_is_used_and_shown_nowhere() {
    let lines = format!("authorization {{ token: \"{TOKEN}\" }}");
    let Some(server) = NatsServer::start_with(&lines, None) else {
        return;
    };
    let with_token = || ConnectOptions::with_token(TOKEN.to_owned());
    let context = server.jetstream_with(with_token).await;
    context.create_stream(usual()).await.unwrap();
    let mut shop = Shop::open().await;
    let file = shop.folder.path().join("nats.token");
    std::fs::write(&file, "wrong-canary-token-1").unwrap();
    shop.publish_to(&server);
    let file_line = format!("credentials_file = \"{}\"\n", file.display());
    shop.configure(&file_line);
    shop.configure("[log]\nlevel = \"trace\"\n");
    shop.record_payments("ORD-", 3).await;
    let (well, told) = check(&shop).await;
    assert!(!well && told.contains("refused the credential"), "{told}");
    let publisher = shop.start_publisher();
    publisher.until_said("refused the credential").await;
    // Replaced while it runs.
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    shop.until_published().await;
    let (_, told) = check(&shop).await;
    assert!(told.contains("stream PAYMENTS: file storage"), "{told}");
    let left = publisher.stop().await;
    for text in [
        &told,
        &left.stderr,
        &String::from_utf8_lossy(&left.stdout).into_owned(),
    ] {
        assert!(!text.contains("canary-token"), "{text}");
    }
}

#[tokio::test]
async fn a_password_in_the_address_is_refused_without_being_shown() {
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
async fn publish_without_an_address_is_refused() {
    let shop = Shop::open().await;
    let left = shop.start_publisher().ended().await;
    assert_eq!(left.code, Some(78), "{}", left.stderr);
    assert!(left.stderr.contains("nats.url is empty"), "{}", left.stderr);
}

#[tokio::test]
async fn a_credential_that_is_not_there_ends_the_start() {
    let mut shop = Shop::open().await;
    shop.configure("[nats]\nurl = \"nats://127.0.0.1:4222\"\ncredentials_file = \"gone.creds\"\n");
    let left = shop.start_publisher().ended().await;
    assert_eq!(left.code, Some(78), "{}", left.stderr);
    assert!(left.stderr.contains("gone.creds"), "{}", left.stderr);
}

/// A certificate for `localhost`, signed by itself, and its key.
fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let key = KeyPair::generate().unwrap();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let signed = CertificateParams::new(names).unwrap().self_signed(&key);
    let (certificate, file) = (folder.join("cert.pem"), folder.join("key.pem"));
    let text = pem("CERTIFICATE", signed.unwrap().der());
    std::fs::write(&certificate, text).unwrap();
    std::fs::write(&file, pem("PRIVATE KEY", key.serialized_der())).unwrap();
    (certificate, file)
}

fn pem(label: &str, der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut base_64 = String::new();
    for three in der.chunks(3) {
        let bytes = [0, 1, 2].map(|n| u32::from(three.get(n).copied().unwrap_or_default()));
        let bits = (bytes[0] << 16) | (bytes[1] << 8) | bytes[2];
        for n in 0..4_usize {
            let letter = ALPHABET[(bits >> (18 - 6 * n)) as usize & 63];
            base_64.push(if n <= three.len() { letter.into() } else { '=' });
        }
    }
    let lines: Vec<&[u8]> = base_64.as_bytes().chunks(64).collect();
    let lines = String::from_utf8(lines.join(&b'\n')).unwrap();
    format!("-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_believed_only_with_a_certificate_of_an_authority_that_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(folder.path());
    let lines = format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\" }}",
        certificate.display(),
        key.display()
    );
    let Some(server) = NatsServer::start_with(&lines, None) else {
        return;
    };
    let trusting = || ConnectOptions::new().add_root_certificates(certificate.clone());
    let context = server.jetstream_with(trusting).await;
    context.create_stream(usual()).await.unwrap();
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    shop.record_payments("ORD-", 3).await;
    let (well, told) = check(&shop).await;
    assert!(!well && told.contains("certificate"), "{told}");
    shop.configure(&format!("tls_ca_file = \"{}\"\n", certificate.display()));
    let publisher = shop.start_publisher();
    shop.until_published().await;
    publisher.stop().await;
    let (_, told) = check(&shop).await;
    assert!(told.contains("stream PAYMENTS: file storage"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_refused_where_tls_is_asked_for() {
    let Some(server) = NatsServer::start() else {
        return;
    };
    server.make_stream().await;
    let mut shop = Shop::open().await;
    let url = server.url().replace("nats://", "tls://");
    shop.configure(&format!("[nats]\nurl = \"{url}\"\n"));
    let (well, told) = check(&shop).await;
    assert!(!well && told.contains("cannot be reached"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tells_of_a_missing_stream_and_of_what_is_doubtful() {
    let Some(server) = NatsServer::start() else {
        return;
    };
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    let (well, told) = check(&shop).await;
    assert!(!well, "{told}");
    assert!(
        told.contains("nats stream add PAYMENTS --subjects 'payments.>'"),
        "{told}"
    );
    server
        .make_stream_as(Config {
            storage: StorageType::Memory,
            retention: RetentionPolicy::Interest,
            max_message_size: 1000,
            max_messages: 10,
            max_messages_per_subject: 5,
            discard: DiscardPolicy::Old,
            duplicate_window: std::time::Duration::from_secs(1),
            subjects: vec!["payments.>".to_owned(), "other.>".to_owned()],
            ..usual()
        })
        .await;
    let (_, told) = check(&shop).await;
    for part in [
        "storage is memory",
        "retention is not limits",
        "duplicate window is 1 s",
        "maximum message size is 1000 bytes",
        "limited number of messages of each subject",
        "discard is old",
    ] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tells_of_subjects_that_are_missing_and_of_messages_of_others() {
    let Some(server) = NatsServer::start() else {
        return;
    };
    let mut shop = Shop::open().await;
    shop.publish_to(&server);
    let context = server.jetstream().await;
    server
        .make_stream_as(Config {
            subjects: vec![
                "payments.shop.*".to_owned(),
                "payments.default.other".to_owned(),
            ],
            ..usual()
        })
        .await;
    context
        .publish("payments.default.other", "hello".into())
        .await
        .unwrap()
        .await
        .unwrap();
    let (well, told) = check(&shop).await;
    assert!(!well, "{told}");
    assert!(
        told.contains("its subjects do not cover payments.default.*"),
        "{told}"
    );
    assert!(
        told.contains("messages of others (payments.default.other)"),
        "{told}"
    );
    server.change_stream(usual()).await;
    shop.record_payments("ORD-", 1).await;
    let publisher = shop.start_publisher();
    shop.until_published().await;
    publisher.stop().await;
    context
        .get_stream("PAYMENTS")
        .await
        .unwrap()
        .purge()
        .filter("payments.default.other")
        .await
        .unwrap();
    assert_stream_is_outbox(&server, &shop).await;
}
