//! `top`: a live view in the terminal, read from the database once per second; `q` quits.

mod draw;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::Exit;
use super::session::Session;
use crate::domain::time::UnixMillis;
use crate::store::{
    AccountRecord, Consumer, Database, DetectTimes, HistoryEvent, Overview, StoreError,
};

pub use draw::draw;

const REFRESH: Duration = Duration::from_secs(1);
/// How often the thread that reads keys checks whether it should stop.
const KEY_POLL: Duration = Duration::from_millis(100);
/// Number of minutes in the chart of payments.
const MINUTES: u8 = 60;
/// Number of events read; as many are drawn as fit.
const EVENTS: u32 = 50;
/// Detection times are read only every so many refreshes, because that reads thousands of rows.
const DETECT_EVERY: u32 = 10;

/// The data of one moment that is drawn.
#[derive(Clone, Debug, Default)]
pub struct TopView {
    /// Title, such as the path of the database.
    pub title: String,
    /// The moment.
    pub now: UnixMillis,
    /// Whether a daemon runs on the database; None = unknown.
    pub daemon_runs: Option<bool>,
    /// Counts and overdue polls.
    pub overview: Option<Overview>,
    /// Payments found in each of the last minutes, the latest last.
    pub payments_by_minute: Vec<u64>,
    /// Time to detect.
    pub detect: DetectTimes,
    /// Accounts' states.
    pub accounts: Vec<AccountRecord>,
    /// Consumers and their lag.
    pub consumers: Vec<Consumer>,
    /// The newest events, newest first.
    pub events: Vec<HistoryEvent>,
    /// Why the view is outdated, if it is.
    pub problem: Option<String>,
}

impl TopView {
    /// Reads everything again except detection times, which are read if `with_detect`.
    pub async fn refresh(
        &mut self,
        store: &dyn Database,
        now: UnixMillis,
        with_detect: bool,
    ) -> Result<(), StoreError> {
        self.daemon_runs = store.daemon_runs().await;
        self.overview = Some(store.overview(now).await?);
        self.payments_by_minute = store.payments_by_minute(now, MINUTES).await?;
        self.accounts = store.accounts().await?;
        self.consumers = store.consumers().await?;
        self.events = store.last_events(EVENTS).await?;
        if with_detect {
            self.detect = store.detect_times().await?;
        }
        self.now = now;
        Ok(())
    }
}

/// Fails without a terminal.
pub(super) fn require_terminal() -> anyhow::Result<()> {
    if !std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        bail!("stdout is not a terminal; `payrecond stats` prints the same once");
    }
    Ok(())
}

pub(super) async fn run(session: &Session, store: &dyn Database) -> anyhow::Result<Exit> {
    let mut terminal = ratatui::try_init().context("terminal could not be set up")?;
    let outcome = live(session, store, &mut terminal).await;
    // The terminal is restored in any case.
    let restored = ratatui::try_restore();
    outcome?;
    restored.context("terminal could not be restored")?;
    Ok(Exit::Done)
}

async fn live(
    session: &Session,
    store: &dyn Database,
    terminal: &mut DefaultTerminal,
) -> anyhow::Result<()> {
    let mut keys = Keys::listen();
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut view = TopView {
        title: store.name(),
        ..TopView::default()
    };
    let mut turn = 0_u32;
    loop {
        if let Err(error @ StoreError::Replaced(_)) = store.require_in_place() {
            return Err(error.into());
        }
        let with_detect = turn.is_multiple_of(DETECT_EVERY);
        let read = view.refresh(store, session.now(), with_detect).await;
        view.problem = read.err().map(|error| error.to_string());
        turn = turn.wrapping_add(1);
        let next = tokio::time::sleep(REFRESH);
        tokio::pin!(next);
        loop {
            terminal.draw(|frame| draw(frame, &view))?;
            tokio::select! {
                () = &mut next => break,
                key = keys.pressed.recv() => match key {
                    Some(KeyPress::Quit) | None => return Ok(()),
                    Some(KeyPress::Other) => {}
                },
                _ = hangup.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
            }
        }
    }
}

/// The action for a key or a change of the window's size.
enum KeyPress {
    Quit,
    /// Only draws again.
    Other,
}

/// Reads the keyboard on a separate thread: no other way works on all terminals.
struct Keys {
    pressed: mpsc::Receiver<KeyPress>,
    unwanted: Arc<AtomicBool>,
}

impl Keys {
    fn listen() -> Self {
        let (sender, pressed) = mpsc::channel(16);
        let unwanted = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&unwanted);
        std::thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                let key = match event::poll(KEY_POLL) {
                    Ok(false) => continue,
                    Ok(true) => event::read(),
                    Err(error) => Err(error),
                };
                let key = match key {
                    Ok(event) => meaning(&event),
                    // The terminal was closed.
                    Err(_) => KeyPress::Quit,
                };
                if sender.blocking_send(key).is_err() {
                    return;
                }
            }
        });
        Self { pressed, unwanted }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.unwanted.store(true, Ordering::Relaxed);
    }
}

fn meaning(event: &Event) -> KeyPress {
    let Event::Key(key) = event else {
        return KeyPress::Other;
    };
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    let quits = control_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc);
    if quits && key.kind == KeyEventKind::Press {
        KeyPress::Quit
    } else {
        KeyPress::Other
    }
}
