//! The rules of each section: which values are accepted, and the types they become.

use std::path::PathBuf;
use std::time::Duration;

use ::config::{Value, ValueKind};
use url::Url;

use super::error::Problem;
use super::provider_settings;
use super::section::Section;
use super::shape::{self, account_template};
use super::starter::default_key_file;
use super::table::SettingsTable;
use super::text;
use super::{
    AccountConfig, ClusterConfig, Config, DatabaseConfig, FeedConfig, HttpConfig, JobsConfig,
    Listen, LogConfig, LogFormat, NatsConfig, PollingConfig, ProviderKind, RetentionConfig,
    ServerConfig, Settings, StdoutFeed, Strategy, key_variable,
};
use crate::provider::registry::PROVIDERS;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// Maximum duration of settings without a limit of their own: enough for any wait, and far from any
/// overflow.
const YEAR: Duration = DAY.saturating_mul(365);

/// A byte rate has no natural maximum; this one is above every network's.
const MAX_BYTES_PER_SECOND: u64 = 1 << 40;

const MAX_CHECKS_AFTER_EXPIRY: usize = 100;

/// Both trees, and the problems found so far.
struct SettingsReader<'a> {
    tree: &'a SettingsTable,
    template: &'a SettingsTable,
    problems: Vec<Problem>,
}

/// The typed configuration of a tree, or its problems.
pub(super) fn typed(
    tree: &SettingsTable,
    template: &SettingsTable,
) -> (Option<Config>, Vec<Problem>) {
    let mut reader = SettingsReader {
        tree,
        template,
        problems: Vec::new(),
    };
    let config = Config {
        source: None,
        database: reader.database(),
        cluster: reader.cluster(),
        accounts: reader.accounts(),
        polling: reader.polling(),
        http: reader.http(),
        feed: reader.feed(),
        nats: reader.nats(),
        jobs: reader.jobs(),
        retention: reader.retention(),
        server: reader.server(),
        log: reader.log(),
    };
    let usable = reader.problems.is_empty();
    (usable.then_some(config), reader.problems)
}

impl<'a> SettingsReader<'a> {
    fn section(&mut self, name: &str) -> Section<'_> {
        let values = as_table(self.tree.get(name));
        let defaults = as_table(self.template.get(name));
        Section::new(name, values, defaults, &mut self.problems)
    }

    fn database(&mut self) -> DatabaseConfig {
        let mut section = self.section("database");
        DatabaseConfig {
            path: section
                .text("path", &text::DATABASE_PATH)
                .unwrap_or_default(),
            overridden: None,
            url: section.text("url", &text::DATABASE_URL).flatten(),
            password_file: section
                .text("password_file", &text::OPTIONAL_PATH)
                .flatten(),
            server: None,
        }
    }

    fn cluster(&mut self) -> ClusterConfig {
        let mut section = self.section("cluster");
        ClusterConfig {
            name: section.text("name", &text::DAEMON_NAME).unwrap_or_default(),
            lease: section.duration("lease", Duration::from_secs(3)..=Duration::from_mins(5)),
        }
    }

    fn accounts(&mut self) -> Vec<AccountConfig> {
        let list: &'a [Value] = match self.tree.get("account").map(|value| &value.kind) {
            Some(ValueKind::Array(accounts)) => accounts,
            _ => &[],
        };
        let mut accounts: Vec<AccountConfig> = Vec::new();
        for (index, value) in list.iter().enumerate() {
            let path = format!("account[{index}]");
            let defaults = account_template(self.template);
            let Some(values) = as_table(Some(value)) else {
                continue;
            };
            let mut section = Section::new(&path, Some(values), defaults, &mut self.problems);
            if let Some(account) = account(&mut section, &accounts) {
                let settings = self.settings(&path, values, account.provider);
                accounts.push(AccountConfig {
                    settings,
                    ..account
                });
            }
        }
        accounts
    }

    /// The settings of the account's provider.
    fn settings(
        &mut self,
        path: &str,
        account: &SettingsTable,
        provider: &ProviderKind,
    ) -> Settings {
        let path = format!("{path}.{}", shape::SETTINGS);
        let given = account.get(shape::SETTINGS);
        if let Some(value) = given {
            let known = provider_settings::template(provider.settings);
            shape::check_settings(&path, value, &known, &mut self.problems);
        }
        let mut section = Section::new(path, as_table(given), None, &mut self.problems);
        provider_settings::read(&mut section, provider.settings)
    }

    fn polling(&mut self) -> PollingConfig {
        let mut section = self.section("polling");
        let min_interval = section.duration("min_interval", 100 * MS..=HOUR);
        let max_interval = section.duration("max_interval", 100 * MS..=10 * DAY);
        if max_interval < min_interval && max_interval > Duration::ZERO {
            let from = super::duration::format(min_interval);
            section.refuse(
                "max_interval",
                format!("expected a duration from \"{from}\" (polling.min_interval) to \"10d\""),
            );
        }
        PollingConfig {
            min_interval,
            age_factor: section.float("age_factor", 0.0..=10.0),
            max_interval,
            jitter: section.float("jitter", 0.0..=0.5),
            intake_interval: section.duration("intake_interval", 50 * MS..=MINUTE),
            checks_after_expiry: section.durations(
                "checks_after_expiry",
                Duration::ZERO..=YEAR,
                MAX_CHECKS_AFTER_EXPIRY,
            ),
            not_found_grace: section.duration("not_found_grace", Duration::ZERO..=YEAR),
            deadline_grace: section.duration("deadline_grace", SECOND..=DAY),
        }
    }

    fn http(&mut self) -> HttpConfig {
        let mut section = self.section("http");
        HttpConfig {
            connect_timeout: section.duration("connect_timeout", 100 * MS..=5 * MINUTE),
            request_timeout: section.duration("request_timeout", 100 * MS..=5 * MINUTE),
            max_response_bytes: section.integer("max_response_bytes", 1 << 16..=1 << 30),
            max_retry_after: section.duration("max_retry_after", SECOND..=10 * DAY),
        }
    }

    fn feed(&mut self) -> FeedConfig {
        let mut section = self.section("feed");
        let formats = [
            ("nats", StdoutFeed::Nats),
            ("hpub", StdoutFeed::Hpub),
            ("jsonl", StdoutFeed::Jsonl),
            ("off", StdoutFeed::Off),
        ];
        FeedConfig {
            stdout: section.word("stdout", &formats).unwrap_or(StdoutFeed::Off),
            subject_prefix: section
                .text("subject_prefix", &text::SUBJECT_PREFIX)
                .unwrap_or_default(),
        }
    }

    fn nats(&mut self) -> Option<NatsConfig> {
        let mut section = self.section("nats");
        let servers = section.text("url", &text::NATS_URL).unwrap_or_default();
        let nats = NatsConfig {
            servers,
            stream: section.text("stream", &text::STREAM).flatten(),
            credentials_file: section
                .text("credentials_file", &text::OPTIONAL_PATH)
                .flatten(),
            tls_ca_file: section.text("tls_ca_file", &text::OPTIONAL_PATH).flatten(),
        };
        (!nats.servers.is_empty()).then_some(nats)
    }

    fn jobs(&mut self) -> JobsConfig {
        let mut section = self.section("jobs");
        JobsConfig {
            audit: section.text("audit", &text::CRON).flatten(),
            retention: section.text("retention", &text::CRON).flatten(),
        }
    }

    fn retention(&mut self) -> RetentionConfig {
        let mut section = self.section("retention");
        RetentionConfig {
            outbox: section.duration_or_never("outbox", HOUR..=100 * YEAR),
            invoices: section.duration_or_never("invoices", HOUR..=100 * YEAR),
            transactions: section.duration_or_never("transactions", HOUR..=100 * YEAR),
        }
    }

    fn server(&mut self) -> ServerConfig {
        let mut section = self.section("server");
        let allow_remote = section.boolean("allow_remote");
        ServerConfig {
            listen: section
                .text_that("listen", &text::LISTEN, |listen| {
                    local(listen.as_ref(), allow_remote)
                })
                .flatten(),
            allow_remote,
        }
    }

    fn log(&mut self) -> LogConfig {
        let mut section = self.section("log");
        let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        LogConfig {
            level: section.text("level", &text::LOG_LEVEL).unwrap_or_default(),
            format: section.word("format", &formats).unwrap_or(LogFormat::Text),
        }
    }
}

fn account(section: &mut Section<'_>, others: &[AccountConfig]) -> Option<AccountConfig> {
    let strategies = [
        ("auto", Strategy::Auto),
        ("single", Strategy::Single),
        ("list", Strategy::List),
        // Its old name.
        ("preview", Strategy::Single),
    ];
    let name = section.text_that("name", &text::ACCOUNT_NAME, |name| unique(name, others));
    let kinds: Vec<_> = PROVIDERS.iter().map(|kind| (kind.name, *kind)).collect();
    let provider = section.word("provider", &kinds);
    let base_url = section.text_that("base_url", &text::BASE_URL, |url| {
        without_api_path(url.as_ref(), provider)
    });
    let api_key_file = section.text("api_key_file", &text::PATH);
    let limits_rate = section.is_given("requests_per_second");
    let requests_per_second = section.float("requests_per_second", 0.0..=10_000.0);
    let burst = section.integer("burst", 1..=10_000);
    let max_in_flight = section.integer("max_in_flight", 1..=10_000);
    let strategy = section.word("strategy", &strategies);
    let list_bytes_per_second = section.integer("list_bytes_per_second", 0..=MAX_BYTES_PER_SECOND);
    let accept_test_payments = section.boolean("accept_test_payments");
    let enabled = section.boolean("enabled");
    let provider = provider?;
    Some(AccountConfig {
        name: name?,
        provider,
        base_url: base_url?.or_else(|| provider.base_url.parse().ok())?,
        api_key_file: key_file(api_key_file?, provider),
        requests_per_second: if limits_rate {
            requests_per_second
        } else {
            provider.requests_per_second
        },
        burst,
        max_in_flight,
        strategy: strategy?,
        list_bytes_per_second,
        accept_test_payments,
        enabled,
        settings: Settings::default(),
    })
}

/// Refuses an address that has the API's path: each request adds it.
fn without_api_path(base: Option<&Url>, provider: Option<&ProviderKind>) -> Result<(), String> {
    let (Some(base), Some(provider)) = (base, provider) else {
        return Ok(());
    };
    let path = provider.api_path;
    let rest = base.path().strip_prefix(path);
    // A bot's token follows its path without a slash.
    let has_path =
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest.contains(':'));
    if !has_path {
        return Ok(());
    }
    let mut right = base.clone();
    right.set_path("");
    let right = right.as_str().trim_end_matches('/');
    Err(format!(
        "has the API's path {path}, which each request adds: write {right:?}"
    ))
}

/// The key file of an account: one for each provider unless another is given.
fn key_file(given: PathBuf, provider: &ProviderKind) -> PathBuf {
    if given.as_os_str().is_empty() {
        return default_key_file(provider).into();
    }
    given
}

/// Refuses a second account with the same name or the same key variable: their keys would be mixed up.
fn unique(name: &str, others: &[AccountConfig]) -> Result<(), String> {
    let variable = key_variable(name);
    match others
        .iter()
        .find(|other| key_variable(&other.name) == variable)
    {
        Some(other) if other.name == name => Err("another account has the same name".into()),
        Some(other) => Err(format!(
            "its key variable {variable} is also that of account {:?}, because - and _ are the same there",
            other.name
        )),
        None => Ok(()),
    }
}

fn local(listen: Option<&Listen>, allow_remote: bool) -> Result<(), String> {
    match listen {
        Some(Listen::Tcp(address)) if !allow_remote && !address.ip().is_loopback() => {
            Err("other machines can reach this address, and server.allow_remote is false".into())
        }
        _ => Ok(()),
    }
}

fn as_table(value: Option<&Value>) -> Option<&SettingsTable> {
    match value.map(|value| &value.kind) {
        Some(ValueKind::Table(table)) => Some(table),
        _ => None,
    }
}
