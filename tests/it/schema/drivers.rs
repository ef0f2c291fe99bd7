//! The three drivers: shell, Python, sqlx.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::{Case, Expect, connect};

/// The query's answer, or the message of the refusal.
pub type Outcome = Result<String, String>;

pub enum Driver {
    Shell,
    Python,
    Sqlx,
}

/// Those installed on this machine. CI has all, so a missing one is a failure there.
pub fn all() -> Vec<Driver> {
    let mut drivers = vec![Driver::Sqlx];
    if present("sqlite3", &["--version"]) {
        drivers.push(Driver::Shell);
    }
    if has_python() {
        drivers.push(Driver::Python);
    }
    if drivers.len() < 3 {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI needs sqlite3 and python3"
        );
        eprintln!(
            "sqlite3 or python3 is missing here: only {} of 3 ways in are tried",
            drivers.len()
        );
    }
    drivers
}

fn python() -> OsString {
    std::env::var_os("PAYRECOND_TEST_PYTHON").unwrap_or_else(|| "python3".into())
}

pub fn has_python() -> bool {
    present(python(), &["-c", "import sqlite3"])
}

fn present(program: impl AsRef<OsStr>, arguments: &[&str]) -> bool {
    let quiet = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    quiet.is_ok_and(|status| status.success())
}

impl Driver {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::Python => "python",
            Self::Sqlx => "sqlx",
        }
    }

    pub async fn run(&self, files: &[PathBuf], cases: &[Case]) -> Vec<Outcome> {
        let each = files.iter().zip(cases);
        match self {
            Self::Shell => each.map(|(file, case)| shell(file, case)).collect(),
            Self::Python => {
                let cases = each.map(|(file, case)| as_json(file, case)).collect();
                run_python(include_str!("attack.py"), &Value::Array(cases))
            }
            Self::Sqlx => {
                let mut outcomes = Vec::new();
                for (file, case) in each {
                    outcomes.push(with_sqlx(file, case).await);
                }
                outcomes
            }
        }
    }
}

fn ask(case: &Case) -> &str {
    match case.expect {
        Expect::Refused(_) => "SELECT 'was not refused'",
        Expect::Gives(ask, _) => ask,
    }
}

fn as_json(file: &std::path::Path, case: &Case) -> Value {
    json!({"file": file, "before": case.before, "sql": case.sql, "ask": ask(case)})
}

/// Runs the script on `cases`; its outcomes come back as JSON.
pub fn run_python(script: &str, cases: &Value) -> Vec<Outcome> {
    let outcomes = python_says(script, cases);
    let outcomes = outcomes.as_array().unwrap();
    outcomes
        .iter()
        .map(|outcome| match outcome["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(outcome["given"].as_str().unwrap_or_default().to_owned()),
        })
        .collect()
}

/// Runs a script on `input`; returns its answer as JSON.
pub fn python_says(script: &str, input: &Value) -> Value {
    let mut command = Command::new(python());
    let output = feed(command.args(["-c", script]), &input.to_string());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn shell(file: &std::path::Path, case: &Case) -> Outcome {
    let script = format!(
        "{};\n.output /dev/null\n{};\n.output\n{};\n",
        case.before,
        case.sql,
        ask(case)
    );
    let mut command = Command::new("sqlite3");
    let output = feed(command.args(["-batch", "-bail"]).arg(file), &script);
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn feed(command: &mut Command, input: &str) -> std::process::Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that stops early because of an error closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

async fn with_sqlx(file: &std::path::Path, case: &Case) -> Outcome {
    let mut connection = connect(file).await;
    sqlx::raw_sql(AssertSqlSafe(case.before.clone()))
        .execute(&mut connection)
        .await
        .unwrap();
    let outcome = sqlx::query(AssertSqlSafe(case.sql.clone()))
        .fetch_all(&mut connection)
        .await;
    let given = match outcome {
        Ok(_) => {
            let sql = format!("SELECT CAST(({}) AS TEXT)", ask(case));
            let row = sqlx::query(AssertSqlSafe(sql))
                .fetch_one(&mut connection)
                .await
                .unwrap();
            Ok(row.get::<Option<String>, _>(0).unwrap_or_default())
        }
        Err(error) => Err(error.to_string()),
    };
    connection.close().await.unwrap();
    given
}
