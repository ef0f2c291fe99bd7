//! payrecond: the program. Everything except its allocator is in the library.

use std::process::ExitCode;

/// Chosen because half of all allocations are freed on another thread.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    payrecond::cli::start()
}
