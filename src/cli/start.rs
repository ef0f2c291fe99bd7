//! The start of the program: arguments in, exit code out. It is here and not in `main`, so that the
//! futures of all commands are compiled only once, with the library.

use std::process::{self, ExitCode};
use std::{io, panic};

use tokio::runtime::{Builder, Runtime};

use super::exit::{Exit, complain};
use super::{parse, run};
use crate::config::Environment;

/// Runs the program with the arguments and the environment of the process.
pub fn start() -> ExitCode {
    let arguments = match parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(exit) => return exit.into(),
    };
    let exit = match start_runtime() {
        Ok(runtime) => {
            let exit = runtime.block_on(run(arguments, Environment::from_process()));
            // A thread blocked on a stdout that is not read must not delay the exit.
            runtime.shutdown_background();
            exit
        }
        Err(error) => {
            complain(&format!("runtime could not start: {error}"));
            Exit::Failed
        }
    };
    exit.into()
}

/// If a thread cannot be started (out of memory, too many tasks), the library panics, and unwinding
/// would wait forever for the threads already started: the process exits instead.
fn start_runtime() -> io::Result<Runtime> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|what| {
        complain(&format!("runtime could not start: {what}"));
        process::exit(1);
    }));
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    panic::set_hook(hook);
    runtime
}
