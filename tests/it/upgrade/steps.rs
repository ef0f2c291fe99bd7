//! The upgrade mechanism, tested with versions that do not exist yet.

use std::path::Path;

use payrecond::store::StoreError;
use payrecond::store::sqlite::{MIGRATIONS, migrate, migrate_by};

use super::dump::{Dump, ask};
use super::{LATER, is_whole, lay_out, scene, with_coming_ones};
use crate::store::connect;

/// The newest fixture, at the version before the coming ones.
async fn at_the_newest(database: &Path) -> Dump {
    lay_out(MIGRATIONS.len(), database).await;
    Dump::of(database).await
}

#[tokio::test]
async fn later_versions_change_only_what_they_declare() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    at_the_newest(&path).await;
    let coming = with_coming_ones();
    let migrated = migrate_by(&path, &coming, LATER).await.unwrap();
    assert_eq!(
        (migrated.from_version, migrated.version, migrated.put_back),
        (MIGRATIONS.len(), coming.len(), false)
    );
    let mut connection = connect(&path).await;
    scene::is_complete(&mut connection, MIGRATIONS.len()).await;
    let regions =
        "SELECT group_concat(DISTINCT region) FROM (SELECT region FROM invoices ORDER BY region)";
    assert_eq!(ask(&mut connection, regions).await, ["ELSEWHERE,US"]);
    let undated = "SELECT count(*) FROM findings WHERE said_on NOT LIKE '20__-__-__'";
    assert_eq!(ask(&mut connection, undated).await, ["0"]);
    is_whole(&path).await;
    let again = migrate_by(&path, &coming, LATER).await.unwrap();
    assert_eq!(again.from_version, coming.len());
    let error = migrate(&path, LATER).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Unusable(why) if why.contains("newer")),
        "{error}"
    );
}

#[tokio::test]
async fn a_failed_migration_leaves_the_previous_version() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    at_the_newest(&path).await;
    let mut failing = with_coming_ones();
    let sound = failing.len() - 1;
    migrate_by(&path, &failing[..sound], LATER).await.unwrap();
    let before = Dump::of(&path).await;
    failing[sound] =
        "DELETE FROM told; DROP VIEW outbox_unread; UPDATE invoices SET status = 'paid';";
    let error = migrate_by(&path, &failing, LATER).await.unwrap_err();
    assert!(error.to_string().contains("invoices: "), "{error}");
    assert_eq!(Dump::of(&path).await, before);
    let coming = with_coming_ones();
    let mended = migrate_by(&path, &coming, LATER).await.unwrap();
    assert_eq!((mended.from_version, mended.version), (sound, sound + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_upgrades_run_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    at_the_newest(&path).await;
    let upgrade = || {
        let path = path.clone();
        tokio::spawn(async move { migrate_by(&path, &with_coming_ones(), LATER).await })
    };
    let both = [upgrade(), upgrade(), upgrade(), upgrade()];
    for one in both {
        assert_eq!(
            one.await.unwrap().unwrap().version,
            with_coming_ones().len()
        );
    }
    scene::is_complete(&mut connect(&path).await, MIGRATIONS.len()).await;
}
