//! payrecond
fn main() {}
