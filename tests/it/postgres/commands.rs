//! Commands of the binary on a server that no other test runs.
