//! Upgrades: the current program opens a database of every released schema, and an upgrade that was
//! killed is completed by the next start.

mod dump;
mod fixtures;
mod killed;
mod marks;
mod released;
mod scene;
mod steps;

use std::path::Path;

use payrecond::domain::time::UnixMillis;
use payrecond::store::sqlite::MIGRATIONS;

use self::dump::Dump;

/// The released migrations, and possible later ones.
fn with_coming_ones() -> Vec<&'static str> {
    let coming = [
        include_str!("upgrade/0003_next.sql"),
        include_str!("upgrade/0004_next.sql"),
    ];
    MIGRATIONS.iter().copied().chain(coming).collect()
}

/// Long after anything in a fixture was written.
const LATER: UnixMillis = UnixMillis(1_900_000_000_000);

/// Creates a database with its side file from a fixture.
async fn lay_out(version: usize, database: &Path) -> Dump {
    let dump = Dump::kept(version);
    dump.load(database).await;
    let side = format!("{}.high-water", database.display());
    std::fs::write(side, fixtures::side_file(version)).unwrap();
    dump
}

async fn is_whole(database: &Path) {
    let mut connection = crate::store::connect(database).await;
    let verdict: String = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(verdict, "ok");
}
