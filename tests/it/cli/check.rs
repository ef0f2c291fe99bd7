//! What `check` and the start of `run` tell of a configuration that works and can hardly be meant.

use payrecond::sandbox::{Sandbox, SandboxOptions};

use super::Shop;

#[tokio::test(flavor = "multi_thread")]
async fn two_accounts_with_one_key_file_are_warned_of_and_fail_nothing() {
    let sandbox = Sandbox::start(SandboxOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        ..SandboxOptions::default()
    })
    .await
    .unwrap();
    let shop = Shop::new();
    std::fs::write(shop.folder.path().join("the.key"), "canary-key").unwrap();
    let account = |name: &str| {
        let url = sandbox.url();
        format!("[[account]]\nname = '{name}'\nbase_url = '{url}'\napi_key_file = 'the.key'\n")
    };
    shop.configure(&account("one"));
    let alone = shop.run(&["check"]);
    assert_eq!(alone.code, 0, "{}", alone.stdout);
    assert!(!alone.stdout.contains("WARN"), "{}", alone.stdout);

    shop.configure(&(account("one") + &account("two")));
    let said = shop.run(&["check"]);
    assert_eq!(said.code, 0, "{}", said.stdout);
    let warns = |line: &&str| line.starts_with("WARN  ") && line.contains("\"one\" and \"two\"");
    assert_eq!(
        said.stdout.lines().filter(warns).count(),
        1,
        "{}",
        said.stdout
    );

    let report = shop.run(&["check", "--json"]).json();
    let warnings = report.as_array().unwrap().iter();
    let warnings = warnings.filter(|check| check["warning"] == true && check["ok"] == true);
    assert_eq!(warnings.count(), 1, "{report}");

    let log = shop.run(&["run", "--once"]).stderr;
    let warns = |line: &&str| line.contains("WARN") && line.contains("the.key");
    assert_eq!(log.lines().filter(warns).count(), 1, "{log}");
    assert!(!log.contains("canary"), "{log}");
}
