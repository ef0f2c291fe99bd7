//! What every command needs: configuration, clock, database, stdout.

use std::path::Path;
use std::sync::Arc;

use super::output::Output;
use super::style::Style;
use crate::clock::{Clock, CorrectedClock};
use crate::config::{self, AccountConfig, Config, Environment, LogFormat};
use crate::daemon;
use crate::domain::cadence::Cadence;
use crate::domain::invoice::AccountName;
use crate::domain::time::UnixMillis;
use crate::jobs::database_clock::DatabaseClock;
use crate::store::{Database, DatabaseOptions, StoreError, process_name};
use crate::telemetry::{self, Logging};

/// The default level.
const USUAL_LEVEL: &str = "info";

/// One run of a command.
pub(super) struct Session {
    pub(super) config: Config,
    pub(super) environment: Environment,
    pub(super) clock: Arc<dyn Clock>,
    corrected: Arc<CorrectedClock>,
    style: Style,
}

/// What a command logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Logs {
    /// As configured: the daemon.
    AsConfigured,
    /// Warnings, unless another level is configured or the environment sets one: a command that a person
    /// or a script runs.
    Warnings,
    /// Nothing: the command draws on the terminal.
    Nothing,
}

impl Session {
    pub(super) fn begin(
        file: Option<&Path>,
        environment: Environment,
        logs: Logs,
    ) -> anyhow::Result<Self> {
        let config = config::load(file, &environment)?;
        let asked = environment.get("PAYRECOND__LOG__LEVEL").is_some();
        let level = match (logs, config.log.level.as_str()) {
            (Logs::Nothing, _) => "off",
            (Logs::Warnings, USUAL_LEVEL) if !asked => "warn",
            (Logs::Warnings | Logs::AsConfigured, level) => level,
        };
        begin_logging(level, config.log.format, &environment);
        for warning in config::stray_variables(&config, &environment) {
            tracing::warn!(%warning, "check the environment");
        }
        if let Some(warning) = config::overridden_database(&config) {
            tracing::warn!(%warning, "check the configuration");
        }
        Ok(Self::of(config, environment))
    }

    fn of(config: Config, environment: Environment) -> Self {
        let corrected = CorrectedClock::of_system();
        Self {
            style: Style::of_stdout(&environment),
            clock: Arc::clone(&corrected) as Arc<dyn Clock>,
            corrected,
            config,
            environment,
        }
    }

    pub(super) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    pub(super) fn output(&self) -> Output {
        Output::new(self.style)
    }

    /// Where the database is: a path, or an address without a password.
    pub(super) fn database(&self) -> String {
        self.options().location.to_string()
    }

    /// Opens the database, which must exist: only `migrate` and `run` create one.
    pub(super) async fn open_store(&self) -> anyhow::Result<Arc<dyn Database>> {
        self.named(self.options().open().await)
    }

    /// Opens the database to read, for users who may not write it.
    pub(super) async fn open_store_to_read(&self) -> anyhow::Result<Arc<dyn Database>> {
        self.named(self.options().open_to_read().await)
    }

    /// Uses the clock of a database that several daemons share.
    pub(super) async fn follow_clock(&self, store: &dyn Database) -> anyhow::Result<()> {
        let clock = DatabaseClock::new(store.leases(), Arc::clone(&self.corrected));
        Ok(clock.run_once().await?)
    }

    /// Which database.
    pub(super) fn options(&self) -> DatabaseOptions {
        DatabaseOptions {
            // Not the daemon's name, which only the daemon beside it has.
            process: process_name(),
            ..daemon::database_options(&self.config)
        }
    }

    /// Adds the name of the database to an error.
    fn named(
        &self,
        opened: Result<Arc<dyn Database>, StoreError>,
    ) -> anyhow::Result<Arc<dyn Database>> {
        let path = self.database();
        opened.map_err(|error| {
            let named = error.to_string().contains(&path);
            let error = anyhow::Error::new(error);
            if named {
                error
            } else {
                error.context(format!("database {path}"))
            }
        })
    }

    pub(super) fn account(&self, name: &AccountName) -> Option<&AccountConfig> {
        let mut accounts = self.config.accounts.iter();
        accounts.find(|account| account.name == name.0)
    }

    /// The names of all configured accounts.
    pub(super) fn account_names(&self) -> Vec<AccountName> {
        let accounts = self.config.accounts.iter();
        accounts
            .map(|account| account.name.as_str().into())
            .collect()
    }

    pub(super) fn cadence(&self) -> Cadence {
        daemon::cadence(&self.config)
    }
}

fn begin_logging(level: &str, format: LogFormat, environment: &Environment) {
    telemetry::init(&Logging {
        level,
        json: format == LogFormat::Json,
        colour: Style::of_stderr(environment).colour,
    });
}
