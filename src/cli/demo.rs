//! `demo`: sandbox, daemon and payers on a temporary database.

use anyhow::bail;

use super::Exit;
use crate::config::Environment;

#[expect(clippy::unused_async, reason = "the demo is not joined yet")]
pub(super) async fn run(environment: Environment) -> anyhow::Result<Exit> {
    let _ = environment;
    bail!("not built yet")
}
