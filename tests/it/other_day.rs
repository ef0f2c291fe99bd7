//! The day on which the tests run. `tests/other-days` sets another one, with a clock that it
//! preloads into the tests; processes started by tests must use the same day.

use std::ffi::OsString;

/// The variables that set a clock: the shim's own, and those of libfaketime.
fn sets_the_clock(name: &str) -> bool {
    name == "LD_PRELOAD" || name == "SHIM_CLOCK" || name.contains("FAKETIME")
}

/// The variables that a program with a clean environment needs to use the clock of its test.
pub fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(sets_the_clock))
}

/// Puts `library`, the shim, before libraries that are already preloaded. Loaded twice, it would
/// set the clock twice.
pub fn preload(library: &std::path::Path) -> OsString {
    let mut libraries = OsString::from(library);
    let is_loaded = std::env::var_os("SHIM_CLOCK").is_some();
    let others = std::env::var_os("LD_PRELOAD").filter(|others| !others.is_empty());
    if let (Some(others), false) = (others, is_loaded) {
        libraries.push(":");
        libraries.push(others);
    }
    libraries
}
