//! `sandbox`: simulates the payment providers on loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Exit;
use super::exit::complain;
use super::output::Output;
use super::style::Style;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Environment, duration};
use crate::lifecycle;
use crate::sandbox::{Sandbox, SandboxOptions, Variant, parse_faults};

#[derive(Debug, Args)]
pub(super) struct SandboxArguments {
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8181")]
    listen: SocketAddr,
    /// The API key that requests must have; without it, any key is accepted
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
    /// The seed of all randomness, ids included; without it the clock's, so that ids are not used again
    /// after a restart
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The time that each answer takes
    #[arg(long, value_name = "DURATION", default_value = "20ms", value_parser = latency)]
    latency: Duration,
    /// Requests per second; more are answered with status 429
    #[arg(long, value_name = "N", value_parser = rate)]
    rate_limit: Option<f64>,
    /// Faults to inject: a JSON array, or a file that contains one
    #[arg(long, value_name = "FILE|JSON")]
    faults: Option<String>,
    /// Another behaviour where a provider's documentation leaves it open; may be repeated
    #[arg(long = "variant", value_name = "NAME", value_parser = variant())]
    variants: Vec<String>,
}

pub(super) async fn run(
    arguments: SandboxArguments,
    environment: &Environment,
) -> anyhow::Result<Exit> {
    let SandboxArguments {
        listen,
        api_key,
        seed,
        latency,
        rate_limit,
        faults,
        variants,
    } = arguments;
    let faults = match faults.as_deref().map(parse_faults).transpose() {
        Ok(faults) => faults.unwrap_or_default(),
        Err(error) => {
            complain(&format!("--faults: {error}"));
            return Ok(Exit::Usage);
        }
    };
    let options = SandboxOptions {
        listen,
        api_key,
        seed: seed.unwrap_or_else(clock_seed),
        latency,
        rate_limit,
        faults,
        variants: variants
            .iter()
            .filter_map(|name| name.parse().ok())
            .collect(),
        ..SandboxOptions::default()
    };
    let stop = CancellationToken::new();
    lifecycle::watch_signals(stop.clone(), Arc::new(Notify::new()))?;
    let sandbox = Sandbox::start(options).await?;
    let mut output = Output::new(Style::of_stdout(environment));
    output.line(format_args!("sandbox listening on {}", sandbox.url()));
    output.send()?;
    stop.cancelled().await;
    sandbox.stop().await;
    Ok(Exit::Done)
}

/// A seed that no earlier sandbox had: the milliseconds of the clock.
fn clock_seed() -> u64 {
    let now = SystemClock::new().now();
    u64::try_from(now.0).unwrap_or_default()
}

/// The names with what each changes, for the help.
fn variant() -> PossibleValuesParser {
    let all = Variant::ALL.iter();
    let values = all.map(|variant| PossibleValue::new(variant.name()).help(variant.help().trim()));
    PossibleValuesParser::new(values.collect::<Vec<_>>())
}

fn latency(text: &str) -> Result<Duration, &'static str> {
    duration::parse(text).ok_or("expected a duration such as 0ms, 20ms or 1s")
}

fn rate(text: &str) -> Result<f64, &'static str> {
    text.parse()
        .ok()
        .filter(|rate: &f64| rate.is_finite() && *rate > 0.0)
        .ok_or("expected a number above 0")
}
