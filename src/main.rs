//! payrecond: the program. All but its allocator is the library's.

use std::process::ExitCode;

/// Half of what is allocated here is freed on another thread.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    payrecond::cli::start()
}
