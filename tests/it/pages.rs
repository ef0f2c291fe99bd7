//! Man pages and shell completions are generated from the command line and kept in the repo for the
//! package: `RENEW=1 cargo test --test it pages::` writes them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap_complete::Shell;
use payrecond::cli;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging");

/// The parts of the main page that the command line does not contain.
const MORE: &str = r#".SH "EXIT STATUS"
.TP
\fB0\fR
done
.TP
\fB1\fR
failed
.TP
\fB2\fR
wrong usage
.TP
\fB3\fR
audit found differences
.TP
\fB78\fR
configuration not usable
.SH FILES
.TP
\fI/etc/payrecond/payrecond.toml\fR
settings that differ from the defaults
.TP
\fI/etc/payrecond/walletpay.key\fR
the API key of the account, readable for root only
.TP
\fI/var/lib/payrecond/payrecond.db\fR
the database, with \fI\-wal\fR and \fI\-shm\fR beside it
.TP
\fI/usr/share/doc/payrecond/\fR
README.md, recipes, every setting with a comment
.SH "SEE ALSO"
.BR systemctl (1),
.BR journalctl (1),
.BR sqlite3 (1)
"#;

/// Every generated file, by its name in `packaging/`.
fn generated() -> BTreeMap<PathBuf, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let (man, completions) = (folder.path().join("man"), folder.path().join("completions"));
    fs::create_dir(&man).unwrap();
    fs::create_dir(&completions).unwrap();
    clap_mangen::generate_to(cli::command().disable_help_subcommand(true), &man).unwrap();
    let page = man.join("payrecond.1");
    let text = fs::read_to_string(&page).unwrap() + MORE;
    fs::write(page, text).unwrap();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let mut command = cli::command();
        clap_complete::generate_to(shell, &mut command, "payrecond", &completions).unwrap();
    }
    files(folder.path())
}

/// The files in the directories `man` and `completions`.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for part in ["man", "completions"] {
        for entry in fs::read_dir(folder.join(part)).into_iter().flatten() {
            let entry = entry.unwrap();
            let name = Path::new(part).join(entry.file_name());
            found.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    found
}

fn renew(pages: &BTreeMap<PathBuf, Vec<u8>>) {
    for old in files(Path::new(FOLDER)).keys() {
        fs::remove_file(Path::new(FOLDER).join(old)).unwrap();
    }
    for (name, text) in pages {
        fs::write(Path::new(FOLDER).join(name), text).unwrap();
    }
}

#[test]
fn man_pages_and_completions_match_the_command_line() {
    let expected = generated();
    if std::env::var_os("RENEW").is_some() {
        renew(&expected);
    }
    let kept = files(Path::new(FOLDER));
    let names = |pages: &BTreeMap<PathBuf, Vec<u8>>| pages.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&kept), names(&expected));
    for (name, text) in expected {
        assert!(
            kept[&name] == text,
            "packaging/{} is not that of the command line: RENEW=1 cargo test --test it pages::",
            name.display()
        );
    }
}
