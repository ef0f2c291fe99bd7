//! The HTTP client against a server on loopback that behaves as servers do on bad days.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use payrecond::clock::ManualClock;
use payrecond::domain::time::UnixMillis;
use payrecond::provider::http::{
    HttpOptions, HttpTransport, KeyPlace, Request, Response, Transport,
};
use payrecond::provider::{ApiKey, ProviderError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::free_port::free_port;

const KEY: &str = "store-key-0123456789";
const KEY_HEADER: &str = "x-store-key";
const KEY_PLACE: KeyPlace = KeyPlace::Header {
    name: KEY_HEADER,
    prefix: "",
};
/// Fri, 31 Dec 1999 23:59:50 GMT
const NOW: UnixMillis = UnixMillis(946_684_790_000);

/// The server's reaction to a request.
#[derive(Clone)]
enum Then {
    Send(Vec<u8>),
    /// Sends and then keeps the connection open without sending more.
    SendAndHang(Vec<u8>),
    /// Sends one byte after another forever.
    Drip(Vec<u8>),
    Reset,
}

struct Server {
    base: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, then.clone(), log.clone()));
            }
        });
        Self { base, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, then: Then, log: Arc<Mutex<Vec<String>>>) {
    loop {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else {
                return;
            };
            request.push(byte);
        }
        log.lock()
            .unwrap()
            .push(String::from_utf8_lossy(&request).into_owned());
        match &then {
            Then::Send(bytes) => {
                let _ = stream.write_all(bytes).await;
                let text = String::from_utf8_lossy(bytes);
                if !text.contains("keep-alive") {
                    return;
                }
            }
            Then::SendAndHang(bytes) => {
                let _ = stream.write_all(bytes).await;
                std::future::pending::<()>().await;
            }
            Then::Drip(bytes) => {
                let _ = stream.write_all(bytes).await;
                while stream.write_all(b" ").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            Then::Reset => {
                socket2::SockRef::from(&stream)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
                return;
            }
        }
    }
}

fn options(base: &str) -> HttpOptions {
    HttpOptions {
        base_url: base.parse().unwrap(),
        connect_timeout: crate::PATIENCE,
        request_timeout: crate::PATIENCE,
        max_response_bytes: 100_000,
        max_retry_after: Duration::from_mins(10),
        pool_size: 4,
    }
}

fn transport(options: HttpOptions) -> HttpTransport {
    let clock = Arc::new(ManualClock::at(NOW));
    let transport = HttpTransport::new(options, KEY_PLACE, clock).unwrap();
    transport.set_key(ApiKey::from_bytes(KEY.as_bytes()).unwrap());
    transport
}

async fn ask(options: HttpOptions) -> Result<(Response, Vec<u8>), ProviderError> {
    let mut response = transport(options).send(Request::get("/x?id=1")).await?;
    let body = response.collect(usize::MAX).await?;
    Ok((response, body))
}

async fn asked_of(then: Then) -> Result<(Response, Vec<u8>), ProviderError> {
    ask(options(&Server::start(then).await.base)).await
}

fn http(head: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 {head}\r\n\r\n").as_bytes(), body].concat()
}

fn with_length(body: &[u8]) -> Vec<u8> {
    http(&format!("200 OK\r\ncontent-length: {}", body.len()), body)
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn text<T: std::fmt::Debug>(answer: Result<T, ProviderError>) -> String {
    let error = answer.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(
        !shown.contains(KEY) && !shown.contains("127.0.0.1"),
        "{shown}"
    );
    error.to_string()
}

#[tokio::test]
async fn a_request_is_complete_and_connections_are_reused() {
    let answer = http(
        "200 OK\r\ncontent-length: 2\r\nconnection: keep-alive",
        b"{}",
    );
    let server = Server::start(Then::Send(answer)).await;
    let transport = transport(options(&format!("{}/prefix/", server.base)));
    let (small, long) = (Request::get("/x?id=1"), Request::get_long("/z"));
    for request in [small, Request::post("/y", ""), long] {
        let mut response = transport.send(request).await.unwrap();
        assert_eq!(response.collect(10).await.unwrap(), b"{}");
    }
    let requests = server.requests();
    let get = requests[0].to_lowercase();
    assert!(get.starts_with("get /prefix/x?id=1 http/1.1\r\n"), "{get}");
    assert_eq!(get.matches(&format!("{KEY_HEADER}: {KEY}")).count(), 1);
    assert_eq!(get.matches(KEY_HEADER).count(), 1);
    assert!(get.contains("user-agent: payrecond/"));
    assert!(get.contains("accept: application/json"));
    assert!(get.contains("accept-encoding: identity"));
    let post = requests[1].to_lowercase();
    assert!(post.contains("content-type: application/json"));
    let long = requests[2].to_lowercase();
    assert!(long.contains("accept-encoding: gzip"), "{long}");
    assert!(!format!("{transport:?}").contains(KEY));
}

#[tokio::test]
async fn each_provider_gets_its_key_in_the_expected_place() {
    let header = KeyPlace::Header {
        name: "authorization",
        prefix: "Token ",
    };
    // "shop:store-key-0123456789" in base64, in lower case like the rest.
    let basic = "authorization: basic c2hvcdpzdg9yzs1rzxktmdeymzq1njc4oq==\r\n";
    let basic_key = format!("shop:{KEY}");
    for (place, key, shown) in [
        (header, KEY, format!("authorization: token {KEY}\r\n")),
        (KeyPlace::Basic, &basic_key, basic.to_owned()),
        (
            KeyPlace::Path { prefix: "/bot" },
            KEY,
            format!("post /prefix/bot{KEY}/y http/1.1\r\n"),
        ),
    ] {
        let answer = http("200 OK\r\ncontent-length: 2", b"{}");
        let server = Server::start(Then::Send(answer)).await;
        let base = format!("{}/prefix", server.base);
        let clock = Arc::new(ManualClock::at(NOW));
        let transport = HttpTransport::new(options(&base), place, clock).unwrap();
        transport.set_key(ApiKey::from_bytes(key.as_bytes()).unwrap());
        let form = [("a b", "1&2"), ("c", "я")];
        let request = Request::post_form("/y", &form).with_header("idempotence-key", "ORD-1");
        transport.send(request).await.unwrap();
        let request = server.requests()[0].to_lowercase();
        assert!(request.contains(&shown), "{place:?}: {request}");
        assert_eq!(request.contains(KEY), place != KeyPlace::Basic);
        assert!(request.contains("idempotence-key: ord-1\r\n"), "{request}");
        assert!(request.contains("content-type: application/x-www-form-urlencoded"));
        assert!(!format!("{transport:?}").contains(KEY));
    }
}

#[tokio::test]
async fn a_key_that_would_change_the_address_is_not_sent() {
    let server = Server::start(Then::Reset).await;
    let clock = Arc::new(ManualClock::at(NOW));
    let place = KeyPlace::Path { prefix: "/bot" };
    let transport = HttpTransport::new(options(&server.base), place, clock).unwrap();
    transport.set_key(ApiKey::from_bytes(b"1:secret/../..?x").unwrap());
    let refused = transport.send(Request::get("/getMe")).await.unwrap_err();
    assert_eq!(refused.kind(), "key_refused");
    assert!(!refused.to_string().contains("secret"), "{refused}");
    assert!(server.requests().is_empty());
    // A key that is invalid in a header is refused, without showing it.
    let place = KEY_PLACE;
    let clock = Arc::new(ManualClock::at(NOW));
    let transport = HttpTransport::new(options(&server.base), place, clock).unwrap();
    transport.set_key(ApiKey::from_bytes(KEY.as_bytes()).unwrap());
    let request = Request::get("/x").with_header("idempotence-key", "a\r\nb");
    assert_eq!(transport.send(request).await.unwrap_err().kind(), "refused");
}

/// Runs a test above again in a process whose environment names proxies that do not exist.
#[test]
fn proxies_of_the_environment_are_not_used() {
    let nowhere = "http://127.0.0.1:1";
    let same_test = "http_client::a_request_is_complete_and_connections_are_reused";
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", same_test])
        .envs(["http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"].map(|name| (name, nowhere)))
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

#[tokio::test]
async fn a_key_can_change_and_without_one_nothing_is_sent() {
    let answer = http("200 OK\r\ncontent-length: 0\r\nconnection: keep-alive", b"");
    let server = Server::start(Then::Send(answer)).await;
    let clock = Arc::new(ManualClock::at(NOW));
    let transport = HttpTransport::new(options(&server.base), KEY_PLACE, clock).unwrap();
    let answer = transport.send(Request::get("/")).await;
    assert_eq!(answer.unwrap_err().kind(), "key_refused");
    for key in ["first", "second"] {
        transport.set_key(ApiKey::from_bytes(key.as_bytes()).unwrap());
        transport.send(Request::get("/")).await.unwrap();
    }
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests[0].contains("first") && requests[1].contains("second"));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::start(Then::Send(with_length(b"{}"))).await;
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
        let head = format!(
            "{status}\r\nlocation: {}/\r\ncontent-length: 0",
            elsewhere.base
        );
        let (response, _) = asked_of(Then::Send(http(&head, b""))).await.unwrap();
        assert!((300..400).contains(&response.status));
    }
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn bodies_are_bounded_in_decoded_bytes() {
    let too_large = "unusable answer: body larger than 100000 bytes";
    let declared = http("200 OK\r\ncontent-length: 100001", b"x");
    assert_eq!(text(asked_of(Then::SendAndHang(declared)).await), too_large);
    let absurd = http("200 OK\r\ncontent-length: 9000000000000000000", b"x");
    assert_eq!(text(asked_of(Then::SendAndHang(absurd)).await), too_large);

    let mut chunked = http("200 OK\r\ntransfer-encoding: chunked", b"");
    for _ in 0..11 {
        chunked.extend_from_slice(b"2710\r\n");
        chunked.extend_from_slice(&[b' '; 10_000]);
        chunked.extend_from_slice(b"\r\n");
    }
    assert_eq!(text(asked_of(Then::SendAndHang(chunked)).await), too_large);

    let bomb = gzip(&vec![b' '; 50_000_000]);
    assert!(bomb.len() < 100_000);
    let head = format!(
        "200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}",
        bomb.len()
    );
    assert_eq!(
        text(asked_of(Then::Send(http(&head, &bomb))).await),
        too_large
    );

    let exact = vec![b' '; 100_000];
    let (_, body) = asked_of(Then::Send(with_length(&exact))).await.unwrap();
    assert_eq!(body, exact);
}

#[tokio::test]
async fn gzip_is_decoded_and_invalid_gzip_is_an_error() {
    let packed = gzip(b"{\"status\":\"SUCCESS\"}");
    let head =
        |length: usize| format!("200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {length}");
    let good = http(&head(packed.len()), &packed);
    let (_, body) = asked_of(Then::Send(good)).await.unwrap();
    assert_eq!(body, b"{\"status\":\"SUCCESS\"}");
    for name in ["GZIP", "x-gzip", "X-GZip", "identity, gzip"] {
        let length = packed.len();
        let head = format!("200 OK\r\ncontent-encoding: {name}\r\ncontent-length: {length}");
        let (_, body) = asked_of(Then::Send(http(&head, &packed))).await.unwrap();
        assert_eq!(body, b"{\"status\":\"SUCCESS\"}", "{name}");
    }
    let plain = http(
        "200 OK\r\ncontent-encoding: Identity\r\ncontent-length: 2",
        b"{}",
    );
    assert_eq!(asked_of(Then::Send(plain)).await.unwrap().1, b"{}");
    let unasked = http("200 OK\r\ncontent-encoding: br\r\ncontent-length: 2", b"{}");
    let error = text(asked_of(Then::Send(unasked)).await);
    let expected = "unusable answer: body in an unexpected encoding: br";
    assert_eq!(error, expected);
    let garbage = http(&head(9), b"<html></>");
    let error = asked_of(Then::Send(garbage)).await.unwrap_err();
    assert_eq!(error.kind(), "malformed", "{error}");
    let short = http(&head(8), &packed[..8]);
    assert!(asked_of(Then::Send(short)).await.is_err());
}

#[tokio::test]
async fn a_slow_answer_times_out() {
    for then in [
        Then::SendAndHang(Vec::new()),
        Then::SendAndHang(http("200 OK\r\ncontent-length: 9", b"{")),
        Then::Drip(http("200 OK\r\ncontent-length: 99999", b"{")),
        Then::Drip(b"HTTP/1.1 200 OK\r\nx:".to_vec()),
    ] {
        let mut options = options(&Server::start(then).await.base);
        options.request_timeout = Duration::from_millis(150);
        let answer = tokio::time::timeout(crate::PATIENCE, ask(options)).await;
        assert_eq!(text(answer.unwrap()), "unreachable: timed out after 150ms");
    }
}

#[tokio::test]
async fn a_truncated_answer_is_an_error() {
    for then in [
        Then::Send(Vec::new()),
        Then::Send(b"HTTP/1.1 200 O".to_vec()),
        Then::Send(http("200 OK\r\ncontent-length: 9", b"{")),
        Then::Send(http("200 OK\r\ntransfer-encoding: chunked", b"5\r\n{")),
        Then::Send(b"garbage\r\n\r\n".to_vec()),
        Then::Send(b"\x16\x03\x01\x00\x00".to_vec()),
        Then::Reset,
    ] {
        let error = asked_of(then).await.unwrap_err();
        assert_eq!(error.kind(), "unreachable", "{error}");
        assert!(error.to_string().len() < 100, "{error}");
    }
    let reset = text(asked_of(Then::Reset).await);
    assert_eq!(reset, "unreachable: connection reset");
}

#[tokio::test]
async fn an_unreachable_server_gives_the_cause() {
    let closed = format!("http://127.0.0.1:{}", free_port());
    let refused = text(ask(options(&closed)).await);
    assert_eq!(refused, "unreachable: connect: connection refused");
    let unknown = text(ask(options("https://nobody.invalid")).await);
    assert!(unknown.starts_with("unreachable: dns: "), "{unknown}");
}

#[tokio::test]
async fn requested_waits_are_parsed_and_cut() {
    for (value, seconds) in [
        ("3", Some(3)),
        ("100000000000000000000", Some(600)),
        ("Fri, 31 Dec 1999 23:59:59 GMT", Some(9)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some(600)),
        ("Mon, 31 Dec 1990 23:59:59 GMT", Some(0)),
        ("later", None),
    ] {
        for status in [429, 503] {
            let head = format!("{status} X\r\nretry-after: {value}\r\ncontent-length: 0");
            let (response, _) = asked_of(Then::Send(http(&head, b""))).await.unwrap();
            assert_eq!(response.status, status);
            assert_eq!(
                response.retry_after,
                seconds.map(Duration::from_secs),
                "{value}"
            );
        }
    }
}

#[test]
fn only_safe_base_addresses_are_accepted() {
    let clock = Arc::new(ManualClock::at(NOW));
    let make = |base: &str| HttpTransport::new(options(base), KEY_PLACE, clock.clone());
    for good in [
        "https://pay.wallet.tg",
        "https://example.com/a/b/",
        "http://127.0.0.1:8181",
        "http://127.8.8.8",
        "http://[::1]:1",
        "http://localhost:8181",
    ] {
        assert!(make(good).is_ok(), "{good}");
    }
    for bad in [
        "http://pay.wallet.tg",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://0.0.0.0",
        "http://192.168.1.1",
        "http://[::ffff:8.8.8.8]",
        "ftp://127.0.0.1",
        "https://user:pass@example.com",
        "https://example.com/?a=b",
        "https://example.com/#a",
        "data:text/plain,x",
    ] {
        let error = make(bad).unwrap_err().to_string();
        assert!(!error.contains("pass@"), "{error}");
    }
}

/// A server with such a certificate. Returns its address.
async fn tls_server(name: &str, change: impl FnOnce(&mut rcgen::CertificateParams)) -> String {
    let mut params = rcgen::CertificateParams::new(vec![name.into()]).unwrap();
    change(&mut params);
    let pair = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&pair).unwrap();
    let key = tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer::from(pair.serialize_der());
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });
    format!("https://localhost:{port}")
}

#[tokio::test]
async fn an_untrusted_expired_or_foreign_certificate_is_refused() {
    let expired = |params: &mut rcgen::CertificateParams| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    };
    for server in [
        tls_server("localhost", |_| {}).await,
        tls_server("localhost", expired).await,
        tls_server("elsewhere.example", |_| {}).await,
    ] {
        let said = text(ask(options(&server)).await);
        let refused = "unreachable: connect: tls: invalid peer certificate";
        assert!(said.starts_with(refused), "{said}");
    }
}
