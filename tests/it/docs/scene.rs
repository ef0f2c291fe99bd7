//! Where the commands of a page run: a separate directory, free ports, and the built program as
//! `payrecond`.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use tokio::process::{Child, Command};

use super::PROGRAM;
use super::page::{Block, Mark, Setting};
use crate::free_port::free_port;
use crate::other_day;
use crate::shop::Shop;
use crate::until::eventually;

/// The addresses in the documentation: the sandbox's and the server's.
const SANDBOX: &str = "127.0.0.1:8181";
const SERVER: &str = "127.0.0.1:9464";
const BOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/bot.py");

pub struct Scene {
    folder: PathBuf,
    _empty: Option<tempfile::TempDir>,
    _shop: Option<Shop>,
    sandbox: String,
    server: String,
    /// Background programs, with the line of their block.
    background: Vec<(usize, Child)>,
}

impl Scene {
    pub async fn open(setting: Setting) -> Self {
        let server = free_address();
        let mut scene = match setting {
            Setting::Empty | Setting::Database => {
                let folder = tempfile::tempdir().unwrap();
                Self {
                    folder: folder.path().to_owned(),
                    _empty: Some(folder),
                    _shop: None,
                    sandbox: free_address(),
                    server,
                    background: Vec::new(),
                }
            }
            Setting::Sandbox => Self::with_shop(Shop::as_shipped().await, server),
        };
        scene.furnish(setting).await;
        scene
    }

    fn with_shop(shop: Shop, server: String) -> Self {
        let settings = format!(
            "{}[feed]\nstdout = \"off\"\n[server]\nlisten = {server:?}\n",
            shop.config_text()
        );
        std::fs::write(shop.folder.path().join("payrecond.toml"), settings).unwrap();
        Self {
            folder: shop.folder.path().to_owned(),
            sandbox: shop.base_url.trim_start_matches("http://").to_owned(),
            server,
            _empty: None,
            _shop: Some(shop),
            background: Vec::new(),
        }
    }

    /// Sets up the program, the files that the README has the reader copy, and the page's initial
    /// state.
    async fn furnish(&mut self, setting: Setting) {
        let programs = self.folder.join("bin");
        std::fs::create_dir(&programs).unwrap();
        symlink(PROGRAM, programs.join("payrecond")).unwrap();
        std::fs::copy(BOT, self.folder.join("bot.py")).unwrap();
        match setting {
            Setting::Empty => {}
            Setting::Database => {
                // Prevents the tests from reading a configuration at the default paths.
                std::fs::write(self.folder.join("payrecond.toml"), "").unwrap();
                let done = self.shell("payrecond migrate").output().await.unwrap();
                assert!(done.status.success(), "{done:?}");
            }
            Setting::Sandbox => {
                let daemon = self.shell("exec payrecond run").spawn().unwrap();
                self.background.push((0, daemon));
            }
        }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs one block according to its mark.
    pub async fn run(&mut self, page: &str, block: &Block) {
        let place = format!("{page}:{}", block.line);
        match &block.mark {
            Mark::Background => {
                let child = self.shell(&block.text).spawn().unwrap();
                self.background.push((block.line, child));
            }
            Mark::UntilItSucceeds => {
                eventually(async || self.outcome(block).await.ok()).await;
            }
            Mark::UntilItShows(text) => {
                let shown = async || self.outcome(block).await.ok()?.contains(text).then_some(());
                eventually(shown).await;
            }
            Mark::None | Mark::Run => {
                let outcome = self.outcome(block).await;
                assert!(outcome.is_ok(), "{place}: {}", outcome.unwrap_err());
            }
            Mark::NotRun | Mark::File(_) => {}
        }
    }

    /// The output of a block, or why it failed.
    async fn outcome(&self, block: &Block) -> Result<String, String> {
        if block.language == "sql" {
            return self.sql(&block.text).await.map(|()| String::new());
        }
        let output = self.shell(&block.text).output().await.unwrap();
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// The statements of a block, on one connection.
    async fn sql(&self, statements: &str) -> Result<(), String> {
        let options = SqliteConnectOptions::new().filename(self.folder.join("payrecond.db"));
        let told = |error: sqlx::Error| error.to_string();
        let mut connection = SqliteConnection::connect_with(&options)
            .await
            .map_err(told)?;
        let done = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))
            .execute(&mut connection)
            .await;
        connection.close().await.map_err(told)?;
        done.map(|_| ()).map_err(told)
    }

    /// A bash script in which each command must succeed.
    fn shell(&self, script: &str) -> Command {
        let listen = format!("payrecond sandbox --listen {}", self.sandbox);
        let script = script
            .replace("payrecond sandbox", &listen)
            .replace(SANDBOX, &self.sandbox)
            .replace(SERVER, &self.server);
        let mut path = self.folder.join("bin").into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", &script])
            .current_dir(&self.folder)
            .env_clear()
            .envs(other_day::environment())
            .env("PATH", path)
            .env("HOME", &self.folder)
            .env("PAYRECOND_API_KEY_DEFAULT", "anything")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    /// Asserts that background programs still run, or have succeeded.
    pub fn assert_nothing_failed(&mut self) {
        for (line, child) in &mut self.background {
            let ended = child.try_wait().unwrap();
            assert!(
                ended.is_none_or(|status| status.success()),
                "the block of line {line} ended with {ended:?}"
            );
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for (_, child) in &self.background {
            let group = child.id().and_then(|id| i32::try_from(id).ok());
            if let Some(group) = group.and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
        }
    }
}

fn free_address() -> String {
    format!("127.0.0.1:{}", free_port())
}
