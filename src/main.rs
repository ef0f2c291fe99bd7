//! The payrecond program: arguments in, exit code out. The library does everything else.

use std::process::{self, ExitCode};
use std::{io, panic};

use payrecond::cli::{self, Exit};
use payrecond::config::Environment;
use tokio::runtime::{Builder, Runtime};

/// Half of what is allocated here is freed on another thread.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let arguments = match cli::parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(exit) => return exit.into(),
    };
    let exit = match start_runtime() {
        Ok(runtime) => {
            let exit = runtime.block_on(cli::run(arguments, Environment::from_process()));
            // A thread blocked on a stdout that nobody reads must not delay the exit.
            runtime.shutdown_background();
            exit
        }
        Err(error) => {
            cli::complain(&format!("runtime could not start: {error}"));
            Exit::Failed
        }
    };
    exit.into()
}

/// A thread that cannot be started (out of memory, too many tasks) makes the library panic, and
/// unwinding would wait for ever for the threads started before: the process exits instead.
fn start_runtime() -> io::Result<Runtime> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|what| {
        cli::complain(&format!("runtime could not start: {what}"));
        process::exit(1);
    }));
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    panic::set_hook(hook);
    runtime
}
