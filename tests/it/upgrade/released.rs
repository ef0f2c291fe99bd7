//! A released migration never changes, because existing databases were created by it.

use std::fs;
use std::path::Path;

use payrecond::store::sqlite::MIGRATIONS;
use sha2::{Digest as _, Sha256};

#[test]
fn a_released_migration_never_changes() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite"));
    let sums = fs::read_to_string(folder.join("released.sha256")).unwrap();
    let mut released = Vec::new();
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        let bytes = fs::read(folder.join(name)).unwrap();
        let is = format!("{:x}", Sha256::digest(&bytes));
        assert_eq!(
            is, sum,
            "{name} was released: put what is to change into a further migration"
        );
        released.push(String::from_utf8(bytes).unwrap());
    }
    assert_eq!(
        released, MIGRATIONS,
        "released.sha256 has a line for each, in their order"
    );
    let names = fs::read_dir(folder).unwrap();
    let files = names.filter(|name| name.as_ref().unwrap().path().extension().unwrap() == "sql");
    assert_eq!(
        files.count(),
        MIGRATIONS.len(),
        "a file that no program runs"
    );
}
