//! The command line: arguments to calls, outcomes to exit codes. One file for each command.
//!
//! stdout carries results only, through `output`; messages go to stderr. When stdout is closed by its
//! reader, a command ends with exit code 0.

mod add;
mod audit;
mod backup;
mod check;
mod copy;
mod demo;
mod exit;
mod feed;
mod groups;
mod init;
mod invoice_json;
mod list;
mod migrate;
mod nudge;
mod output;
mod publish;
mod reference;
mod resolve;
mod run;
mod sandbox;
mod session;
mod show;
mod start;
mod stats;
mod stdout;
mod style;
mod table;
pub mod top;
mod values;
mod why;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};

pub use exit::{Exit, complain};
pub use groups::command;
use session::{Logs, Session};
pub use start::start;

use crate::config::Environment;
use crate::store::Database;

const FIRST_STEPS: &str = "First steps: `payrecond demo` shows payrecond at work, `payrecond init` writes a \
                           configuration.\n`payrecond COMMAND --help` describes a command.";
const CONFIG_HELP: &str = "Configuration file [default: $PAYRECOND_CONFIG, else ./payrecond.toml, \
                           else /etc/payrecond/payrecond.toml]";

/// Detects payments by polling payment providers, and writes them to a database.
#[derive(Debug, Parser)]
#[command(name = "payrecond", version, max_term_width = 100, after_help = FIRST_STEPS)]
pub struct Arguments {
    #[arg(long, global = true, value_name = "FILE", help = CONFIG_HELP)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

/// Every command, in the order of the help: see `groups`.
#[derive(Debug, Subcommand)]
enum Command {
    /// Write a first configuration file, and say what to do next
    Init(init::InitArguments),
    /// Create or upgrade the database
    Migrate(ReportFormat),
    /// Check the configuration, the database, the clock, each account's API key and the NATS stream
    Check(ReportFormat),
    /// Run the daemon in the foreground; stdout is the feed of events
    Run(run::RunArguments),
    /// Insert an invoice
    Add(add::AddArguments),
    /// List invoices, newest first
    List(list::ListArguments),
    /// Show one invoice with its events and transactions
    Show(show::ShowArguments),
    /// Explain the status of an invoice and when it is polled next
    Why(why::WhyArguments),
    /// Poll an invoice as soon as the account's rate limit allows
    Nudge(nudge::NudgeArguments),
    /// Decide an invoice in review
    Resolve(resolve::ResolveArguments),
    /// Print the events of the outbox
    Feed(feed::FeedArguments),
    /// Publish the events into NATS JetStream, without a daemon
    Publish(publish::PublishArguments),
    /// Show counts by status, overdue polls, lag of consumers, time to detect
    Stats(ReportFormat),
    /// Watch invoices, accounts and events live in the terminal
    Top,
    /// Compare all invoices with the provider's own records, in both directions
    Audit(audit::AuditArguments),
    /// Write a consistent copy of the database, also while the daemon runs
    Backup(backup::Backup),
    /// Put a backup in place, with a new epoch
    Restore(backup::Restore),
    /// Copy an SQLite database to a PostgreSQL server, and compare every row
    Copy(copy::CopyArguments),
    /// Show payrecond at work on a temporary database, without an API key or network
    Demo,
    /// Simulate the payment providers on loopback, for tests of your own programs
    Sandbox(sandbox::SandboxArguments),
}

impl Command {
    /// Whether the command only reads the database.
    fn only_reads(&self) -> bool {
        match self {
            Self::List(_) | Self::Show(_) | Self::Why(_) | Self::Stats(_) | Self::Top => true,
            Self::Feed(arguments) => arguments.only_reads(),
            Self::Run(_)
            | Self::Publish(_)
            | Self::Migrate(_)
            | Self::Check(_)
            | Self::Add(_)
            | Self::Nudge(_)
            | Self::Resolve(_)
            | Self::Audit(_)
            | Self::Backup(_)
            | Self::Restore(_)
            | Self::Copy(_)
            | Self::Init(_)
            | Self::Sandbox(_)
            | Self::Demo => false,
        }
    }
}

/// The format of a report.
#[derive(Clone, Copy, Debug, Args)]
struct ReportFormat {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Parses the arguments, and prints help or the usage error.
///
/// # Errors
/// The exit code: 0 after help, 2 after wrong usage.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, Exit> {
    values::parse(arguments).map_err(|error| {
        // A closed stdout or stderr changes nothing about the outcome.
        let _ = error.print();
        if error.use_stderr() {
            Exit::Usage
        } else {
            Exit::Done
        }
    })
}

/// Runs a command, and prints its error.
pub async fn run(arguments: Arguments, environment: Environment) -> Exit {
    match dispatch(arguments, environment).await {
        Ok(exit) => exit,
        Err(error) => exit::of_error(&error),
    }
}

async fn dispatch(arguments: Arguments, environment: Environment) -> anyhow::Result<Exit> {
    let file = arguments.config.as_deref();
    let logs = match arguments.command {
        // These need no configuration.
        Command::Init(arguments) => return init::run(&arguments, &environment),
        Command::Sandbox(arguments) => return sandbox::run(arguments, &environment).await,
        Command::Demo => return demo::run(&environment).await,
        Command::Run(_) | Command::Publish(_) => Logs::AsConfigured,
        Command::Top => Logs::Nothing,
        _ => Logs::Warnings,
    };
    if !matches!(arguments.command, Command::Run(_) | Command::Publish(_)) {
        // Before anything is done whose result could not be printed.
        stdout::require_writable()?;
    }
    let session = Session::begin(file, environment, logs)?;
    match arguments.command {
        Command::Run(arguments) => run::run(session, arguments).await,
        Command::Publish(arguments) => publish::run(session, arguments).await,
        Command::Check(report) => check::run(session, report.json).await,
        Command::Migrate(report) => migrate::run(&session, report).await,
        Command::Restore(arguments) => backup::put_back(&session, arguments).await,
        Command::Copy(arguments) => copy::run(&session, arguments).await,
        Command::Feed(arguments) if arguments.subscribe() => {
            feed::serve(&session, &arguments).await
        }
        command => on_database(command, &session).await,
    }
}

/// The commands that need an existing database.
async fn on_database(command: Command, session: &Session) -> anyhow::Result<Exit> {
    if let Command::Top = command {
        top::require_terminal()?;
    }
    let store = if command.only_reads() {
        session.open_store_to_read().await?
    } else {
        session.open_store().await?
    };
    session.follow_clock(store.as_ref()).await?;
    let outcome = with_store(command, session, &store).await;
    store.close().await;
    outcome
}

async fn with_store(
    command: Command,
    session: &Session,
    open: &Arc<dyn Database>,
) -> anyhow::Result<Exit> {
    let store = open.as_ref();
    match command {
        Command::Add(arguments) => add::run(session, store, arguments).await,
        Command::List(arguments) => list::run(session, store, arguments).await,
        Command::Show(arguments) => show::run(session, store, arguments).await,
        Command::Why(arguments) => why::run(session, store, arguments).await,
        Command::Nudge(arguments) => nudge::run(session, store, arguments).await,
        Command::Resolve(arguments) => resolve::run(session, store, arguments).await,
        Command::Feed(arguments) => feed::run(session, open, arguments).await,
        Command::Stats(report) => stats::run(session, store, report).await,
        Command::Audit(arguments) => audit::run(session, open, arguments).await,
        Command::Backup(arguments) => backup::back_up(session, store, arguments).await,
        Command::Top => top::run(session, store).await,
        Command::Run(_)
        | Command::Publish(_)
        | Command::Migrate(_)
        | Command::Restore(_)
        | Command::Copy(_)
        | Command::Check(_)
        | Command::Init(_)
        | Command::Sandbox(_)
        | Command::Demo => {
            anyhow::bail!("this command does not use an open database; please report this as a bug")
        }
    }
}
