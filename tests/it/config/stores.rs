//! Two accounts for the same store cause a warning, not an error.

use std::path::Path;

use payrecond::config::{Config, shared_stores};

use super::env;

const ONE: (&str, &str) = ("PAYRECOND_API_KEY_ONE", "secret-of-one");

/// Two accounts, each with additional lines after its name.
fn warnings(one: &str, two: &str, pairs: &[(&str, &str)]) -> Vec<String> {
    let text = format!("[[account]]\nname = 'one'\n{one}\n[[account]]\nname = 'two'\n{two}\n");
    let environment = env(pairs);
    shared_stores(&Config::parse(&text, &environment).unwrap(), &environment)
}

fn key_at(path: &Path) -> String {
    format!("api_key_file = '{}'", path.display())
}

#[test]
fn accounts_with_one_key_file_cause_a_warning_without_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("a.key"), folder.path().join("b.key"));
    std::fs::write(&file, "secret-of-one").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let (a, b) = (key_at(&file), key_at(&link));
    for shown in [warnings(&a, &a, &[]), warnings(&a, &b, &[])] {
        let [words] = shown.as_slice() else {
            panic!("{shown:?}");
        };
        for part in ["\"one\" and \"two\"", "/a.key", "PAYRECOND_API_KEY_TWO"] {
            assert!(words.contains(part), "{part}: {words}");
        }
        assert!(!words.contains("secret"), "{words}");
    }
}

#[test]
fn accounts_with_separate_keys_or_addresses_cause_no_warning() {
    let folder = tempfile::tempdir().unwrap();
    let (file, other) = (folder.path().join("a.key"), folder.path().join("b.key"));
    for path in [&file, &other] {
        std::fs::write(path, "secret").unwrap();
    }
    let (a, b) = (key_at(&file), key_at(&other));
    let elsewhere = format!("{a}\nbase_url = 'http://127.0.0.1:8181'");
    let off = format!("{a}\nenabled = false");
    let missing = key_at(&folder.path().join("missing.key"));
    for (one, two, pairs) in [
        (&a, &b, &[][..]),
        (&a, &elsewhere, &[]),
        (&a, &off, &[]),
        (&a, &a, &[ONE]),
        (&missing, &missing, &[]),
    ] {
        let shown = warnings(one, two, pairs);
        assert_eq!(shown, Vec::<String>::new(), "{one}\n{two}");
    }
}
