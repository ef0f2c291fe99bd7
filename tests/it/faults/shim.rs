//! The program with `shim.c` in front of its C library: calls that fail, are slow or are the last
//! ones, a recording of writes, a clock that is set.

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::program::is_missing;
use crate::other_day;

/// The library, built once for all tests; None if it cannot be built.
pub fn library() -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let library = LIBRARY.get_or_init(build).as_deref();
    if library.is_none() {
        is_missing("Linux and a C compiler");
    }
    library
}

fn build() -> Option<PathBuf> {
    if !cfg!(target_os = "linux") || Command::new("cc").arg("--version").output().is_err() {
        return None;
    }
    // Unique to this process: another one may be building it too.
    let name = format!("shim-{}.so", std::process::id());
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/faults/shim.c");
    let built = Command::new("cc")
        .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1"])
        .args(["-shared", "-fPIC", "-pthread", "-o"])
        .args([library.as_os_str(), source.as_ref()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{said}");
    Some(library)
}

/// The affected calls.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// `open`, `write`, `sync`, `truncate`, `rename`, `unlink`, `send` or `recv`.
    pub call: &'static str,
    /// The end of the file's path, `*` for each file of the database, `stdout`, or `socket`.
    pub file: &'static str,
    /// `eio`, `enospc`, `emfile`, `slow`, `hang`, `kill-before`, `kill-half` or `kill-after`.
    pub then: &'static str,
    /// The first affected call, from 1.
    pub nth: u32,
    /// Number of affected calls; 0 = all from then on.
    pub times: u32,
}

/// How long a call affected by `slow` takes; `SHIM_SLOWED` names a file that gets a line for each,
/// with the actual milliseconds.
pub const SLOW_MS: u32 = 50;

impl Rule {
    /// Applies the rule to a command, until the file `healed` exists.
    pub fn onto(self, command: &mut tokio::process::Command, healed: &Path) {
        let Self {
            call,
            file,
            then,
            nth,
            times,
        } = self;
        let rule = format!("{call} {file} {then} {nth} {times} {SLOW_MS}");
        command.env("SHIM_RULE", rule).env("SHIM_HEALED", healed);
        load(command);
    }
}

/// Preloads the library into a command.
pub fn load(command: &mut tokio::process::Command) {
    let library = library().expect("asked for before");
    command.env("LD_PRELOAD", other_day::preload(library));
}

/// The wall clock of the programs that use it; others have that of the tests.
pub struct WallClock {
    path: PathBuf,
    offset: std::fs::File,
}

impl WallClock {
    pub fn new(folder: &Path) -> Self {
        let path = folder.join("clock");
        let offset = std::fs::File::create(&path).unwrap();
        let clock = Self { path, offset };
        clock.set(0);
        clock
    }

    /// Sets it this many seconds ahead of that of the tests.
    pub fn set(&self, seconds: i64) {
        let bytes = (tests_are_ahead_s() + seconds).to_ne_bytes();
        self.offset.write_all_at(&bytes, 0).unwrap();
    }

    pub fn show(&self, command: &mut tokio::process::Command) {
        command.env("SHIM_CLOCK", &self.path);
        load(command);
    }
}

/// How far the clock of the tests themselves was set ahead of the machine's by this library.
fn tests_are_ahead_s() -> i64 {
    let Some(path) = std::env::var_os("SHIM_CLOCK") else {
        return 0;
    };
    let bytes = std::fs::read(path).unwrap();
    i64::from_ne_bytes(bytes.try_into().unwrap())
}
