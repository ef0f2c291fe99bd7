//! TLS: which certificates are trusted, and that it is not left out.

use std::path::{Path, PathBuf};

use async_nats::ConnectOptions;
use data_encoding::BASE64;
use rcgen::{CertificateParams, KeyPair};

use super::check::check;
use super::server::{NatsServer, usual};
use crate::shop::Shop;

/// Writes a certificate for `localhost`, signed by itself, and its key.
fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let key = KeyPair::generate().unwrap();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let signed = CertificateParams::new(names).unwrap().self_signed(&key);
    let (certificate, file) = (folder.join("cert.pem"), folder.join("key.pem"));
    write_pem(&certificate, "CERTIFICATE", signed.unwrap().der());
    write_pem(&file, "PRIVATE KEY", key.serialized_der());
    (certificate, file)
}

fn write_pem(file: &Path, label: &str, der: &[u8]) {
    let base_64 = BASE64.encode(der);
    let lines: Vec<&[u8]> = base_64.as_bytes().chunks(64).collect();
    let lines = String::from_utf8(lines.join(&b'\n')).unwrap();
    let text = format!("-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n");
    std::fs::write(file, text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_certificate_of_a_trusted_authority_is_accepted() {
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
    let (passes, report) = check(&shop).await;
    assert!(!passes && report.contains("certificate"), "{report}");
    shop.configure(&format!("tls_ca_file = \"{}\"\n", certificate.display()));
    let publisher = shop.start_publisher();
    shop.until_published().await;
    publisher.stop().await;
    let (_, report) = check(&shop).await;
    assert!(report.contains("stream PAYMENTS: file storage"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_refused_when_the_address_requires_tls() {
    let Some(server) = NatsServer::start() else {
        return;
    };
    server.make_stream().await;
    let mut shop = Shop::open().await;
    let url = server.url().replace("nats://", "tls://");
    shop.configure(&format!("[nats]\nurl = \"{url}\"\n"));
    let (passes, report) = check(&shop).await;
    assert!(!passes && report.contains("cannot be reached"), "{report}");
}
