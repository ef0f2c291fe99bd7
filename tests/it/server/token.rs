//! The token of a bot stands in the path of each request to Telegram. It turns up nowhere else.

use std::path::PathBuf;
use std::process::Stdio;

use payrecond::sandbox::{Fault, FaultKind, NewTransaction, SimulatedProvider};
use tokio::process::{Child, Command};

use super::http::{Place, ask};
use super::with_socket;
use crate::faults::program;
use crate::shop::Shop;

const TOKEN: &str = "7310094411:AAcanaryOfABot-0123456789_abcdefghij";
/// What must not be seen: a part of the token is as bad as the whole.
const SECRET: &str = "AAcanaryOfABot";
const FAILURES: [FaultKind; 8] = [
    FaultKind::Status429,
    FaultKind::Status500,
    FaultKind::Status502Html,
    FaultKind::EnvelopeError,
    FaultKind::Timeout,
    FaultKind::Reset,
    FaultKind::TruncatedBody,
    FaultKind::NotFound,
];

fn with_token(mut command: Command) -> Command {
    command.env("PAYRECOND_API_KEY_DEFAULT", TOKEN);
    command
}

/// The daemon, which writes all that it says into files beside its database.
fn start(shop: &Shop) -> Child {
    let file = |name| Stdio::from(std::fs::File::create(shop.folder.path().join(name)).unwrap());
    let mut command = with_token(program::command(shop));
    let command = command.stdout(file("stdout")).stderr(file("stderr"));
    command.spawn().unwrap()
}

/// Fails if any file beside the database holds the token.
fn assert_secret(shop: &Shop) {
    let mut seen = 0;
    for entry in std::fs::read_dir(shop.folder.path()).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let Ok(bytes) = std::fs::read(&path) else {
            continue;
        };
        seen += bytes.len();
        let holds = bytes
            .windows(SECRET.len())
            .any(|some| some == SECRET.as_bytes());
        assert!(!holds, "{}", path.display());
    }
    assert!(seen > 0);
}

async fn assert_commands_keep_it(shop: &Shop) {
    for arguments in [
        &["check"][..],
        &["check", "--json"],
        &["audit", "--json"],
        &["show", "ORD-1", "--json"],
        &["why", "ORD-1"],
        &["run", "--once"],
    ] {
        let mut command = with_token(program::program(shop.folder.path()));
        let ended = command.args(arguments).output().await.unwrap();
        let said = [ended.stdout, ended.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!said.contains(SECRET), "{arguments:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_a_bot_is_in_no_log_error_event_metric_or_page() {
    let mut shop = Shop::open().await;
    shop.settings = "provider = \"telegram-stars\"\n[polling]\nmin_interval = \"100ms\"\nmax_interval = \"200ms\"\n\
        [http]\nrequest_timeout = \"300ms\"\n\
        [log]\nlevel = \"trace,hyper=trace,hyper_util=trace,reqwest=trace,rustls=trace\"\n"
        .into();
    let place = Place::Unix(with_socket(&mut shop));
    let mut daemon = start(&shop);
    let row = "INSERT INTO invoices (external_id, amount, currency, description) VALUES ('ORD-1', '100', 'XTR', 'Six eggs')";
    shop.execute(row).await;
    shop.until("SELECT status FROM invoices", "pending").await;
    for kind in FAILURES {
        shop.world.set_faults(vec![Fault::new(kind)]);
        while !shop.world.stats().faults.contains_key(&kind) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        shop.until("SELECT last_error IS NOT NULL FROM accounts", "1")
            .await;
        for path in ["/metrics", "/", "/readyz", "/livez"] {
            let answer = ask(&place, path).await;
            assert!(
                !answer.body.contains(SECRET),
                "{kind} {path}: {}",
                answer.body
            );
        }
        daemon.kill().await.unwrap();
        assert_secret(&shop);
        // The next life asks at once.
        daemon = start(&shop);
    }
    shop.answer_again();
    let paid = NewTransaction {
        external_id: Some("ORD-1".into()),
        amount: Some("100".into()),
        ..NewTransaction::default()
    };
    let stars = SimulatedProvider::TelegramStars;
    shop.world.add_transaction(stars, &paid).unwrap();
    shop.until("SELECT status FROM invoices", "paid").await;
    let line = std::fs::read(format!("/proc/{}/cmdline", daemon.id().unwrap())).unwrap();
    assert!(!String::from_utf8_lossy(&line).contains(SECRET));
    daemon.kill().await.unwrap();
    assert_secret(&shop);
    let log = std::fs::read_to_string(shop.folder.path().join("stderr")).unwrap();
    assert!(log.contains("TRACE"), "{log}");
    assert_commands_keep_it(&shop).await;
    shop.world.set_faults(vec![Fault::new(FaultKind::NotFound)]);
    assert_commands_keep_it(&shop).await;

    // A server that is not there: its address is in the error, and nothing behind it.
    shop.base_url = "http://127.0.0.1:9".into();
    program::write_config(&shop);
    assert_commands_keep_it(&shop).await;
    assert_secret(&shop);
}
