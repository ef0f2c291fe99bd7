//! payrecond: the program. Arguments in, exit code out; all else is the library's.

use std::process::ExitCode;

use payrecond::cli::{self, Exit};
use payrecond::config::Environment;

/// Half of what is allocated here is freed on another thread.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let arguments = match cli::parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(exit) => return exit.into(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let exit = match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(cli::run(arguments, Environment::from_process()));
            // A thread that is blocked on a stdout nobody reads must not hold the end up.
            runtime.shutdown_background();
            exit
        }
        Err(error) => {
            cli::complain(&format!("the runtime does not start: {error}"));
            Exit::Failed
        }
    };
    exit.into()
}
