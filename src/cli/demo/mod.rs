//! `demo`: sandbox, daemon and customers on a temporary database. No API key, no network.

mod customer;
mod play;
mod scene;
mod truth;

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use ratatui::backend::CrosstermBackend;
use ratatui::{Terminal, TerminalOptions, Viewport};
use tokio::io::{AsyncReadExt as _, DuplexStream};
use tokio::task::JoinHandle;

use self::play::Play;
use self::scene::Scene;
use self::truth::Comparison;
use super::Exit;
use crate::config::Environment;
use crate::sandbox::SimulatedProvider;
use crate::telemetry::{self, Logging};

/// The end of the summary.
const NEXT_STEPS: &str = "\nNext: `payrecond init --provider NAME` writes a configuration for your store.\n\
                          `payrecond sandbox` simulates the providers for tests of your own programs.\n";
/// The same play each time.
const SEED: u64 = 3;
/// A picture is drawn this often, and a plain line written each `PLAIN_EVERY` of them.
const FRAME: Duration = Duration::from_millis(100);
const PLAIN_EVERY: u32 = 10;
/// After the customers have gone, the daemon may take so long to find out the rest.
const PATIENCE: Duration = Duration::from_secs(20);
/// The whole takes no longer, whatever happens.
const LONGEST: Duration = Duration::from_secs(90);
/// Bytes of the feed that may wait for the one who gathers them.
const PIPE: usize = 1 << 20;

pub(super) async fn run(environment: &Environment) -> anyhow::Result<Exit> {
    if let Some(level) = environment
        .get("PAYRECOND__LOG__LEVEL")
        .and_then(|l| l.to_str())
    {
        telemetry::init(&Logging {
            level,
            json: false,
            colour: false,
        });
    }
    let (feed, reader) = tokio::io::duplex(PIPE);
    let told = gather(reader);
    let mut play = Play::begin(SEED, feed).await?;
    play.let_in(SEED)?;
    let mut stage = Stage::open();
    let elapsed = perform(&mut play, &mut stage).await?;
    play.complaints().await?;
    play.stop().await?;
    let told = told.await?;
    stage.show(&Scene::of(&play, elapsed).await?, true)?;
    let verdict = truth::compare(&play, &told).await?;
    let summary = summary(&play, &verdict, elapsed).await?;
    play.close().await;
    stage.close(&summary)?;
    Ok(if verdict.disagreements.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

fn gather(mut reader: DuplexStream) -> JoinHandle<String> {
    tokio::spawn(async move {
        let mut bytes = Vec::new();
        // The other end closes with the daemon; what came until then is what was told.
        let _ = reader.read_to_end(&mut bytes).await;
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Shows the play until everybody has gone and everything is found out, or patience ends.
async fn perform(play: &mut Play, stage: &mut Stage) -> anyhow::Result<Duration> {
    let began = play.clock.monotonic();
    let mut over_at = None;
    for turn in 0_u32.. {
        let now = play.clock.monotonic();
        let elapsed = now.saturating_sub(began);
        stage.show(&Scene::of(play, elapsed).await?, turn % PLAIN_EVERY == 0)?;
        if elapsed > LONGEST {
            return Ok(elapsed);
        }
        if play.is_over() {
            let since = *over_at.get_or_insert(now);
            let found_out = truth::compare(play, "").await?.statuses_agree();
            if found_out || now.saturating_sub(since) > PATIENCE {
                return Ok(elapsed);
            }
        }
        play.clock.sleep(FRAME).await;
    }
    Ok(play.clock.monotonic().saturating_sub(began))
}

async fn summary(play: &Play, verdict: &Comparison, elapsed: Duration) -> anyhow::Result<String> {
    let detect = play.store.detect_times().await?;
    let stats = play.world.stats();
    let overview = play.store.overview(play.clock.now()).await?;
    let counts: Vec<String> = overview
        .by_status
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(status, count)| format!("{count} {status}"))
        .collect();
    let requests = u32::try_from(stats.requests.values().sum::<u64>()).unwrap_or(u32::MAX);
    let faults: Vec<String> = stats
        .faults
        .iter()
        .map(|(kind, count)| format!("{count} x {}", kind.name()))
        .collect();
    let differ = u32::try_from(verdict.disagreements.len()).unwrap_or(u32::MAX);
    let agree = verdict.orders.saturating_sub(differ);
    let mut text = format!(
        "\npayrecond demo: {} orders at {} providers in {:.1} s\n\
         \x20 outcome         {}\n\
         \x20 among them      {} paid late, {} paid in parts, {} refunded\n\
         \x20 time to detect  {} (p50), {} (p95), {} (p99), including an outage of 2 s\n\
         \x20 requests        {requests}, {:.1} per order\n\
         \x20 faults          {}\n\
         \x20 result          {agree} of {} orders agree in sandbox, database, outbox and feed\n",
        verdict.orders,
        SimulatedProvider::ALL.len(),
        elapsed.as_secs_f64(),
        counts.join(", "),
        verdict.late,
        verdict.in_parts,
        verdict.refunded,
        seconds(detect.p50),
        seconds(detect.p95),
        seconds(detect.p99),
        f64::from(requests) / f64::from(verdict.orders.max(1)),
        faults.join(", "),
        verdict.orders,
    );
    for line in &verdict.disagreements {
        text.push_str("  DIFFERS         ");
        text.push_str(line);
        text.push('\n');
    }
    text.push_str(NEXT_STEPS);
    Ok(text)
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

/// Where the play is shown.
enum Stage {
    Terminal(Terminal<CrosstermBackend<std::io::Stdout>>),
    Lines,
}

impl Stage {
    fn open() -> Self {
        if !std::io::stdout().is_terminal() {
            return Self::Lines;
        }
        let viewport = Viewport::Inline(scene::HEIGHT);
        let backend = CrosstermBackend::new(std::io::stdout());
        // A terminal that cannot tell where its cursor is gets lines.
        Terminal::with_options(backend, TerminalOptions { viewport })
            .map_or(Self::Lines, Self::Terminal)
    }

    fn show(&mut self, scene: &Scene, line_due: bool) -> anyhow::Result<()> {
        match self {
            Self::Terminal(terminal) => {
                terminal
                    .draw(|frame| scene::draw(frame, scene))
                    .context("terminal could not be drawn")?;
            }
            Self::Lines if line_due => write(&format!("{}\n", scene.line()))?,
            Self::Lines => {}
        }
        Ok(())
    }

    fn close(self, summary: &str) -> anyhow::Result<()> {
        if let Self::Terminal(mut terminal) = self {
            terminal.show_cursor()?;
        }
        write(summary)
    }
}

fn write(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}
