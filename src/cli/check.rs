//! `check`: verifies configuration, database, clock, and each account's key.

use anyhow::bail;

use super::Exit;
use super::session::Session;

#[expect(clippy::unused_async, reason = "the checks are not joined yet")]
pub(super) async fn run(session: Session, json: bool) -> anyhow::Result<Exit> {
    let _ = (session, json);
    bail!("not built yet")
}
