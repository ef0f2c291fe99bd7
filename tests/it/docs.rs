//! The documentation is tested: each page's commands and snippets run, its tables match the
//! program, and its links are valid, in the repo and in the package. CONTRIBUTING.md explains the
//! marks.

mod links;
pub mod page;
mod scene;
mod tables;

use page::{Mark, Page, README, pages};
use payrecond::config::Config;
use scene::Scene;

use crate::shop::{ask, environment};
use crate::until::eventually;

const PROGRAM: &str = env!("CARGO_BIN_EXE_payrecond");
/// Longer text belongs in docs/.
const README_LINES: usize = 250;
/// Has the commands of README.md, which run there; tests/it/translation.rs compares the two.
const TRANSLATION: &str = "README.ru.md";

#[test]
fn the_readme_is_short() {
    let lines = Page::read(README).text.lines().count();
    assert!(lines <= README_LINES, "{lines} lines");
}

#[test]
fn every_block_of_commands_runs_or_has_a_reason() {
    let mut silent = Vec::new();
    for page in pages() {
        for block in page.blocks() {
            let needs_mark = ["sh", "bash", "python"].contains(&block.language.as_str());
            let is_there = block.mark != Mark::None || page.path == TRANSLATION;
            if needs_mark && !is_there {
                silent.push(format!("{}:{}", page.path, block.line));
            }
        }
    }
    assert!(
        silent.is_empty(),
        "unmarked: {silent:?}; see CONTRIBUTING.md"
    );
}

#[test]
fn every_script_that_a_page_shows_is_the_file_that_it_names() {
    let mut shown = 0;
    for page in pages() {
        for block in page.blocks() {
            if let Mark::File(file) = &block.mark {
                let text = Page::read(file).text;
                assert_eq!(block.text, text, "{}:{}", page.path, block.line);
                shown += 1;
            }
        }
    }
    assert!(shown >= 2, "{shown} scripts found");
}

#[test]
fn every_configuration_on_a_page_is_valid() {
    for page in pages() {
        for block in page.blocks() {
            let place = format!("{}:{}", page.path, block.line);
            match block.language.as_str() {
                "toml" if !page.path.starts_with("CONTRIBUTING") => {
                    let taken = Config::parse(&block.text, &environment());
                    assert!(taken.is_ok(), "{place}: {}", taken.unwrap_err());
                }
                "json" => {
                    let read = serde_json::from_str::<serde_json::Value>(&block.text);
                    assert!(read.is_ok(), "{place}: {read:?}");
                }
                _ => {}
            }
        }
    }
}

#[test]
fn every_command_line_of_a_page_is_valid() {
    let mut seen = 0;
    for page in pages() {
        for line in page.command_lines() {
            let line = line.strip_prefix("sudo ").unwrap_or(&line);
            let Some(rest) = line.strip_prefix("payrecond ") else {
                continue;
            };
            let end = [" >", " |", "  #"]
                .iter()
                .filter_map(|end| rest.find(end))
                .min();
            let rest = &rest[..end.unwrap_or(rest.len())];
            assert_understood(&page.path, rest);
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen} command lines found");
}

/// The shell parses the quotes; help is shown only if the arguments before it are valid.
fn assert_understood(page: &str, arguments: &str) {
    let script = format!("\"$0\" {arguments} --help");
    let output = std::process::Command::new("sh")
        .args(["-c", &script, PROGRAM])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{page}: {arguments}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_set_up_of_the_readme_ends_with_one_credit() {
    let scene = play(README).await;
    let credits = eventually(async || {
        let bank = scene.folder().join("shop.db");
        let count = ask(&bank, "SELECT count(*) FROM credits").await;
        (count == "1").then_some(count)
    });
    assert_eq!(credits.await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_runs_from_its_top_to_its_end() {
    let mut seen = 0;
    for page in pages() {
        let is_run_elsewhere = [README, TRANSLATION].contains(&page.path.as_str());
        if !is_run_elsewhere && page.blocks().iter().any(page::Block::runs) {
            play(&page.path).await;
            seen += 1;
        }
    }
    assert!(seen >= 8, "{seen} pages found");
}

/// Runs a page from top to bottom in its scene.
async fn play(path: &str) -> Scene {
    let page = Page::read(path);
    let mut scene = Scene::open(page.scene()).await;
    for block in page.blocks() {
        if block.runs() {
            scene.run(&page.path, &block).await;
        }
    }
    scene.assert_nothing_failed();
    scene
}
