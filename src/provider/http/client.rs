//! The only HTTP client, based on reqwest.
//!
//! Defaults of reqwest that are turned off here: it follows redirects and passes our headers on
//! (including the key), takes proxies from the environment, waits without limit, reads bodies
//! without limit, matches content codings case-sensitively, and prints addresses in errors. TLS
//! uses the bundled Mozilla roots, so it works where no certificates are installed, and no
//! process-wide crypto provider is set.

use std::error::Error;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, HeaderName,
    HeaderValue, RETRY_AFTER,
};
use rustls::RootCertStore;
use url::{Host, Url};

use super::coding::{self, Decoder};
use super::failure::{AnswerLimits, cause};
use super::network_body::NetworkBody;
use super::{KeyPlace, Method, Request, Response, Transport, http_date, retry_after};
use crate::clock::Clock;
use crate::domain::text::one_line;
use crate::domain::time::UnixMillis;
use crate::provider::{ApiKey, ClockDifference, ProviderError};

/// Maximum idle time of a connection, which limits its cost for the server and the age of a dead
/// one here.
const IDLE: Duration = Duration::from_mins(1);

/// The address of a service and the limits of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpOptions {
    /// The service. May have a path, which precedes that of each request.
    pub base_url: Url,
    /// For name, TCP and TLS together.
    pub connect_timeout: Duration,
    /// From connecting to the last byte of the body.
    pub request_timeout: Duration,
    /// Largest body, in decoded bytes.
    pub max_response_bytes: usize,
    /// Maximum wait that a server may request; a longer one is cut to this.
    pub max_retry_after: Duration,
    /// Idle connections kept open.
    pub pool_size: usize,
}

/// Why the options cannot be used, on one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnusableOptions(String);

/// A transport over the network.
pub struct HttpTransport {
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    options: HttpOptions,
    /// The path of the base address without a trailing slash.
    base_path: String,
    key_place: KeyPlace,
    key: RwLock<Option<ApiKey>>,
    clock_difference: Mutex<Option<ClockDifference>>,
}

impl HttpTransport {
    /// A transport that sends its key at `key_place`. It has no key yet.
    pub fn new(
        options: HttpOptions,
        key_place: KeyPlace,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, UnusableOptions> {
        let roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        Self::trusting(roots, options, key_place, clock)
    }

    fn trusting(
        roots: RootCertStore,
        options: HttpOptions,
        key_place: KeyPlace,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, UnusableOptions> {
        check_base(&options.base_url).map_err(|why| UnusableOptions(why.to_owned()))?;
        Ok(Self {
            client: client(roots, &options)
                .map_err(|error| UnusableOptions(format!("no HTTP client: {}", cause(&*error))))?,
            clock,
            base_path: options.base_url.path().trim_end_matches('/').to_owned(),
            options,
            key_place,
            key: RwLock::default(),
            clock_difference: Mutex::default(),
        })
    }

    fn last_difference(&self) -> MutexGuard<'_, Option<ClockDifference>> {
        let difference = self.clock_difference.lock();
        difference.unwrap_or_else(PoisonError::into_inner)
    }

    fn request(&self, request: Request) -> Result<reqwest::RequestBuilder, ProviderError> {
        let key = self.key.read().unwrap_or_else(PoisonError::into_inner);
        let Some(key) = key.clone() else {
            return Err(ProviderError::KeyRefused("no API key".into()));
        };
        if !request.path_and_query.starts_with('/') {
            // Otherwise it would be glued to the last part of the base path.
            return Err(ProviderError::Refused("a path must begin with /".into()));
        }
        let prefix = self.key_place.path_prefix(&key)?;
        let (path, query) = match request.path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (request.path_and_query.as_str(), None),
        };
        let mut address = self.options.base_url.clone();
        address.set_path(&format!("{}{prefix}{path}", self.base_path));
        address.set_query(query);
        let mut builder = match request.method {
            Method::Get => self.client.get(address),
            Method::Post => self.client.post(address),
        };
        let coding = if request.compressed {
            coding::ASKED
        } else {
            "identity"
        };
        for (name, value) in request.headers {
            let value = HeaderValue::try_from(value).map_err(|_| {
                ProviderError::Refused(format!("the header {name} cannot hold its value"))
            })?;
            builder = builder.header(HeaderName::from_static(name), value);
        }
        builder = self
            .key_place
            .apply(builder, &key)?
            .header(ACCEPT_ENCODING, HeaderValue::from_static(coding));
        Ok(match request.body {
            Some(text) => builder
                .header(CONTENT_TYPE, request.media_type.as_str())
                .body(text),
            None => builder,
        })
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: Request) -> Result<Response, ProviderError> {
        let limits = AnswerLimits {
            connect: self.options.connect_timeout,
            total: self.options.request_timeout,
            bytes: self.options.max_response_bytes,
        };
        let path = request.path_and_query.clone();
        let request = self.request(request)?;
        let sent_at = self.clock.now();
        let inner = request
            .send()
            .await
            .map_err(|error| limits.failure(&error))?;
        tracing::debug!(path, status = inner.status().as_u16(), "answered");
        let theirs = text(&inner, DATE).and_then(http_date);
        if let Some(theirs) = theirs {
            let difference = clock_difference(theirs, sent_at, self.clock.now());
            *self.last_difference() = Some(difference);
        }
        let wait = text(&inner, RETRY_AFTER).and_then(|value| {
            let now = theirs.unwrap_or_else(|| self.clock.now());
            retry_after(value, now).map(|wait| self.cap_wait(wait))
        });
        let status = inner.status().as_u16();
        let codings = inner.headers().get_all(CONTENT_ENCODING).iter();
        let codings = codings.filter_map(|value| value.to_str().ok());
        let decoder = Decoder::of(codings).map_err(|coding| {
            let coding = one_line(&coding);
            ProviderError::Malformed(format!("body in an unexpected encoding: {coding}"))
        })?;
        let body = NetworkBody {
            inner,
            decoder,
            limits,
            read: 0,
        };
        Ok(Response::new(status, wait, body).with_time(theirs))
    }

    fn set_key(&self, key: ApiKey) {
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = Some(key);
    }

    fn cap_wait(&self, wait: Duration) -> Duration {
        wait.min(self.options.max_retry_after)
    }

    fn clock_difference(&self) -> Option<ClockDifference> {
        *self.last_difference()
    }
}

/// The first value of a header, where it is text.
fn text(response: &reqwest::Response, name: HeaderName) -> Option<&str> {
    response.headers().get(name)?.to_str().ok()
}

/// Difference between our clock and a time, in whole seconds, from an answer: if both clocks agree,
/// it lies between sending and receiving.
fn clock_difference(
    theirs: UnixMillis,
    sent_at: UnixMillis,
    received_at: UnixMillis,
) -> ClockDifference {
    let ends = theirs.plus(Duration::from_secs(1));
    if ends < sent_at {
        ClockDifference::Behind(sent_at.since(ends))
    } else {
        ClockDifference::Ahead(theirs.since(received_at))
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport")
            .field("base", &self.options.base_url.as_str())
            .finish_non_exhaustive()
    }
}

/// Checks the address: `https`, or `http` to this machine, with nothing but scheme, host, port and
/// path.
fn check_base(base: &Url) -> Result<(), &'static str> {
    let is_loopback = match base.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => return Err("the base address names no host"),
    };
    match base.scheme() {
        "https" => {}
        "http" if is_loopback => {}
        _ => return Err("the base address must be https (http only to a loopback address)"),
    }
    if !base.username().is_empty() || base.password().is_some() {
        return Err("the base address must hold no user name and no password");
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err("the base address must end with its path");
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that builds an HTTP client"
)]
fn client(
    roots: RootCertStore,
    options: &HttpOptions,
) -> Result<reqwest::Client, Box<dyn Error + Send + Sync>> {
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let json = HeaderValue::from_static("application/json");
    // `localhost` is this machine whatever a resolver returns: plain http to it is allowed.
    let this_machine = [
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
    ];
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_gzip()
        .resolve_to_addrs("localhost", &this_machine)
        .user_agent(concat!("payrecond/", env!("CARGO_PKG_VERSION")))
        .default_headers(HeaderMap::from_iter([(ACCEPT, json)]))
        .connect_timeout(options.connect_timeout)
        .timeout(options.request_timeout)
        .tcp_nodelay(true)
        .pool_max_idle_per_host(options.pool_size)
        .pool_idle_timeout(IDLE)
        .build()?;
    Ok(client)
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::clock::ManualClock;

    async fn status_of(base: &str, roots: RootCertStore) -> Result<u16, ProviderError> {
        let second = Duration::from_secs(1);
        let options = HttpOptions {
            base_url: base.parse().unwrap(),
            connect_timeout: second * 5,
            request_timeout: second * 20,
            max_response_bytes: 1000,
            max_retry_after: second,
            pool_size: 1,
        };
        let clock = Arc::new(ManualClock::at(UnixMillis(0)));
        let place = KeyPlace::Basic;
        let transport = HttpTransport::trusting(roots, options, place, clock).unwrap();
        transport.set_key(ApiKey::from_bytes(b"key").unwrap());
        let response = transport.send(Request::get("/")).await?;
        Ok(response.status)
    }

    #[test]
    fn the_clock_difference_excludes_the_time_in_transit() {
        let at = |ms: i64| UnixMillis(1_000_000 + ms);
        let seconds = Duration::from_secs;
        for (theirs, difference) in [
            (0, ClockDifference::Ahead(seconds(0))),
            (-1000, ClockDifference::Ahead(seconds(0))),
            (400, ClockDifference::Ahead(seconds(0))),
            (30_400, ClockDifference::Ahead(seconds(30))),
            (-31_000, ClockDifference::Behind(seconds(30))),
        ] {
            let found = clock_difference(at(theirs), at(0), at(400));
            assert_eq!(found, difference, "{theirs}");
        }
    }

    /// The bundled roots cannot be tested without the internet, but the need for a root can.
    #[tokio::test]
    async fn only_certificates_of_a_known_root_are_trusted() {
        let issued = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let certificate = issued.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(issued.signing_key.serialize_der());
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let server = rustls::ServerConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key.into())
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = stream.read(&mut [0; 4096]).await;
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                    let _ = stream.write_all(answer).await;
                    let _ = stream.flush().await;
                    let _ = stream.read(&mut [0; 1]).await;
                }
            }
        });
        let mut known = RootCertStore::empty();
        known.add(certificate).unwrap();
        let by_name = format!("https://localhost:{port}");
        assert_eq!(status_of(&by_name, known.clone()).await, Ok(200));

        let other_name = status_of(&format!("https://127.0.0.1:{port}"), known).await;
        let said = other_name.unwrap_err().to_string();
        assert!(said.contains("tls: invalid peer certificate"), "{said}");
        let unknown = status_of(&by_name, RootCertStore::empty()).await;
        let said = unknown.unwrap_err().to_string();
        assert!(said.contains("UnknownIssuer"), "{said}");
    }
}
