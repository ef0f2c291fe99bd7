//! The connection to a server, used until its first failure.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{Context, ContextBuilder};
use async_nats::{ConnectErrorKind, ConnectOptions, Event};
use rustls::{ClientConfig, RootCertStore};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{ANSWER_WITHIN, CredentialReader, NatsError, address};

/// How often a connection without traffic is tried.
const PING_EVERY: Duration = Duration::from_secs(10);

/// What is needed to connect.
#[derive(Clone)]
pub struct Connector {
    /// Servers of one cluster, at least one.
    pub servers: Vec<Url>,
    /// Reads the credential, at each connection.
    pub credential: CredentialReader,
    /// Certificates in PEM that are trusted instead of the built-in ones.
    pub tls_ca_file: Option<PathBuf>,
}

/// A connection. It ends when the value is dropped.
pub struct Connection {
    pub(super) context: Context,
    lost: CancellationToken,
}

impl Connector {
    /// The servers, for people.
    pub fn servers(&self) -> String {
        address::shown(&self.servers)
    }

    /// Connects to one of the servers.
    ///
    /// # Errors
    /// `Unreachable`, `Refused`, or `Credential`.
    pub async fn connect(&self) -> Result<Connection, NatsError> {
        let lost = CancellationToken::new();
        let options = self.options(&lost)?;
        let addresses = address::to_connect(&self.servers);
        let client = options
            .connect(addresses)
            .await
            .map_err(|error| self.failed(&error))?;
        let context = ContextBuilder::new().timeout(ANSWER_WITHIN).build(client);
        Ok(Connection { context, lost })
    }

    fn options(&self, lost: &CancellationToken) -> Result<ConnectOptions, NatsError> {
        let lost = lost.clone();
        let options = ConnectOptions::new()
            .name("payrecond")
            .connection_timeout(ANSWER_WITHIN)
            .request_timeout(Some(ANSWER_WITHIN))
            .ping_interval(PING_EVERY)
            // Enough for each address to be tried once; what connects again is not used any more.
            .max_reconnects(2 * self.servers.len())
            .ignore_discovered_servers()
            .event_callback(move |event| {
                let lost = lost.clone();
                async move {
                    if matches!(event, Event::Disconnected | Event::Closed) {
                        lost.cancel();
                    }
                }
            });
        let options = self.with_trust(options)?;
        let credential = (self.credential)().map_err(NatsError::Credential)?;
        match credential {
            None => Ok(options),
            // Its error may quote what it could not read.
            Some(credential) => credential.apply(options).map_err(|_| {
                NatsError::Credential("the NATS credential cannot be used to sign".to_owned())
            }),
        }
    }

    /// Whom to trust. A server on this machine may offer no TLS.
    fn with_trust(&self, options: ConnectOptions) -> Result<ConnectOptions, NatsError> {
        let options = options.require_tls(address::needs_tls(&self.servers));
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

    fn failed(&self, error: &async_nats::ConnectError) -> NatsError {
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
    /// Whether it has failed since it was made.
    pub fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    /// Cancelled when the connection fails.
    pub(super) fn lost(&self) -> CancellationToken {
        self.lost.clone()
    }

    /// The longest message that the server takes, in bytes.
    pub fn max_payload(&self) -> usize {
        self.context.client().max_payload()
    }
}
