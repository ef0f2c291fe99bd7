//! The Debian package brings every recipe, under the same names: its README tells how to run them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::EXAMPLES;

const MANIFEST: &str = include_str!("../../../Cargo.toml");
const TARGET: &str = "usr/share/doc/payrecond/examples/";

/// The files below `folder`, as `go/main.go`. What Python or an editor leaves behind is none.
fn files(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with(['_', '.']) {
            continue;
        }
        let path = format!("{prefix}{name}");
        if entry.file_type().unwrap().is_dir() {
            files(&entry.path(), &format!("{path}/"), found);
        } else {
            found.insert(path);
        }
    }
}

/// Source and target of each line that takes files from `examples/`, both as below that folder.
fn assets() -> Vec<(&'static str, &'static str)> {
    let lines = MANIFEST
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("[\"examples/"));
    lines
        .map(|line| {
            let mut parts = line.split('"');
            let source = parts.next().unwrap();
            let target = parts.nth(1).unwrap();
            (source, target.strip_prefix(TARGET).unwrap())
        })
        .collect()
}

/// Whether a pattern with one `*` at most, within its folder, means the file.
fn means(pattern: &str, file: &str) -> bool {
    let Some((start, end)) = pattern.split_once('*') else {
        return pattern == file;
    };
    let middle = file
        .strip_prefix(start)
        .and_then(|rest| rest.strip_suffix(end));
    middle.is_some_and(|middle| !middle.contains('/'))
}

#[test]
fn the_package_brings_every_recipe_in_its_own_folder() {
    let mut all = BTreeSet::new();
    files(Path::new(EXAMPLES), "", &mut all);
    assert!(all.contains("shop/payments.py"), "{all:?}");
    let assets = assets();
    for file in all {
        let folder = file.rfind('/').map_or("", |position| &file[..=position]);
        let brought = assets
            .iter()
            .any(|(source, target)| means(source, &file) && *target == folder);
        assert!(brought, "Cargo.toml leaves out examples/{file}");
    }
}
