//! The built program as a service manager runs it: its pipes, signals and readiness.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::notified::Notified;
use super::shim::WallClock;
pub use crate::PATIENCE;
use crate::other_day;
use crate::shop::Shop;

/// The key of the account `default`, which must not be found anywhere.
pub const CANARY: &str = "canary-key-0123456789";
/// A clean stop takes 10 s at most. This is enough for a busy machine, but less than any time-out
/// that could delay the stop.
pub const END_WITHIN: Duration = Duration::from_mins(2);

/// How the program's stdout is read.
#[derive(Clone, Copy)]
pub enum Stdout {
    /// Read as it comes.
    Read,
    /// A pipe that is not read until requested.
    Unread,
}

/// `payrecond run` on a shop's database.
pub struct Program {
    child: Child,
    pub notified: Notified,
    stdout: Gathered,
    pub unread: Option<ChildStdout>,
    stderr: Gathered,
}

/// The output and exit code of a program that has ended.
pub struct Left {
    /// None if it was ended by a signal.
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Left {
    /// A run of which only stdout is known.
    pub fn of_stdout(stdout: Vec<u8>) -> Self {
        Self {
            code: None,
            stdout,
            stderr: String::new(),
        }
    }
}

impl Program {
    /// Starts and waits until it is ready.
    pub async fn ready(shop: &Shop) -> Self {
        Self::ready_with(shop, Stdout::Read).await
    }

    /// Starts with another stdout and waits until it is ready.
    pub async fn ready_with(shop: &Shop, stdout: Stdout) -> Self {
        Self::start(shop, stdout).until_ready().await
    }

    /// Starts with another wall clock than the machine's and waits until it is ready.
    pub async fn ready_by(shop: &Shop, clock: &WallClock) -> Self {
        let mut command = command(shop);
        clock.show(&mut command);
        let program = Self::spawn(shop, command, Stdout::Read, Stdio::piped());
        program.until_ready().await
    }

    pub async fn until_ready(mut self) -> Self {
        self.notified.until("READY=1").await;
        self
    }

    pub fn start(shop: &Shop, stdout: Stdout) -> Self {
        Self::spawn(shop, command(shop), stdout, Stdio::piped())
    }

    pub fn spawn(shop: &Shop, mut command: Command, stdout: Stdout, stderr: Stdio) -> Self {
        let notified = Notified::bind(shop.folder.path());
        let reads = matches!(stdout, Stdout::Read);
        command
            .env("NOTIFY_SOCKET", notified.path())
            .stdout(Stdio::piped())
            .stderr(stderr);
        let mut child = command.spawn().unwrap();
        let mut unread = child.stdout.take();
        let stdout = match unread.take_if(|_| reads) {
            Some(pipe) => Gathered::from(pipe),
            None => Gathered::default(),
        };
        let stderr = child.stderr.take().map(Gathered::from).unwrap_or_default();
        Self {
            child,
            notified,
            stdout,
            unread,
            stderr,
        }
    }

    /// Its stderr so far.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.stderr.bytes()).into_owned()
    }

    /// Its stdout so far, if that is read.
    pub fn stdout(&self) -> Vec<u8> {
        self.stdout.bytes()
    }

    /// Its current memory, or 0 where that is unknown.
    pub fn memory_kib(&self) -> u64 {
        self.status("VmRSS:").parse().unwrap_or_default()
    }

    /// Its maximum memory so far, or 0 where that is unknown.
    pub fn peak_memory_kib(&self) -> u64 {
        self.status("VmHWM:").parse().unwrap_or_default()
    }

    /// The first word of a line in the kernel's status of the process; empty where there is none.
    pub fn status(&self, line: &str) -> String {
        let status = std::fs::read_to_string(self.in_proc("status")).unwrap_or_default();
        let line = status.lines().find_map(|said| said.strip_prefix(line));
        let word = line.and_then(|line| line.split_whitespace().next());
        word.unwrap_or_default().to_owned()
    }

    /// Its limits as reported by the kernel.
    pub fn limits(&self) -> String {
        std::fs::read_to_string(self.in_proc("limits")).unwrap_or_default()
    }

    /// Number of open file descriptors, or 0 where that is unknown.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(self.in_proc("fd")).map_or(0, Iterator::count)
    }

    fn in_proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.child.id().unwrap_or_default())
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until stderr contains `words`.
    pub async fn until_said(&self, words: &str) {
        let waiting = async {
            while !self.said().contains(words) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
        assert!(in_time, "{words:?} was not said: {}", self.said());
    }

    /// Starts to read its output.
    pub fn read_on(&mut self) {
        self.stdout = self.unread.take().map(Gathered::from).unwrap_or_default();
    }

    /// Sends a signal by its name, such as `TERM`.
    pub async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().await;
        assert!(sent.unwrap().success());
    }

    /// Kills it, like a crash.
    pub async fn kill(mut self) -> Left {
        self.child.start_kill().unwrap();
        self.ended().await
    }

    /// Stops it like a service manager: it must exit successfully and in time.
    pub async fn stop(self) -> Left {
        self.signal("TERM").await;
        let left = self.ended().await;
        assert_eq!(left.code, Some(0), "{}", left.stderr);
        left
    }

    /// Waits until it ends.
    pub async fn ended(self) -> Left {
        self.ended_within(END_WITHIN).await
    }

    /// The same with another time limit.
    pub async fn ended_within(mut self, time: Duration) -> Left {
        let ended = tokio::time::timeout(time, self.child.wait()).await;
        let Ok(status) = ended else {
            panic!("it did not end in time: {}", self.said());
        };
        // Data in the pipe counts as written, even if it is read late.
        if self.unread.is_some() {
            self.read_on();
        }
        Left {
            code: status.unwrap().code(),
            stdout: self.stdout.whole().await,
            stderr: String::from_utf8_lossy(&self.stderr.whole().await).into_owned(),
        }
    }
}

/// The number of repetitions: from `variable`, for long runs, else `usual`.
pub fn times(variable: &str, usual: usize) -> usize {
    match std::env::var_os(variable) {
        Some(number) => number.to_str().and_then(|n| n.parse().ok()).unwrap(),
        None => usual,
    }
}

/// Reports a test that is skipped because something is missing. In CI it fails.
pub fn is_missing(what: &str) {
    let in_ci = std::env::var_os("CI").is_some();
    assert!(!in_ci, "CI needs {what}");
    eprintln!("skipped: this needs {what}");
}

/// `payrecond run` with the shop's configuration, which is written now.
pub fn command(shop: &Shop) -> Command {
    write_config(shop);
    let mut command = program(shop.folder.path());
    command.arg("run");
    command
}

/// One pass with this key, as a timer runs it.
pub async fn run_once(shop: &Shop, key: &str) {
    let mut command = command(shop);
    command.env("PAYRECOND_API_KEY_DEFAULT", key).arg("--once");
    let ended = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
}

pub fn write_config(shop: &Shop) {
    let file = shop.folder.path().join("payrecond.toml");
    std::fs::write(file, shop.config_text()).unwrap();
}

/// Like `command`, through a shell: `script` should contain `exec "$0" run`.
pub fn by_shell(shop: &Shop, script: &str) -> Command {
    write_config(shop);
    let mut command = apart(Command::new("sh"), shop.folder.path());
    command
        .args(["-c", script])
        .arg(env!("CARGO_BIN_EXE_payrecond"));
    command
}

/// The program without a command.
pub fn program(folder: &Path) -> Command {
    apart(Command::new(env!("CARGO_BIN_EXE_payrecond")), folder)
}

/// Without the machine's environment.
fn apart(mut command: Command, folder: &Path) -> Command {
    command
        .current_dir(folder)
        .env_clear()
        .envs(other_day::environment())
        .env("PAYRECOND_API_KEY_DEFAULT", CANARY)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// A pipe's bytes, read as they arrive.
#[derive(Default)]
struct Gathered {
    bytes: Arc<Mutex<Vec<u8>>>,
    reading: Option<JoinHandle<()>>,
}

impl Gathered {
    fn from(mut pipe: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bytes);
        let reading = tokio::spawn(async move {
            let mut piece = vec![0; 1 << 16];
            while let Ok(read @ 1..) = pipe.read(&mut piece).await {
                kept.lock().unwrap().extend_from_slice(&piece[..read]);
            }
        });
        Self {
            bytes,
            reading: Some(reading),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }

    async fn whole(self) -> Vec<u8> {
        if let Some(reading) = self.reading {
            reading.await.unwrap();
        }
        self.bytes.lock().unwrap().clone()
    }
}
