//! The planted defects of `tests/planted` still match the code; `tests/planted/run` checks that
//! tests catch them.

use std::fs;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Minimum number, over domain, store and feed.
const LEAST: usize = 36;

struct Defect {
    breaks: String,
    file: String,
    tests: Vec<String>,
    worlds: Option<String>,
    survives: Option<String>,
    from: String,
    to: String,
}

impl Defect {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let table = DeTable::parse(&text);
        let table = table.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let table = table.get_ref();
        let known = [
            "breaks", "file", "group", "tests", "worlds", "survives", "from", "to",
        ];
        for key in table.keys() {
            let key = key.get_ref().as_ref();
            assert!(known.contains(&key), "{}: {key}", path.display());
        }
        let word = |key: &str| {
            let value = table.get(key)?.get_ref().as_str()?;
            Some(value.trim_matches('\n').to_owned())
        };
        let must = |key: &str| word(key).unwrap_or_else(|| panic!("{}: {key}", path.display()));
        let tests = table
            .get("tests")
            .and_then(|tests| tests.get_ref().as_array());
        let tests = tests.into_iter().flat_map(|tests| tests.iter());
        let text = |value: &DeValue<'_>| value.as_str().unwrap().to_owned();
        Self {
            breaks: must("breaks"),
            file: must("file"),
            tests: tests.map(|test| text(test.get_ref())).collect(),
            worlds: word("worlds"),
            survives: word("survives"),
            from: must("from"),
            to: must("to"),
        }
    }
}

fn defects() -> Vec<(PathBuf, Defect)> {
    let files = fs::read_dir(Path::new(ROOT).join("tests/planted")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let defects = paths.filter(|path| path.extension().is_some_and(|end| end == "toml"));
    defects
        .map(|path| (path.clone(), Defect::read(&path)))
        .collect()
}

#[test]
fn each_planted_defect_matches_the_code_once() {
    let defects = defects();
    assert!(defects.len() >= LEAST, "{}", defects.len());
    for (path, defect) in defects {
        let name = path.display();
        let text = fs::read_to_string(Path::new(ROOT).join(&defect.file)).unwrap();
        let (from, to) = (defect.from.trim_matches('\n'), defect.to.trim_matches('\n'));
        assert_eq!(
            text.matches(from).count(),
            1,
            "{name}: where its text stands"
        );
        assert_ne!(from, to, "{name}");
        assert!(!defect.breaks.is_empty(), "{name}: says nothing");
        let reason = defect.survives.is_none_or(|reason| reason.len() > 40);
        assert!(reason, "{name}: survives without a reason");
        let shown_by = (defect.tests.is_empty(), defect.worlds.is_none());
        assert!(shown_by.0 != shown_by.1, "{name}: names tests, or worlds");
        for test in defect.tests {
            let module = test.split("::").next().unwrap();
            let file = Path::new(ROOT).join(format!("tests/it/{module}.rs"));
            assert!(file.exists(), "{name}: there is no module {module}");
        }
    }
}
