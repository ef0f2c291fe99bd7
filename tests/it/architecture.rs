//! The map of modules: each line may use only lines below it. Checked by parsing the sources.

mod files;

use std::fs;
use std::path::{Path, PathBuf};

use payrecond::provider::registry::PROVIDERS;

/// The map of ARCHITECTURE.md, top to bottom. Modules on one line do not use each other.
const FLOORS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["daemon"],
    &["server"],
    &["config"],
    &["lifecycle", "schedule", "telemetry"],
    &["jobs", "story"],
    &["metrics"],
    &["jetstream", "limit"],
    &["retry"],
    &["feed", "provider", "store"],
    &["sandbox"],
    &["clock"],
    &["words"],
    &["domain"],
];

/// Exceptions from the map, each with its reason.
const ALLOWED: &[(&str, &str, &str)] = &[(
    "telemetry",
    "config",
    "level and format come typed from the configuration",
)];

/// Words that must not occur in `domain`, which is pure.
const IMPURE: &[&str] = &[
    "async fn",
    "tokio::",
    "tracing::",
    "std::fs",
    "std::env",
    "SystemTime",
];

#[test]
fn every_module_uses_only_what_lies_below_it() {
    let mut broken = Vec::new();
    for file in sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))) {
        let module = module_of(&file);
        if module == "lib" {
            continue;
        }
        let floor = floor_of(&module).unwrap_or_else(|| panic!("{module} is not on the map"));
        for used in uses(&production(&file)) {
            let fine = used == module
                || floor_of(&used).is_some_and(|below| below > floor)
                || ALLOWED
                    .iter()
                    .any(|(from, to, _)| *from == module && *to == used);
            if !fine {
                broken.push(format!("{} uses {used}", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Files outside a provider's own folders that may name it, and how many lines of each.
const NAMED_IN: &[(&str, usize)] = &[
    ("provider/mod.rs", 1),
    ("provider/registry.rs", 1),
    ("sandbox/mod.rs", 1),
    ("sandbox/registry.rs", 1),
    // Its operations, and what its documentation leaves open.
    ("sandbox/operation.rs", usize::MAX),
    ("sandbox/variant.rs", usize::MAX),
    // The provider of an account that names none.
    ("config/settings/sections.rs", 1),
];

/// To add a provider, write its folders, register it, and describe it: nothing else knows its name.
#[test]
fn a_provider_is_named_in_its_folders_and_where_it_is_registered() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    let folders: Vec<PathBuf> = PROVIDERS
        .iter()
        .map(|kind| kind.name.replace('-', "_"))
        .flat_map(|name| ["provider", "sandbox"].map(|place| root.join(place).join(&name)))
        .collect();
    assert!(folders.iter().all(|folder| folder.is_dir()), "{folders:?}");
    // The folder of one may name another: YooKassa takes payments from YooMoney's wallets.
    let is_own = |file: &PathBuf| folders.iter().any(|folder| file.starts_with(folder));
    let is_test = |file: &PathBuf| file.ends_with("tests.rs");
    let mut files = sources(root);
    files.retain(|file| !is_own(file) && !is_test(file));
    let mut named = Vec::new();
    for kind in PROVIDERS {
        let plain = kind.name.replace('-', "");
        for file in &files {
            let inside = file
                .strip_prefix(root)
                .unwrap()
                .to_string_lossy()
                .replace('\\', "/");
            let allowed = NAMED_IN.iter().find(|(name, _)| *name == inside);
            let allowed = allowed.map_or(0, |(_, lines)| *lines);
            let is_named = |line: &&str| {
                let line = line.to_lowercase().replace(['-', '_', ' '], "");
                line.contains(&plain)
            };
            let code = production(file);
            let lines: Vec<&str> = code.lines().filter(is_named).collect();
            if lines.len() > allowed {
                named.push(format!("{inside} names {}: {lines:?}", kind.name));
            }
        }
    }
    assert!(named.is_empty(), "{named:#?}");
}

#[test]
fn the_domain_is_pure() {
    for file in sources(Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/domain"
    ))) {
        let text = production(&file);
        for word in IMPURE {
            assert!(!text.contains(word), "{}: {word}", file.display());
        }
    }
}

#[test]
fn only_the_store_has_sql() {
    for file in sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))) {
        if module_of(&file) != "store" {
            let text = production(&file);
            assert!(!text.contains("sqlx::"), "{}", file.display());
        }
    }
}

/// Comments and texts for people may mention SQLite.
#[test]
fn only_the_store_names_a_database() {
    for file in sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))) {
        if module_of(&file) != "store" {
            let text = production(&file);
            for name in ["sqlite", "Sqlite", "Postgres"] {
                assert!(!text.contains(name), "{}: {name}", file.display());
            }
        }
    }
}

/// Public traits use only our own types.
#[test]
fn no_type_of_sql_crosses_a_trait_of_the_store() {
    for file in sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/store"))) {
        let name = file.to_string_lossy();
        if !name.contains("store/sqlite") && !name.contains("store/postgres") {
            let text = production(&file);
            assert!(!text.contains("sqlx"), "{}", file.display());
        }
    }
}

#[test]
fn one_file_knows_the_backoff_crate_and_one_builds_http_clients() {
    for file in sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))) {
        let text = production(&file);
        let name = file.to_string_lossy().replace('\\', "/");
        assert!(
            name.ends_with("src/retry.rs") || !text.contains("backoff::"),
            "{name}"
        );
        assert!(
            name.contains("src/provider/http") || !text.contains("reqwest::"),
            "{name}"
        );
        assert!(
            name.contains("src/jetstream/") || !text.contains("async_nats::"),
            "{name}"
        );
    }
}

#[test]
fn names_in_the_architecture_page_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema = fs::read_dir(root.join("migrations/sqlite")).unwrap();
    let mut files: Vec<PathBuf> = schema.map(|entry| entry.unwrap().path()).collect();
    files.extend(
        ["src", "tests/it"]
            .map(|folder| sources(&root.join(folder)))
            .concat(),
    );
    let code: String = files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let page = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let prose: String = page.split("```").step_by(2).collect();
    let is_name = |name: &&str| {
        name.contains('_') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let names: Vec<&str> = prose
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(is_name)
        .collect();
    assert!(names.len() > 10, "{names:?}");
    let gone: Vec<&&str> = names.iter().filter(|name| !code.contains(**name)).collect();
    assert!(gone.is_empty(), "{gone:?}");
}

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

fn module_of(file: &Path) -> String {
    let inside = file
        .strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))
        .unwrap();
    let first = inside
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The text before a file's tests, without comments.
fn production(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let tests = "#[cfg(test)]\nmod tests";
    let production = text.split(tests).next().unwrap_or_default();
    let code = production
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

/// The top modules that a text names after `crate::` (in the binary: after `payrecond::`).
fn uses(text: &str) -> Vec<String> {
    let mut used = Vec::new();
    for root in ["crate::", "payrecond::"] {
        for rest in text.split(root).skip(1) {
            let inside = rest.strip_prefix('{').unwrap_or(rest);
            let name: String = inside
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if floor_of(&name).is_some() {
                used.push(name);
            }
        }
    }
    used
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    assert!(!files.is_empty());
    files
}
