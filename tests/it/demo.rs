//! `payrecond demo`: every provider at once, and its summary is the truth.

use std::process::Stdio;

use payrecond::provider::registry::PROVIDERS;
use payrecond::sandbox::SimulatedProvider;
use tokio::process::Command;

use crate::PATIENCE;
use crate::other_day;

#[tokio::test]
async fn the_demo_ends_well_with_every_provider_and_needs_no_key() {
    let demo = Command::new(env!("CARGO_BIN_EXE_payrecond"))
        .arg("demo")
        .env_clear()
        .envs(other_day::environment())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let done = tokio::time::timeout(PATIENCE, demo).await.unwrap().unwrap();
    let said = String::from_utf8(done.stdout).unwrap();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}{errors}");
    let orders = 10 * PROVIDERS.len();
    let begin = format!(
        "payrecond demo: {orders} orders at {} providers in ",
        PROVIDERS.len()
    );
    assert!(said.contains(&begin), "{said}");
    let end = format!("{orders} of {orders} orders agree in sandbox, database, outbox and feed");
    assert!(said.contains(&end), "{said}");
}

#[test]
fn the_sandbox_plays_every_provider_there_is() {
    let mut registered: Vec<_> = PROVIDERS.iter().map(|kind| kind.name).collect();
    let mut simulated: Vec<_> = SimulatedProvider::ALL
        .iter()
        .map(|one| one.name())
        .collect();
    registered.sort_unstable();
    simulated.sort_unstable();
    assert_eq!(registered, simulated);
}
