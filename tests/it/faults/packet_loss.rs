//! A network that loses packets: the daemon and its provider run in a separate network namespace,
//! whose kernel drops one in five incoming packets. TCP sends them again.

use std::process::Command;

use super::bad_line::only_delays_occur;
use super::program::is_missing;
use crate::shop::Shop;

const RULES: &str = "table ip line { chain arriving {
    type filter hook input priority 0;
    ip protocol tcp numgen random mod 100 < 20 counter drop;
}; }";
/// Set for this test inside the namespace.
const INSIDE: &str = "PAYRECOND_TEST_LOSES_PACKETS";
/// Fewer would mean that nothing was lost: each request takes about ten packets.
const LOST_AT_LEAST: u64 = 50;

#[tokio::test]
async fn a_network_that_loses_a_fifth_only_causes_delays() {
    if std::env::var_os(INSIDE).is_some() {
        assert!(succeeds(&["nft", RULES]));
        only_delays_occur(Shop::open().await).await;
        let lost = lost();
        println!("{lost} packets lost");
        assert!(lost >= LOST_AT_LEAST, "{lost} packets lost");
        return;
    }
    let Some(namespace) = namespace() else {
        return;
    };
    let mut again = command(namespace);
    again
        .args(["sh", "-c", "ip link set lo up && exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("faults::packet_loss::a_network_that_loses_a_fifth_only_causes_delays")
        .env(INSIDE, "1");
    let ended = tokio::task::spawn_blocking(move || again.output());
    let ended = ended.await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}{errors}");
    assert!(said.contains("packets lost"), "it did not run: {said}");
    println!("{said}");
}

/// The command that creates a namespace whose kernel loses packets; None if that is not possible.
fn namespace() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [
        &["unshare", "--net"],
        &["unshare", "--net", "--map-root-user"],
    ];
    let mut tools = [["nft", "--version"], ["ip", "-V"]].iter();
    if !tools.all(|tool| succeeds(tool)) {
        is_missing("nft and ip");
        return None;
    }
    let found = ways
        .into_iter()
        .find(|way| succeeds(&[way, &["nft", RULES][..]].concat()));
    if found.is_none() {
        eprintln!("skipped: this needs the right to make a network namespace");
    }
    found
}

fn lost() -> u64 {
    let listed = command(&["nft", "list", "ruleset"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let mut words = listed.split_whitespace();
    words.find(|&word| word == "packets").unwrap();
    words.next().unwrap().parse().unwrap()
}

fn succeeds(words: &[&str]) -> bool {
    command(words)
        .output()
        .is_ok_and(|done| done.status.success())
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}
