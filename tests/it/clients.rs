//! The simulators with real clients of the providers, which only get another base URL: scripts in
//! `tests/clients` use packages of a Python on this machine. If a package is missing, its test
//! reports it and is skipped.

use std::io::Write as _;
use std::process::Stdio;

use payrecond::sandbox::{Sandbox, SandboxOptions};
use tokio::process::Command;

/// The exit status of a script whose package is missing.
const MISSING: i32 = 77;

async fn works(script: &str) {
    let options = SandboxOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        ..SandboxOptions::default()
    };
    let sandbox = Sandbox::start(options).await.unwrap();
    let path = format!("{}/tests/clients/{script}", env!("CARGO_MANIFEST_DIR"));
    let run = Command::new("python3")
        .arg(path)
        .arg(sandbox.url())
        .env("NO_PROXY", "127.0.0.1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = match tokio::time::timeout(crate::PATIENCE, run).await.unwrap() {
        Ok(ended) => ended,
        Err(error) => return skipped(&format!("python3 ({error})")),
    };
    if ended.status.code() == Some(MISSING) {
        return skipped(&format!("package for {script}"));
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{script}: {said}");
}

/// Reports a skipped test even though it passes, so not by a macro whose output tests capture.
fn skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: no {what} here");
}

#[tokio::test]
async fn aiocryptopay_works_with_the_simulated_crypto_pay() {
    works("crypto_pay_aiocryptopay.py").await;
}

#[tokio::test]
async fn aiosend_works_with_the_simulated_crypto_pay() {
    works("crypto_pay_aiosend.py").await;
}

#[tokio::test]
async fn the_providers_package_works_with_the_simulated_yookassa() {
    works("yookassa_sdk.py").await;
}

#[tokio::test]
async fn telegram_wallet_pay_works_with_the_simulated_wallet_pay() {
    works("walletpay_package.py").await;
}

#[tokio::test]
async fn aiogram_works_with_the_simulated_bot_api() {
    works("telegram_stars_aiogram.py").await;
}

#[tokio::test]
async fn telebot_works_with_the_simulated_bot_api() {
    works("telegram_stars_telebot.py").await;
}

#[tokio::test]
async fn the_package_yoomoney_works_with_the_simulated_wallet() {
    works("yoomoney_package.py").await;
}
