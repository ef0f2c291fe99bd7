//! Configuration: accepted values, messages about refused ones, and where keys come from.

mod generated;
mod stores;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use payrecond::config::{
    ApiKey, Config, ConfigError, Environment, Listen, StdoutFeed, Strategy, api_key, duration,
    load, load_with, nats_credential,
};
use payrecond::provider::walletpay;
use proptest::prelude::*;

const EXAMPLE: &str = include_str!("../../config.example.toml");

fn env(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().copied().collect()
}

fn builtin() -> Config {
    Config::parse("", &Environment::default()).unwrap()
}

fn refusal(text: &str, pairs: &[(&str, &str)]) -> String {
    match Config::parse(text, &env(pairs)) {
        Ok(_) => panic!("accepted: {text} {pairs:?}"),
        Err(error) => error.to_string(),
    }
}

fn assert_holds(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is missing in: {message}");
    }
}

#[test]
fn the_example_is_the_default() {
    let example = Config::parse(EXAMPLE, &Environment::default()).unwrap();
    assert_eq!(example, builtin());
}

#[test]
fn the_defaults_match_the_contract() {
    let config = builtin();
    assert_eq!(config.database.path, Path::new("payrecond.db"));
    let [account] = config.accounts.as_slice() else {
        panic!("one account")
    };
    assert_eq!(account.name, "default");
    assert_eq!(account.provider, &walletpay::KIND);
    assert_eq!(account.base_url.as_str(), "https://pay.wallet.tg/");
    assert_eq!(
        account.api_key_file,
        Path::new("/etc/payrecond/walletpay.key")
    );
    assert!((account.requests_per_second - 5.0).abs() < f64::EPSILON);
    assert_eq!((account.burst, account.max_in_flight), (10, 16));
    assert_eq!(account.strategy, Strategy::Auto);
    assert_eq!(account.list_bytes_per_second, 131_072);
    assert!(account.enabled);
    let polling = &config.polling;
    assert_eq!(polling.min_interval, Duration::from_secs(3));
    assert_eq!(polling.max_interval, Duration::from_mins(10));
    assert_eq!(polling.intake_interval, Duration::from_millis(500));
    assert_eq!(
        polling
            .checks_after_expiry
            .iter()
            .map(Duration::as_secs)
            .collect::<Vec<_>>(),
        [1, 30, 120, 600, 3600, 86400]
    );
    assert_eq!(config.http.max_response_bytes, 33_554_432);
    assert_eq!(config.feed.stdout, StdoutFeed::Nats);
    assert_eq!(config.jobs.audit.as_deref(), Some("0 15 3 * * *"));
    assert_eq!(config.retention.outbox, Some(Duration::from_hours(720)));
    assert_eq!(config.retention.invoices, None);
    let days = |days: u64| Some(Duration::from_hours(24 * days));
    assert_eq!(config.retention.transactions, days(400));
    assert_eq!(polling.deadline_grace, Duration::from_mins(2));
    assert!(!account.accept_test_payments);
    assert_eq!(config.server.listen, None);
    assert_eq!(config.nats, None);
}

/// One invalid text each, with the required parts of its message: path, value, expectation.
#[rustfmt::skip] // one mistake, one line
const MISTAKES: &[(&str, &[&str])] = &[
    ("[polling]\nage_facter = 0.2", &["polling.age_facter = 0.2", "did you mean age_factor?", "keys of polling: age_factor, "]),
    ("[polling]\nzzz = 1", &["polling.zzz = 1", "unknown key", "jitter, max_interval"]),
    ("min_interval = '3s'", &["min_interval = \"3s\"", "did you mean polling.min_interval?"]),
    ("[poling]\njitter = 0.1", &["poling", "did you mean polling?", "database, feed, http"]),
    ("[[accounts]]\nname = 'a'", &["accounts", "did you mean account?"]),
    ("[account]\nname = 'a'", &["account = a table", "[[account]]"]),
    ("account = []", &["account = []", "1 to 1000"]),
    ("account = ['a']", &["account[0] = \"a\"", "a table"]),
    ("polling = 5", &["polling = 5", "[polling]"]),
    ("[[account]]\nbase_ur = 'https://x.example'", &["account[0].base_ur", "https://x.example", "did you mean base_url?"]),
    ("[polling]\nage_factor = '0.1'", &["polling.age_factor = \"0.1\"", "a number from 0 to 10"]),
    ("[polling]\nage_factor = 10.5", &["polling.age_factor = 10.5", "a number from 0 to 10", "line 2"]),
    ("[polling]\nage_factor = -1", &["polling.age_factor = -1", "a number from 0 to 10"]),
    ("[polling]\nage_factor = nan", &["polling.age_factor = NaN", "a number from 0 to 10"]),
    ("[polling]\nage_factor = 1e999", &["polling.age_factor = inf", "a number from 0 to 10"]),
    ("[polling]\njitter = 0.6", &["polling.jitter = 0.6", "a number from 0 to 0.5"]),
    ("[polling]\nmin_interval = 3", &["polling.min_interval = 3", "\"100ms\" to \"1h\""]),
    ("[polling]\nmin_interval = '3 parsecs'", &["polling.min_interval = \"3 parsecs\"", "expected a duration such as \"3s\"", "units: ms, s, m, h, d"]),
    ("[polling]\nmin_interval = '1M'", &["polling.min_interval = \"1M\"", "a duration"]),
    ("[polling]\nmin_interval = '99ms'", &["polling.min_interval = \"99ms\"", "\"100ms\""]),
    ("[polling]\nmin_interval = '2h'", &["polling.min_interval = \"2h\"", "\"1h\""]),
    ("[polling]\nmin_interval = '1h'\nmax_interval = '59m'", &["polling.max_interval = \"59m\"", "from \"1h\" (polling.min_interval) to \"10d\""]),
    ("[polling]\nmax_interval = '11d'", &["polling.max_interval = \"11d\"", "\"10d\""]),
    ("[polling]\nintake_interval = '49ms'", &["polling.intake_interval = \"49ms\"", "\"50ms\" to \"1m\""]),
    ("[polling]\nchecks_after_expiry = ['1s', 'soon']", &["polling.checks_after_expiry = [\"1s\", \"soon\"]", "a list"]),
    ("[polling]\nchecks_after_expiry = '1s'", &["polling.checks_after_expiry = \"1s\"", "a list"]),
    ("[polling]\nnot_found_grace = 1979-05-27", &["polling.not_found_grace", "1979-05-27", "a duration"]),
    ("[http]\nconnect_timeout = '6m'", &["http.connect_timeout = \"6m\"", "\"100ms\" to \"5m\""]),
    ("[http]\nrequest_timeout = '0s'", &["http.request_timeout = \"0s\"", "\"100ms\" to \"5m\""]),
    ("[http]\nmax_response_bytes = 65535", &["http.max_response_bytes = 65535", "from 65536 to 1073741824"]),
    ("[http]\nmax_response_bytes = 99999999999999999999", &["http.max_response_bytes = 1e20", "a whole number"]),
    ("[http]\nmax_response_bytes = 65536.0", &["http.max_response_bytes = 65536.0", "a whole number"]),
    ("[[account]]\nburst = 0", &["account[0].burst = 0", "from 1 to 10000"]),
    ("[[account]]\nburst = '5'", &["account[0].burst = \"5\"", "a whole number"]),
    ("[[account]]\nmax_in_flight = 10001", &["account[0].max_in_flight = 10001", "from 1 to 10000"]),
    ("[[account]]\nlist_bytes_per_second = -1", &["account[0].list_bytes_per_second = -1", "from 0"]),
    ("[[account]]\nrequests_per_second = 10000.5", &["account[0].requests_per_second = 10000.5", "from 0 to 10000"]),
    ("[[account]]\nenabled = 'yes'", &["account[0].enabled = \"yes\"", "true or false"]),
    ("[[account]]\nenabled = 1", &["account[0].enabled = 1", "true or false"]),
    ("[[account]]\nname = 'Shop'", &["account[0].name = \"Shop\"", "a-z 0-9 - _"]),
    ("[[account]]\nname = ''", &["account[0].name = \"\"", "1 to 32"]),
    ("[[account]]\nname = 'a23456789012345678901234567890123'", &["account[0].name", "1 to 32"]),
    ("[[account]]\nname = 'a'\n[[account]]\nname = 'a'", &["account[1].name = \"a\"", "another account has the same name"]),
    ("[[account]]\n[[account]]", &["account[1].name = \"default\"", "another account has the same name"]),
    ("[[account]]\nname = 'a-b'\n[[account]]\nname = 'a_b'", &["account[1].name = \"a_b\"", "PAYRECOND_API_KEY_A_B", "\"a-b\""]),
    ("[[account]]\nprovider = 'paypal'", &["account[0].provider = \"paypal\"", "\"walletpay\""]),
    ("[[account]]\n[account.settings]\nshop_token = '123:secret'", &["account[0].settings.shop_token = (not shown)", "keys of account[0].settings: none"]),
    ("[[account]]\nsettings = 5", &["account[0].settings = 5", "[account.settings]"]),
    ("[[account]]\nstrategy = 'fast'", &["account[0].strategy = \"fast\"", "\"auto\", \"single\", \"list\", \"preview\""]),
    ("[[account]]\nbase_url = 'http://pay.example'", &["account[0].base_url = \"http://pay.example\"", "https"]),
    ("[[account]]\nbase_url = 'pay.example'", &["account[0].base_url = \"pay.example\"", "https"]),
    ("[[account]]\nbase_url = 'ftp://pay.example'", &["account[0].base_url = \"ftp://pay.example\"", "https"]),
    ("[[account]]\nbase_url = 'https://pay.wallet.tg/wpay/store-api/v1'", &["account[0].base_url", "the API's path /wpay", "write \"https://pay.wallet.tg\""]),
    ("[[account]]\nprovider = 'crypto-pay'\nbase_url = 'http://127.0.0.1:8181/api/'", &["the API's path /api", "write \"http://127.0.0.1:8181\""]),
    ("[[account]]\nprovider = 'telegram-stars'\nbase_url = 'https://api.telegram.org/bot1:hidden'", &["account[0].base_url = \"https://api.telegram.org/bot…\"", "write \"https://api.telegram.org\""]),
    ("[[account]]\nbase_url = 'https://me:hidden@pay.example'", &["account[0].base_url = \"https://…@pay.example\"", "a user or a password", "https"]),
    ("[[account]]\nbase_url = 'https://pay.example/?a=1'", &["account[0].base_url = \"https://pay.example/?…\"", "a query"]),
    ("[[account]]\nbase_url = 'http://localhost.example'", &["account[0].base_url", "loopback"]),
    ("[[account]]\nbase_url = 5", &["account[0].base_url = 5", "not a string in quotes", "https"]),
    ("[feed]\nstdout = 'kafka'", &["feed.stdout = \"kafka\"", "\"nats\", \"hpub\", \"jsonl\", \"off\""]),
    ("[nats]\nurl = 'http://127.0.0.1:4222'", &["nats.url = \"http://127.0.0.1:4222\"", "nats://127.0.0.1:4222"]),
    ("[nats]\nurl = '127.0.0.1:4222'", &["nats.url", "nats://127.0.0.1:4222"]),
    ("[nats]\nurl = 'nats://a:hidden@nats.example'", &["nats.url = \"nats://…@nats.example\"", "nats.credentials_file"]),
    ("[nats]\nurl = 'nats://a.example,nats://hidden@b.example'", &["nats.url = \"nats://…@b.example\"", "nats.credentials_file"]),
    ("[nats]\nurl = 'hidden@nats.example'", &["nats.url = \"…@nats.example\""]),
    ("[nats]\nurl = 'nats://nats.example/path'", &["nats.url", "tls://nats.example:4222"]),
    ("[nats]\nstream = 'a.b'", &["nats.stream = \"a.b\"", "without spaces"]),
    ("[nats]\ntls_ca_file = 5", &["nats.tls_ca_file = 5", "not a string in quotes"]),
    ("[feed]\nsubject_prefix = 'a b'", &["feed.subject_prefix = \"a b\"", "words joined by dots"]),
    ("[feed]\nsubject_prefix = 'a.>'", &["feed.subject_prefix = \"a.>\"", "words joined by dots"]),
    ("[feed]\nsubject_prefix = 'a..b'", &["feed.subject_prefix = \"a..b\"", "words joined by dots"]),
    ("[feed]\nsubject_prefix = ''", &["feed.subject_prefix = \"\"", "words joined by dots"]),
    ("[jobs]\naudit = 'daily'", &["jobs.audit = \"daily\"", "six fields", "\"\" for never"]),
    ("[jobs]\naudit = '15 3 * * *'", &["jobs.audit = \"15 3 * * *\"", "has 5 fields instead of six"]),
    ("[jobs]\nretention = '0 61 3 * * *'", &["jobs.retention = \"0 61 3 * * *\"", "six fields"]),
    ("[jobs]\nretention = '0 0 0 30 2 *'", &["jobs.retention = \"0 0 0 30 2 *\"", "never occurs"]),
    ("[retention]\noutbox = '59m'", &["retention.outbox = \"59m\"", "\"1h\"", "\"\" for never"]),
    ("[retention]\ntransactions = '59m'", &["retention.transactions = \"59m\"", "\"1h\"", "\"\" for never"]),
    ("[polling]\ndeadline_grace = '999ms'", &["polling.deadline_grace = \"999ms\"", "\"1s\" to \"1d\""]),
    ("[polling]\ndeadline_grace = '25h'", &["polling.deadline_grace = \"25h\"", "\"1s\" to \"1d\""]),
    ("[[account]]\naccept_test_payments = 'no'", &["account[0].accept_test_payments = \"no\"", "true or false"]),
    ("[retention]\ninvoices = 30", &["retention.invoices = 30", "\"1h\""]),
    ("[server]\nlisten = '0.0.0.0:9464'", &["server.listen = \"0.0.0.0:9464\"", "127.0.0.1:9464", "server.allow_remote = true"]),
    ("[server]\nlisten = '9464'", &["server.listen = \"9464\"", "127.0.0.1:9464"]),
    ("[server]\nlisten = 'unix:http.sock'", &["server.listen = \"unix:http.sock\"", "unix:/run/payrecond/http.sock"]),
    ("[log]\nlevel = 'verbose'", &["log.level = \"verbose\"", "error, warn, info, debug or trace"]),
    ("[log]\nlevel = 'info,payrecond=loud'", &["log.level = \"info,payrecond=loud\"", "debug"]),
    ("[log]\nformat = 'xml'", &["log.format = \"xml\"", "\"text\", \"json\""]),
    ("[database]\npath = ''", &["database.path = \"\"", "the path of a file"]),
    ("[database]\npath = ':memory:'", &["database.path = \":memory:\"", "the path of a file"]),
    ("[polling]\njitter = 0.1\njitter = 0.2", &["line 3", "duplicate key", "jitter = 0.2"]),
    ("[polling]\njitter = = 2", &["line 2", "jitter = = 2"]),
    ("[polling\njitter = 2", &["line 1", "[polling"]),
];

#[test]
fn every_mistake_is_reported_with_path_value_and_expectation() {
    for (text, parts) in MISTAKES {
        let message = refusal(text, &[]);
        println!("{message}");
        assert_holds(&message, parts);
    }
}

#[test]
fn a_mistake_in_the_environment_names_the_variable() {
    #[rustfmt::skip] // one mistake, one line
    let cases: &[(&str, &str, &[&str])] = &[
        ("PAYRECOND__POLLING__AGE_FACTOR", "fast", &["polling.age_factor = \"fast\"", "a number from 0 to 10"]),
        ("PAYRECOND__POLLING__AGE_FACTOR", "inf", &["polling.age_factor = inf", "a number from 0 to 10"]),
        ("PAYRECOND__ACCOUNT__0__BURST", "1.5", &["account[0].burst = \"1.5\"", "a whole number"]),
        ("PAYRECOND__ACCOUNT__0__ENABLED", "yes", &["account[0].enabled = \"yes\"", "true or false"]),
        ("PAYRECOND__POLLING__JITTR", "0.1", &["polling.jittr = \"0.1\"", "did you mean jitter?"]),
        ("PAYRECOND__ACCOUNT__NAME", "a", &["account.name = \"a\"", "PAYRECOND__ACCOUNT__0__BASE_URL"]),
        ("PAYRECOND__ACCOUNT__X__NAME", "a", &["account.x.name = \"a\"", "its number from 0 on"]),
        ("PAYRECOND__ACCOUNT__99999999999__NAME", "a", &["account.99999999999.name", "its number"]),
        ("PAYRECOND__ACCOUNT__2__NAME", "c", &["account[1] = nothing", "without a gap"]),
        ("PAYRECOND__POLLING", "5", &["polling = \"5\"", "this is a section", "min_interval"]),
        ("PAYRECOND__POLING__JITTER", "5", &["poling = \"5\"", "did you mean polling?"]),
        ("PAYRECOND__POLLING__JITTER__X", "5", &["polling.jitter.x = \"5\"", "two levels"]),
        ("PAYRECOND__", "5", &["unknown key"]),
    ];
    for (name, value, parts) in cases {
        let message = refusal("", &[(name, value)]);
        println!("{message}");
        assert_holds(&message, parts);
        assert!(
            name.contains("__2__") || message.contains(name),
            "{message}"
        );
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let text = "[polling]\njitter = 9\nage_factor = 'x'\nwhat = 1\n[[account]]\nburst = 0\n[log]\nformat = 1";
    let error = Config::parse(text, &env(&[("PAYRECOND__FEED__STDOUT", "loud")])).unwrap_err();
    let paths: Vec<_> = error
        .problems()
        .iter()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            "polling.what",
            "account[0].burst",
            "polling.age_factor",
            "polling.jitter",
            "feed.stdout",
            "log.format"
        ]
    );
    assert_eq!(error.to_string().lines().count(), 6);
}

#[test]
fn every_key_of_the_example_is_read() {
    let mut section = String::new();
    for line in EXAMPLE.lines() {
        if line.starts_with('[') {
            section = line.to_owned();
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            // No setting is a list of tables.
            let message = refusal(&format!("{section}\n{key} = [{{}}]"), &[]);
            assert_holds(&message, &[&format!(".{key} = [a table]"), "expected "]);
        }
    }
}

#[test]
fn flags_override_the_environment_and_that_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("p.toml");
    fs::write(
        &file,
        "[polling]\njitter = 0.2\nage_factor = 1\nmin_interval = '1s'\n[[account]]\nname = 'a'\n",
    )
    .unwrap();
    let env = env(&[
        ("PAYRECOND__POLLING__JITTER", "0.3"),
        ("PAYRECOND__POLLING__MIN_INTERVAL", "2s"),
        ("PAYRECOND__POLLING__CHECKS_AFTER_EXPIRY", "2m, 1s,2m"),
        ("PAYRECOND__ACCOUNT__0__BASE_URL", "http://127.0.0.1:8181"),
        ("PAYRECOND__ACCOUNT__1__NAME", "b"),
        ("PAYRECOND__ACCOUNT__1__ENABLED", "false"),
        ("PAYRECOND_API_KEY_B", "x"),
    ]);
    let flags = [("polling.min_interval", "4s"), ("account[1].burst", "3")];
    let config = load_with(Some(&file), &env, &flags).unwrap();
    assert_eq!(config.source.as_deref(), Some(file.as_path()));
    assert!((config.polling.age_factor - 1.0).abs() < f64::EPSILON);
    assert!((config.polling.jitter - 0.3).abs() < f64::EPSILON);
    assert_eq!(config.polling.min_interval, Duration::from_secs(4));
    assert_eq!(
        config
            .polling
            .checks_after_expiry
            .iter()
            .map(Duration::as_secs)
            .collect::<Vec<_>>(),
        [1, 120]
    );
    let [a, b] = config.accounts.as_slice() else {
        panic!("two accounts")
    };
    assert_eq!(
        (a.name.as_str(), a.base_url.as_str()),
        ("a", "http://127.0.0.1:8181/")
    );
    assert_eq!((b.name.as_str(), b.burst, b.enabled), ("b", 3, false));
    assert_eq!(b.base_url.as_str(), "https://pay.wallet.tg/");
}

#[test]
fn an_environment_alone_changes_the_default_account() {
    let config = Config::parse("", &env(&[("PAYRECOND__ACCOUNT__0__STRATEGY", "list")])).unwrap();
    assert_eq!(config.accounts.len(), 1);
    assert_eq!(config.accounts[0].strategy, Strategy::List);
}

#[test]
fn a_named_file_must_exist() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing.toml");
    let name = missing.to_str().unwrap();
    let by_flag = load(Some(&missing), &Environment::default())
        .unwrap_err()
        .to_string();
    assert_holds(
        &by_flag,
        &[name, "--config", "no such file", "payrecond init"],
    );
    let env = env(&[("PAYRECOND_CONFIG", name)]);
    assert_holds(
        &load(None, &env).unwrap_err().to_string(),
        &[name, "$PAYRECOND_CONFIG"],
    );

    let there = dir.path().join("there.toml");
    fs::write(&there, "[log]\nlevel = 'debug'").unwrap();
    assert_eq!(load(Some(&there), &env).unwrap().log.level, "debug");
    assert!(
        load(Some(dir.path()), &env)
            .unwrap_err()
            .to_string()
            .contains("directory")
    );
    fs::write(&there, b"\xff").unwrap();
    assert!(
        load(Some(&there), &env)
            .unwrap_err()
            .to_string()
            .contains("UTF-8")
    );
}

#[test]
fn limits_of_ranges_are_accepted() {
    for text in [
        "[polling]\nage_factor = 0\njitter = 0.5\nmin_interval = '1h'\nmax_interval = '10d'\nintake_interval = '1m'",
        "[polling]\nage_factor = 10\njitter = 0\nmin_interval = '100ms'\nmax_interval = '100ms'\nintake_interval = '50ms'\nchecks_after_expiry = []",
        "[http]\nmax_response_bytes = 65_536\nconnect_timeout = '100ms'\nrequest_timeout = '5m'",
        "[http]\nmax_response_bytes = 0x4000_0000",
        "[[account]]\nrequests_per_second = 0\nburst = 10000\nmax_in_flight = 1\nlist_bytes_per_second = 0\napi_key_file = ''",
        "[jobs]\naudit = ''\nretention = '*/30 * * * * *'\n[retention]\noutbox = '1h'\ninvoices = '3650d'\ntransactions = ''",
        "[polling]\ndeadline_grace = '1s'\n[retention]\ntransactions = '1h'\n[[account]]\naccept_test_payments = true",
        "[polling]\ndeadline_grace = '24h'",
        "[[account]]\nbase_url = 'http://[::1]:1/prefix'\n[[account]]\nname = 'b'\nbase_url = 'http://localhost:1'\n[[account]]\nname = '-'\nbase_url = 'http://127.9.9.9'",
        "[log]\nlevel = 'warn,payrecond::provider=trace'\nformat = 'json'\n[feed]\nsubject_prefix = 'shop.payments'\nstdout = 'off'",
        "[server]\nlisten = '0.0.0.0:1'\nallow_remote = true",
    ] {
        Config::parse(text, &Environment::default()).unwrap_or_else(|e| panic!("{text}: {e}"));
    }
}

#[test]
fn listen_is_an_address_or_a_socket() {
    let listen = |text: &str| {
        Config::parse(
            &format!("[server]\nlisten = '{text}'"),
            &Environment::default(),
        )
        .unwrap()
        .server
        .listen
    };
    assert_eq!(
        listen("localhost:9464"),
        Some(Listen::Tcp("127.0.0.1:9464".parse().unwrap()))
    );
    assert_eq!(
        listen("[::1]:9464"),
        Some(Listen::Tcp("[::1]:9464".parse().unwrap()))
    );
    assert_eq!(
        listen("unix:/run/p/h.sock"),
        Some(Listen::Unix("/run/p/h.sock".into()))
    );
}

/// A directory for key files, and the account `shop-1` with its own.
struct Keys {
    dir: tempfile::TempDir,
    config: Config,
}

impl Keys {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("own.key");
        let text = format!(
            "[[account]]\nname = 'shop-1'\napi_key_file = '{}'",
            file.display()
        );
        let config = Config::parse(&text, &Environment::default()).unwrap();
        Self { dir, config }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn find(&self, pairs: &[(&str, &str)]) -> Result<String, ConfigError> {
        api_key(&self.config.accounts[0], &env(pairs)).map(|key| key.expose().to_owned())
    }
}

#[test]
fn a_key_is_found_at_the_first_of_three_places() {
    let keys = Keys::new();
    let directory = keys.dir.path().to_str().unwrap().to_owned();
    let all = [
        ("CREDENTIALS_DIRECTORY", directory.as_str()),
        ("PAYRECOND_API_KEY_SHOP_1", "from-variable"),
    ];

    let message = keys.find(&all[..1]).unwrap_err().to_string();
    assert_holds(
        &message,
        &[
            "\"shop-1\"",
            "shop-1.key",
            "PAYRECOND_API_KEY_SHOP_1",
            "own.key",
        ],
    );
    assert_holds(
        &keys.find(&[]).unwrap_err().to_string(),
        &["$CREDENTIALS_DIRECTORY/shop-1.key"],
    );

    keys.write("own.key", b"from-file\n");
    assert_eq!(keys.find(&all[..1]).unwrap(), "from-file");
    keys.write("own.key", b"\t renewed \r\n");
    assert_eq!(keys.find(&[]).unwrap(), "renewed");
    assert_eq!(keys.find(&all).unwrap(), "from-variable");
    keys.write("shop-1.key", b"\n");
    assert_eq!(
        keys.find(&all).unwrap(),
        "from-variable",
        "an empty credential is none"
    );
    keys.write("shop-1.key", b" from-credential\n");
    assert_eq!(keys.find(&all).unwrap(), "from-credential");
}

#[test]
fn a_nats_credential_is_found_at_the_first_of_three_places_and_never_shown() {
    use payrecond::jetstream::Credential;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.token");
    let text = format!(
        "[nats]\nurl = 'nats://127.0.0.1:4222'\ncredentials_file = '{}'",
        file.display()
    );
    let config = Config::parse(&text, &Environment::default()).unwrap();
    let nats = config.require_nats().unwrap();
    let find = |pairs: &[(&str, &str)]| nats_credential(nats, &env(pairs));
    let token = |text: &str| Some(Credential::Token(text.to_owned()));
    let directory = folder.path().display().to_string();
    let all = [
        ("CREDENTIALS_DIRECTORY", directory.as_str()),
        ("PAYRECOND_NATS_CREDS", "from-variable"),
    ];
    let message = find(&all[..1]).unwrap_err().to_string();
    assert_holds(
        &message,
        &["nats.creds", "PAYRECOND_NATS_CREDS", "own.token"],
    );
    fs::write(&file, "from-file\n").unwrap();
    assert_eq!(find(&[]).unwrap(), token("from-file"));
    assert_eq!(find(&all).unwrap(), token("from-variable"));
    fs::write(folder.path().join("nats.creds"), "\n").unwrap();
    assert_eq!(find(&all).unwrap(), token("from-variable"));
    fs::write(folder.path().join("nats.creds"), "from-credential").unwrap();
    let found = find(&all).unwrap();
    assert_eq!(found, token("from-credential"));
    assert_eq!(format!("{found:?}"), "Some(Credential(hidden))");
    for canary in [
        "canary with a space",
        "-----BEGIN NATS USER JWT-----\ncanary\n",
        "  \n",
    ] {
        fs::write(&file, canary).unwrap();
        let message = find(&[]).unwrap_err().to_string();
        assert_holds(&message, &["nats.credentials_file", "own.token"]);
        assert!(!message.contains("canary"), "{message}");
    }
    let open = Config::parse("[nats]\nurl = 'nats://127.0.0.1'", &Environment::default()).unwrap();
    let open = open.require_nats().unwrap();
    assert_eq!(nats_credential(open, &env(&[])).unwrap(), None);
}

#[test]
fn a_key_invalid_in_a_header_is_refused_without_being_shown() {
    let keys = Keys::new();
    for bytes in [
        &b"canary\nline"[..],
        b"can\0ary",
        b"can\x1bary",
        b"c\xc3\xa4nary",
        b"\xffcanary",
        b" \n",
    ] {
        keys.write("own.key", bytes);
        let message = keys.find(&[]).unwrap_err().to_string();
        assert_holds(&message, &["\"shop-1\"", "own.key"]);
        assert!(!message.contains("ary"), "{message}");
    }
    let message = keys
        .find(&[("PAYRECOND_API_KEY_SHOP_1", "")])
        .unwrap_err()
        .to_string();
    assert_holds(&message, &["variable PAYRECOND_API_KEY_SHOP_1: empty"]);
    keys.write("own.key", &[b'k'; 9000]);
    assert_holds(
        &keys.find(&[]).unwrap_err().to_string(),
        &["longer than 8192 bytes"],
    );
    let directory = keys.dir.path().join("own.key");
    fs::remove_file(&directory).unwrap();
    fs::create_dir(&directory).unwrap();
    assert_holds(
        &keys.find(&[]).unwrap_err().to_string(),
        &["own.key", "directory"],
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Wherever a key is put, no text made from the configuration shows it.
    #[test]
    fn a_key_is_shown_nowhere(key in "[A-Za-z0-9]{20,60}") {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &key).unwrap();
        let variables = env(&[("PAYRECOND_API_KEY_DEFAULT", key.as_str())]);
        let mut texts = vec![format!("{variables:?}")];
        for text in [
            format!("[[account]]\napi_key = '{key}'"),
            format!("[[account]]\napi_key = {key}"),
            format!("[[account]]\napi_key = '{key}"),
            format!("[[account]]\nbase_url = 'https://{key}@pay.example'"),
            format!("[[account]]\nbase_url = 'https://me:{key}@pay.example'"),
            format!("[[account]]\nbase_url = 'https://pay.example?key={key}'"),
        ] {
            let error = Config::parse(&text, &variables).unwrap_err();
            texts.extend([error.to_string(), format!("{error:?}")]);
        }
        let misplaced = env(&[("PAYRECOND__ACCOUNT__0__API_KEY", key.as_str())]);
        texts.push(Config::parse("", &misplaced).unwrap_err().to_string());

        let config = Config::parse("", &variables).unwrap();
        let found = api_key(&config.accounts[0], &variables).unwrap();
        prop_assert_eq!(found.expose(), key.as_str());
        texts.extend([format!("{found:?}"), format!("{config:?}")]);

        let as_path = format!("[[account]]\nname = 'other'\napi_key_file = '{key}'");
        let config = Config::parse(&as_path, &Environment::default()).unwrap();
        texts.push(api_key(&config.accounts[0], &Environment::default()).unwrap_err().to_string());
        for text in texts {
            prop_assert!(!text.contains(&key), "{}", text);
        }
    }

    #[test]
    fn a_duration_round_trips(ms in 0_u64..400 * 86_400_000) {
        let length = Duration::from_millis(ms);
        prop_assert_eq!(duration::parse(&duration::format(length)), Some(length));
    }

    #[test]
    fn no_text_makes_it_panic(text in "(\\[?\\[?[a-z_.\"]{0,9}\\]?\\]?( = )?[-a-z0-9\"'\\[\\]{},. ]{0,9}\n){0,6}") {
        let _ = Config::parse(&text, &Environment::default());
    }
}

#[test]
fn a_key_has_no_white_space_around_it() {
    assert_eq!(
        ApiKey::from_bytes(b" \t k e y\r\n\n").unwrap().expose(),
        "k e y"
    );
}
