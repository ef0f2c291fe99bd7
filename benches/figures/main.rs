//! The figures of the README, each beside what it is compared with, taken in one run.
//!
//! `cargo bench [-- [--quick] [--write] [SECTION…]]`. Servers, daemons and the loops they are compared
//! with run as processes of their own; `worker` is this program once more, as one of those loops.
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the machine's clock and asks as others do"
)]

mod bed;
mod cadence;
mod commits;
mod feed;
mod idle;
mod list;
mod looks;
mod payments;
mod plot;
mod postgres;
mod process;
mod publish;
mod table;
mod watch;
mod watched;
mod worker;

// The server of the tests, and what it needs.
#[path = "../../tests/it/free_port.rs"]
#[expect(clippy::unwrap_used, reason = "part of the tests")]
mod free_port;
#[path = "../../tests/it/postgres/server.rs"]
#[expect(clippy::unwrap_used, dead_code, reason = "part of the tests")]
mod postgres_server;
#[path = "../../tests/it/until.rs"]
mod until;

use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};

use self::table::Table;

/// The sections, in their order.
const SECTIONS: [&str; 11] = [
    "looks", "commits", "payments", "list", "watch", "cadence", "feed", "publish", "postgres",
    "idle", "watched",
];

/// Maximum wait for a server to start.
const PATIENCE: Duration = Duration::from_mins(1);

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Scale {
    /// A tenth of it, for a first impression.
    pub quick: bool,
}

impl Scale {
    /// `whole`, or a tenth.
    pub fn of(self, whole: usize) -> usize {
        if self.quick { whole / 10 } else { whole }
    }
}

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let words: Vec<String> = std::env::args().skip(1).collect();
    // Built without a provider of its own, reqwest asks for one even where nothing is encrypted. A
    // second one would be refused, and there is none.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(&words)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let ["worker", words @ ..] = words.as_slice() {
        return worker::run(words).await;
    }
    let scale = Scale {
        quick: words.contains(&"--quick"),
    };
    let is_section = |word: &&&str| !word.starts_with("--");
    let wanted: Vec<&str> = words.iter().filter(is_section).copied().collect();
    if let Some(unknown) = wanted.iter().find(|word| !SECTIONS.contains(word)) {
        bail!("no section {unknown}; there are {}", SECTIONS.join(", "));
    }
    let mut table = Table::default();
    for section in SECTIONS {
        if wanted.is_empty() || wanted.contains(&section) {
            measure(section, scale, &mut table).await?;
        }
    }
    let report = report(scale, &table);
    print!("{report}");
    if words.contains(&"--write") {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/RESULTS.md");
        fs::write(path, report)?;
    }
    Ok(())
}

/// One section. Its failure is told in its place, and the others go on.
async fn measure(section: &'static str, scale: Scale, table: &mut Table) -> Result<()> {
    let outcome = match section {
        "looks" => looks::measure(scale, table).await,
        "commits" => commits::measure(scale, table).await,
        "payments" => payments::measure(scale, table).await,
        "list" => list::measure(scale, table).await,
        "watch" => watch::measure(scale, table).await,
        "cadence" => {
            cadence::measure(scale, table);
            Ok(())
        }
        "feed" => feed::measure(scale, table).await,
        "publish" => publish::measure(scale, table).await,
        "postgres" => postgres::measure(scale, table).await,
        "watched" => watched::measure(scale, table).await,
        _ => idle::measure(scale, table).await,
    };
    if let Err(error) = outcome {
        let why = format!("not available: {error:#}");
        table.add(section, table::alone("the whole section", why, ""));
    }
    Ok(())
}

fn report(scale: Scale, table: &Table) -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let quick = if scale.quick { ", quick" } else { "" };
    format!(
        "# Figures\n\nBy `cargo bench`, on {cores} cores, load at the end {load}{quick}. Figures of \
         one run compare; those of two runs differ by up to 40 %.\n\n{}",
        table.markdown()
    )
}
