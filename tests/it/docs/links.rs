//! Links: each link within the repo leads to an existing file, each anchor to a heading, and files
//! of the Debian package link only to files of the package.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::page::{Page, pages, quoted};

const MANIFEST: &str = include_str!("../../../Cargo.toml");
const PACKAGED: &str = "usr/share/doc/payrecond/";

/// A link within the repo.
struct Link {
    /// The file, from the root of the repo.
    file: String,
    anchor: Option<String>,
}

/// The links of a page that lead to other files of the repo or to its own headings.
fn links(page: &Page) -> Vec<Link> {
    let prose = page.prose();
    let targets = prose
        .split("](")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap());
    let inside = targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:"));
    inside
        .map(|target| {
            let (file, anchor) = match target.split_once('#') {
                Some((file, anchor)) => (file, Some(anchor.to_owned())),
                None => (target, None),
            };
            let file = if file.is_empty() {
                page.path.clone()
            } else {
                beside(&page.path, file)
            };
            Link { file, anchor }
        })
        .collect()
}

/// `target` relative to the page at `path`.
fn beside(path: &str, target: &str) -> String {
    let mut folders: Vec<&str> = path.split('/').collect();
    folders.pop();
    for part in target.split('/') {
        match part {
            ".." => assert!(
                folders.pop().is_some(),
                "{path}: {target} leads out of the repo"
            ),
            "." => {}
            part => folders.push(part),
        }
    }
    folders.join("/")
}

/// The anchors that GitHub generates for the headings of a page.
fn anchors(page: &Page) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let prose = page.prose();
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|heading| {
            let slug = slug(heading.trim_start_matches('#').trim());
            let count = seen.entry(slug.clone()).or_default();
            *count += 1;
            if *count == 1 {
                slug
            } else {
                format!("{slug}-{}", *count - 1)
            }
        })
        .collect()
}

fn slug(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c })
        .collect::<String>()
        .to_lowercase()
}

#[test]
fn every_link_is_valid() {
    let mut dead = Vec::new();
    let mut seen = 0;
    for page in pages() {
        for Link { file, anchor } in links(&page) {
            seen += 1;
            let is_there = Path::new(env!("CARGO_MANIFEST_DIR")).join(&file).exists();
            let is_known = anchor
                .is_none_or(|anchor| is_there && anchors(&Page::read(&file)).contains(&anchor));
            if !is_there || !is_known {
                dead.push(format!("{} -> {file}", page.path));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
    assert!(seen > 40, "{seen} links found");
}

/// Source pattern and target of each documentation file in the package.
fn shipped() -> Vec<(&'static str, &'static str)> {
    let assets = MANIFEST.split("\nassets = [\n").nth(1).unwrap();
    assets
        .lines()
        .take_while(|line| *line != "]")
        .filter(|line| line.trim_start().starts_with('['))
        .map(|line| line.split('"').collect::<Vec<_>>())
        .filter_map(|cells| Some((cells[1], cells[3].strip_prefix(PACKAGED)?)))
        .collect()
}

/// Whether the package has `file` below its documentation directory, under the same name.
fn is_shipped(file: &str) -> bool {
    let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
    shipped().iter().any(|(from, to)| {
        let (source, pattern) = from.rsplit_once('/').unwrap_or(("", from));
        let (begin, end) = pattern.split_once('*').unwrap_or((pattern, ""));
        let fits = if pattern.contains('*') {
            name.starts_with(begin) && name.ends_with(end)
        } else {
            name == pattern
        };
        fits && source == folder && to.trim_end_matches('/') == folder
    })
}

#[test]
fn the_package_has_every_page_of_docs_and_every_linked_file() {
    let mut missing = Vec::new();
    for page in pages() {
        if !is_shipped(&page.path) {
            let must_be = page.path.starts_with("docs/") || page.path == "README.md";
            assert!(!must_be, "Cargo.toml leaves out {}", page.path);
            continue;
        }
        let prose = page.prose();
        let named = prose.lines().flat_map(quoted).filter(|name| {
            let folders = ["deploy/", "docs/", "examples/"];
            folders.iter().any(|folder| name.starts_with(folder))
                && !name.contains([' ', '<'])
                && !name.ends_with('/')
        });
        let files = links(&page).into_iter().map(|link| link.file);
        for file in files.chain(named.map(str::to_owned)) {
            if !is_shipped(&file) {
                missing.push(format!("{} -> {file}", page.path));
            }
        }
    }
    assert!(missing.is_empty(), "not in the package: {missing:#?}");
}
