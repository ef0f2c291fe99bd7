//! Programs under measurement: how long they ran, what they used, as the kernel counts it.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::time::sleep;

/// Ticks a second in `/proc/PID/stat`: a constant of the kernel's interface.
const TICKS_PER_SECOND: u64 = 100;
/// A program's end is noticed this late at most.
const GLANCE: Duration = Duration::from_millis(2);

/// What a program used from its start to its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    pub wall: Duration,
    /// User and system time.
    pub cpu: Duration,
    pub peak_kib: u64,
}

/// A running program; killed when dropped.
pub struct Process {
    pub child: Child,
    began: Instant,
}

impl Process {
    pub fn spawn(command: &mut Command) -> Result<Self> {
        let began = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("{} does not start", command.get_program().display()))?;
        Ok(Self { child, began })
    }

    /// Waits for its end by itself, which must be a success.
    pub async fn finish(mut self) -> Result<Used> {
        let mut peak_kib = 0;
        while !self.has_ended()? {
            peak_kib = self.memory_kib("VmHWM").max(peak_kib);
            sleep(GLANCE).await;
        }
        // Ended and not yet waited for: the kernel still tells what it used.
        let used = Used {
            wall: self.began.elapsed(),
            cpu: self.cpu()?,
            peak_kib,
        };
        let status = self.child.wait()?;
        if !status.success() {
            bail!("a program under measurement ended with {status}");
        }
        Ok(used)
    }

    /// Asks it to end, and waits.
    pub async fn stop(mut self) -> Result<()> {
        let id = self.child.id().to_string();
        Command::new("kill").arg(id).status()?;
        while !self.has_ended()? {
            sleep(GLANCE).await;
        }
        self.child.wait()?;
        Ok(())
    }

    /// User and system time so far, in steps of 10 ms each.
    pub fn cpu(&self) -> Result<Duration> {
        let stat = self.stat()?;
        let ticks = |place: usize| -> Result<u64> { Ok(field(&stat, place)?.parse()?) };
        let total = ticks(11)? + ticks(12)?;
        Ok(Duration::from_millis(total * 1000 / TICKS_PER_SECOND))
    }

    /// Time on a processor so far, of the threads that live now, to the nanosecond.
    pub fn fine_cpu(&self) -> Result<Duration> {
        let mut total = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread may end in between.
            let told = fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
            let nanos = told.split(' ').next().and_then(|word| word.parse().ok());
            total += nanos.unwrap_or(0);
        }
        Ok(Duration::from_nanos(total))
    }

    /// A line of `/proc/PID/status`; 0 when it has ended.
    pub fn memory_kib(&self, name: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
            .unwrap_or(0)
    }

    fn has_ended(&self) -> Result<bool> {
        Ok(field(&self.stat()?, 0)? == "Z")
    }

    /// `/proc/PID/stat` after the name.
    fn stat(&self) -> Result<String> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, rest) = stat.rsplit_once(") ").context("an odd /proc/PID/stat")?;
        Ok(rest.to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn field(stat: &str, place: usize) -> Result<&str> {
    stat.split(' ').nth(place).context("an odd /proc/PID/stat")
}

/// A command that says nothing.
pub fn quiet(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit());
    command
}
