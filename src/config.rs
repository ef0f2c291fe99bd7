//! Configuration: defaults, file, environment and flags become one checked, typed value.
//!
//! The table in [`settings`] is the single source of keys, defaults and descriptions. The merged tree
//! is compared with it, then every value is read with its range. All problems are found before the
//! first is reported. Nothing below the composition root sees the whole [`Config`].
//!
//! Absent on purpose: API keys. [`api_key`] reads them each time they are needed; no struct of this
//! module holds one.

mod database;
pub mod duration;
mod environment;
mod error;
mod key;
mod overridden;
mod provider_settings;
mod rules;
mod secret;
mod section;
pub mod settings;
mod shape;
mod source;
mod starter;
mod stores;
mod stray;
mod table;
mod text;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

pub use crate::domain::planner::Strategy;
pub use crate::provider::kind::ProviderKind;
pub use crate::provider::setting::Settings;
pub use crate::provider::{ApiKey, KeyReader};
use crate::store::ServerLocation;
pub use database::server_at;
pub use environment::Environment;
pub use error::ConfigError;
pub use key::{
    api_key, api_key_place, credential_reader, key_reader, key_variable, nats_credential,
};
pub use overridden::overridden_database;
pub use starter::{default_key_file, starter};
pub use stores::shared_stores;
pub use stray::stray_variables;

/// All settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file in force; `None` when there is none.
    pub source: Option<PathBuf>,
    pub database: DatabaseConfig,
    pub cluster: ClusterConfig,
    /// At least one; names are unique.
    pub accounts: Vec<AccountConfig>,
    pub polling: PollingConfig,
    pub http: HttpConfig,
    pub feed: FeedConfig,
    /// `None` = no publisher.
    pub nats: Option<NatsConfig>,
    pub jobs: JobsConfig,
    pub retention: RetentionConfig,
    pub server: ServerConfig,
    pub log: LogConfig,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseConfig {
    /// Relative to the working directory, if relative.
    pub path: PathBuf,
    /// Another path that the file names, and the environment or a flag overrides.
    pub overridden: Option<PathBuf>,
    /// The address of a server, without its password; `None` = the file at `path`.
    pub url: Option<String>,
    pub password_file: Option<PathBuf>,
    /// The server at `url`, with its password.
    pub server: Option<ServerLocation>,
}

/// This daemon among several on one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    /// Empty = host name and process id.
    pub name: String,
    pub lease: Duration,
}

/// One store at one provider.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountConfig {
    pub name: String,
    pub provider: &'static ProviderKind,
    /// `https`, or `http` to a loopback host; no user, query or fragment.
    pub base_url: Url,
    /// Read last by [`api_key`].
    pub api_key_file: PathBuf,
    /// 0 = no limit.
    pub requests_per_second: f64,
    pub burst: u32,
    pub max_in_flight: usize,
    pub strategy: Strategy,
    /// For list pages beyond due polls; 0 = none.
    pub list_bytes_per_second: u64,
    /// Whether a payment in the provider's test mode counts as paid; else it goes to review.
    pub accept_test_payments: bool,
    pub enabled: bool,
    /// The settings that only this provider has.
    pub settings: Settings,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PollingConfig {
    pub min_interval: Duration,
    /// The next poll follows after age × factor, within the two intervals.
    pub age_factor: f64,
    /// Never below `min_interval`.
    pub max_interval: Duration,
    /// Part of the interval, either way: 0 to 0.5.
    pub jitter: f64,
    pub intake_interval: Duration,
    /// Counted from the expiry; rising, each once.
    pub checks_after_expiry: Vec<Duration>,
    pub not_found_grace: Duration,
    /// How long after an invoice's deadline the ledger must have been read before it expires.
    pub deadline_grace: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    pub connect_timeout: Duration,
    /// From connecting to the last byte.
    pub request_timeout: Duration,
    pub max_response_bytes: usize,
    pub max_retry_after: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedConfig {
    pub stdout: StdoutFeed,
    /// NATS tokens joined by dots.
    pub subject_prefix: String,
}

/// What `run` writes to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StdoutFeed {
    Nats,
    Hpub,
    Jsonl,
    /// Nothing: the consumer `stdout` keeps its place, and retention passes it.
    Off,
}

/// The JetStream publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsConfig {
    /// Servers of one cluster, at least one; no user, path or query.
    pub servers: Vec<Url>,
    /// `None` = the stream that has the subject.
    pub stream: Option<String>,
    /// Read last by [`nats_credential`].
    pub credentials_file: Option<PathBuf>,
    /// Certificates in PEM that are trusted instead of the built-in ones.
    pub tls_ca_file: Option<PathBuf>,
}

/// Cron expressions of six fields, in UTC; `None` = never.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobsConfig {
    pub audit: Option<String>,
    pub retention: Option<String>,
}

/// How long rows are kept; `None` = forever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionConfig {
    pub outbox: Option<Duration>,
    pub invoices: Option<Duration>,
    /// Those that belong to no invoice.
    pub transactions: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Loopback or a unix socket, unless `allow_remote`; `None` = no server.
    pub listen: Option<Listen>,
    pub allow_remote: bool,
}

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    Tcp(SocketAddr),
    /// An absolute path.
    Unix(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// A level or filters by target, good for `tracing_subscriber::filter::Targets`.
    pub level: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// Loads the configuration: the file named by `flag` (`--config`) or `$PAYRECOND_CONFIG`, else one of
/// the two default paths, then variables `PAYRECOND__…`. The error holds every problem found.
pub fn load(flag: Option<&Path>, env: &Environment) -> Result<Config, ConfigError> {
    load_with(flag, env, &[])
}

/// [`load`], with settings from flags on top, as pairs of path and text:
/// `("account[0].base_url", "http://127.0.0.1:8181")`.
pub fn load_with(
    flag: Option<&Path>,
    env: &Environment,
    flags: &[(&str, &str)],
) -> Result<Config, ConfigError> {
    match source::find_file(flag, env)? {
        Some((path, text)) => {
            let name = path.display().to_string();
            let config = resolve(Some(&name), &text, env, flags)?;
            Ok(Config {
                source: Some(path),
                ..config
            })
        }
        None => resolve(None, "", env, flags),
    }
}

impl Config {
    /// The publisher's settings.
    ///
    /// # Errors
    /// When it is off.
    pub fn require_nats(&self) -> Result<&NatsConfig, ConfigError> {
        self.nats.as_ref().ok_or_else(|| {
            ConfigError::one(
                "nats.url is empty; set it to the address of the NATS server to publish to",
            )
        })
    }

    /// The configuration of a text in TOML, without searching for files: all defaults for `""` and an
    /// empty environment.
    pub fn parse(text: &str, env: &Environment) -> Result<Self, ConfigError> {
        resolve(Some("configuration"), text, env, &[])
    }
}

fn resolve(
    name: Option<&str>,
    text: &str,
    env: &Environment,
    flags: &[(&str, &str)],
) -> Result<Config, ConfigError> {
    let defaults = source::parse_toml(None, &settings::example())?;
    let template = defaults.0.clone();
    let mut problems = Vec::new();
    let file = source::parse_toml(name, text)?;
    let environment = source::from_environment(env, &template, &mut problems);
    let flags = source::from_flags(flags, &template, &mut problems);
    let given = |section, key| {
        let layers = [&file, &environment, &flags];
        layers.iter().any(|layer| layer.sets(section, key))
    };
    // Where several daemons share a database, a feed on the stdout of one of them is asked for.
    let (has_feed, has_path) = (given("feed", "stdout"), given("database", "path"));
    let tree = source::merge(vec![defaults, file.clone(), environment, flags])?;

    shape::check(&tree, &template, &mut problems);
    let (config, refused) = rules::typed(&tree, &template);
    problems.extend(refused);
    match config {
        Some(mut config) if problems.is_empty() => {
            let in_file = overridden::path_in_file(&file, &config.database.path);
            config.database.overridden = in_file;
            if let Some(url) = config.database.url.clone() {
                let password_file = config.database.password_file.clone();
                config.database.server = Some(database::server(url, password_file, env)?);
                if has_path {
                    return Err(ConfigError::one(
                        "database.path and database.url are both set; remove the one that is not meant",
                    ));
                }
                if !has_feed {
                    config.feed.stdout = StdoutFeed::Off;
                }
            }
            Ok(config)
        }
        _ => Err(ConfigError::many(problems)),
    }
}
