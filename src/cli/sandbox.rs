//! `sandbox`: a simulator of the payment provider on loopback.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, ValueEnum};

use super::Exit;
use crate::config::{Environment, duration};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8181")]
    listen: SocketAddr,
    /// The key that requests must bear; without it any is taken
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
    /// Makes chance repeatable
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// How long each answer takes
    #[arg(long, value_name = "DURATION", default_value = "20ms", value_parser = latency)]
    latency: Duration,
    /// Requests a second; more are answered 429
    #[arg(long, value_name = "N", value_parser = rate)]
    rate_limit: Option<f64>,
    /// Faults to play: a JSON array, or a file that holds one
    #[arg(long, value_name = "FILE|JSON")]
    faults: Option<String>,
    /// How the preview writes an order's id
    #[arg(long, value_name = "KIND", default_value = "text")]
    preview_id: PreviewId,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PreviewId {
    /// As text
    Text,
    /// As a JSON number
    Number,
}

#[expect(clippy::unused_async, reason = "the simulator is not joined yet")]
pub(super) async fn run(arguments: Arguments, environment: &Environment) -> anyhow::Result<Exit> {
    let Arguments {
        listen,
        api_key,
        seed,
        latency,
        rate_limit,
        faults,
        preview_id,
    } = arguments;
    let _ = (environment, listen, api_key, seed, latency, rate_limit);
    let _ = (faults, preview_id);
    bail!("not built yet")
}

fn latency(text: &str) -> Result<Duration, &'static str> {
    duration::parse(text).ok_or("accepted is a duration such as 0ms, 20ms or 1s")
}

fn rate(text: &str) -> Result<f64, &'static str> {
    text.parse()
        .ok()
        .filter(|rate: &f64| rate.is_finite() && *rate > 0.0)
        .ok_or("accepted is a number above 0")
}
