//! Ports for servers that are told theirs before they start.

use std::net::TcpListener;
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that Linux gives to outgoing connections and to listeners on port 0 (from 32768): a port that
/// was free a moment ago stays free there, also while its server is down.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port on loopback that nobody listens on, and that this process gives out once.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    // Test processes side by side begin at different places.
    let begin = process::id().wrapping_mul(97) % u32::from(COUNT);
    let begin = u16::try_from(begin).unwrap();
    loop {
        let given = GIVEN.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (begin + given % COUNT) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
