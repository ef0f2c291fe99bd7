//! A connection to a server, used until its first failure.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{Context, ContextBuilder};
use async_nats::{ConnectErrorKind, ConnectOptions, Event, ServerError};
use rustls::{ClientConfig, RootCertStore};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::refusal::LastRefusal;
use super::{ANSWER_WITHIN, CredentialReader, NatsError, address};

/// The interval of pings on a connection without traffic.
const PING_EVERY: Duration = Duration::from_secs(10);

/// Connects to a server.
#[derive(Clone)]
pub struct Connector {
    /// The servers of one cluster, at least one.
    pub servers: Vec<Url>,
    /// Reads the credential; called for each connection.
    pub credential: CredentialReader,
    /// Certificates in PEM that are trusted instead of the built-in ones.
    pub tls_ca_file: Option<PathBuf>,
}

/// A connection. It is closed when the value is dropped.
pub struct Connection {
    pub(super) context: Context,
    lost: CancellationToken,
    pub(super) refusal: LastRefusal,
}

impl Connector {
    /// The servers as text for people.
    pub fn servers(&self) -> String {
        address::join_addresses(&self.servers)
    }

    /// Connects to one of the servers.
    ///
    /// # Errors
    /// `Unreachable`, `Refused`, or `Credential`.
    pub async fn connect(&self) -> Result<Connection, NatsError> {
        let lost = CancellationToken::new();
        let refusal = LastRefusal::default();
        let options = self.options(&lost, &refusal)?;
        let addresses = address::connect_addresses(&self.servers);
        let client = options
            .connect(addresses)
            .await
            .map_err(|error| self.connect_error(&error))?;
        let context = ContextBuilder::new().timeout(ANSWER_WITHIN).build(client);
        Ok(Connection {
            context,
            lost,
            refusal,
        })
    }

    fn options(
        &self,
        lost: &CancellationToken,
        refusal: &LastRefusal,
    ) -> Result<ConnectOptions, NatsError> {
        let (lost, refusal) = (lost.clone(), refusal.clone());
        let options = ConnectOptions::new()
            .name("payrecond")
            .connection_timeout(ANSWER_WITHIN)
            .request_timeout(Some(ANSWER_WITHIN))
            .ping_interval(PING_EVERY)
            // Enough to try each address once; a connection that the library makes again is not used.
            .max_reconnects(2 * self.servers.len())
            .ignore_discovered_servers()
            .event_callback(move |event| {
                match event {
                    Event::Disconnected | Event::Closed => lost.cancel(),
                    Event::ServerError(ServerError::Other(why)) => refusal.record(why),
                    _ => {}
                }
                std::future::ready(())
            });
        let options = self.add_trust(options)?;
        let credential = (self.credential)().map_err(NatsError::Credential)?;
        match credential {
            None => Ok(options),
            // The library's error may quote the credential.
            Some(credential) => credential.apply(options).map_err(|_| {
                NatsError::Credential("the NATS credential cannot be used to sign".to_owned())
            }),
        }
    }

    /// Adds the trusted certificates. TLS is optional for servers on loopback.
    fn add_trust(&self, options: ConnectOptions) -> Result<ConnectOptions, NatsError> {
        let options = options.require_tls(address::requires_tls(&self.servers));
        if let Some(file) = &self.tls_ca_file {
            let unusable = |why: String| {
                NatsError::Credential(format!("nats.tls_ca_file {}: {why}", file.display()))
            };
            let text =
                std::fs::read_to_string(file).map_err(|error| unusable(error.to_string()))?;
            if !text.contains("-----BEGIN CERTIFICATE-----") {
                return Err(unusable("contains no certificate in PEM".to_owned()));
            }
            return Ok(options.add_root_certificates(file.clone()));
        }
        let roots: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .map_err(|error| NatsError::Credential(format!("TLS cannot be used: {error}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(options.tls_client_config(config))
    }

    fn connect_error(&self, error: &async_nats::ConnectError) -> NatsError {
        let servers = self.servers();
        match error.kind() {
            ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
                NatsError::Refused { servers }
            }
            _ => NatsError::Unreachable {
                servers,
                why: error.to_string(),
            },
        }
    }
}

impl Connection {
    /// Whether it has failed.
    pub fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    /// A token that is cancelled when the connection fails.
    pub(super) fn lost(&self) -> CancellationToken {
        self.lost.clone()
    }

    /// The maximum size of a message at the server, in bytes.
    pub fn max_payload(&self) -> usize {
        self.context.client().max_payload()
    }
}
