//! One daemon, four accounts at four providers: what happens to one of them is nobody else's.

use std::process::Stdio;

use payrecond::sandbox::{
    Bill, BillPayment, Fault, FaultKind, Sandbox, SandboxOptions, SimulatedProvider,
};

use super::program::{self, Program, Stdout};
use crate::shop::Shop;

const WORKING: [SimulatedProvider; 2] = [
    SimulatedProvider::CryptoPay,
    SimulatedProvider::TelegramStars,
];
const DOWN: SimulatedProvider = SimulatedProvider::CryptoCloud;
const REFUSED: SimulatedProvider = SimulatedProvider::YooKassa;
/// Bills of each account in a round.
const BILLS: usize = 5;

struct FourAccounts {
    shop: Shop,
    /// Knows another key than the account at `REFUSED` has, until it is told.
    strict: Sandbox,
}

impl FourAccounts {
    async fn open() -> Self {
        let strict = Sandbox::start(SandboxOptions {
            listen: ([127, 0, 0, 1], 0).into(),
            api_key: Some("100500:live_the_good_one".into()),
            ..SandboxOptions::default()
        })
        .await
        .unwrap();
        let mut shop = Shop::open().await;
        shop.world
            .set_faults(vec![Fault::new(FaultKind::Reset).on(DOWN)]);
        let mut text = "enabled = false\n".to_owned();
        for provider in WORKING.into_iter().chain([DOWN, REFUSED]) {
            let sample = shop.world.sample(provider).unwrap();
            let base_url = if provider == REFUSED {
                strict.url()
            } else {
                shop.base_url.clone()
            };
            let account = format!(
                "[[account]]\nname = \"{provider}\"\nprovider = \"{provider}\"\nbase_url = {base_url:?}\n\
                 api_key_file = \"{provider}.key\"\nrequests_per_second = 20.0\n{}",
                sample.account
            );
            text.push_str(&account);
            std::fs::write(
                shop.folder.path().join(format!("{provider}.key")),
                sample.key,
            )
            .unwrap();
        }
        text += "[polling]\nmin_interval = \"200ms\"\nmax_interval = \"1s\"\nintake_interval = \"50ms\"\n\
                 [http]\nrequest_timeout = \"1s\"\n";
        shop.settings = text;
        Self { shop, strict }
    }

    async fn run(&self) -> Program {
        let command = program::command(&self.shop);
        let program = Program::spawn(&self.shop, command, Stdout::Read, Stdio::piped());
        program.until_ready().await
    }

    /// Asks for orders at a provider.
    async fn request(&self, provider: SimulatedProvider, round: usize) -> Vec<Bill> {
        let sample = self.shop.world.sample(provider).unwrap();
        let mut bills = Vec::new();
        for number in 0..BILLS {
            let external_id = format!("{provider}-{round}-{number}");
            let (price, currency, options) = (sample.prices[0], sample.currency, sample.options);
            self.shop
                .execute(&format!(
                    "INSERT INTO invoices (account, external_id, amount, currency, description, options)
                     VALUES ('{provider}', '{external_id}', '{price}', '{currency}', 'Six eggs', '{options}')"
                ))
                .await;
            bills.push(Bill {
                provider,
                external_id,
                price: price.into(),
            });
        }
        bills
    }

    async fn until(&self, provider: SimulatedProvider, status: &str, count: usize) {
        let told = format!(
            "SELECT count(*) FROM invoices WHERE account = '{provider}' AND status = '{status}'"
        );
        self.shop.until(&told, &count.to_string()).await;
    }

    async fn until_state(&self, provider: SimulatedProvider, state: &str) {
        let told = format!("SELECT state FROM accounts WHERE name = '{provider}'");
        self.shop.until(&told, state).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_and_a_refused_key_disturb_no_other_account() {
    let four = FourAccounts::open().await;
    let program = four.run().await;
    for provider in [DOWN, REFUSED] {
        four.request(provider, 0).await;
    }
    four.until_state(REFUSED, "key_refused").await;
    four.until_state(DOWN, "paused").await;
    // Beside them everything goes on: created, paid, noticed.
    for round in 0..3 {
        for provider in WORKING {
            let bills = four.request(provider, round).await;
            four.until(provider, "pending", BILLS).await;
            for bill in &bills {
                four.shop.world.pay_bill(bill, BillPayment::Whole).unwrap();
            }
            four.until(provider, "paid", BILLS * (round + 1)).await;
        }
    }
    for provider in WORKING {
        let undisturbed = format!(
            "SELECT a.state || ' ' || (a.last_failure_at IS NULL) || ' ' || (SELECT sum(failures) FROM invoices
             WHERE account = a.name) FROM accounts a WHERE a.name = '{provider}'"
        );
        assert_eq!(
            four.shop.ask(&undisturbed).await,
            "working 1 0",
            "{provider}"
        );
    }
    // Nothing is said of the orders that could not be asked for.
    four.until(DOWN, "requested", BILLS).await;
    four.until(REFUSED, "requested", BILLS).await;
    // Both go on once they can, and their orders are made once.
    four.shop.world.set_faults(Vec::new());
    let key_file = four.shop.folder.path().join(format!("{REFUSED}.key"));
    std::fs::write(key_file, "100500:live_the_good_one").unwrap();
    program.signal("HUP").await;
    four.until(DOWN, "pending", BILLS).await;
    four.until(REFUSED, "pending", BILLS).await;
    four.until_state(REFUSED, "working").await;
    assert_eq!(four.strict.world().orders().len(), BILLS);
    let left = program.stop().await;
    assert!(!left.stderr.contains("live_"), "{}", left.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_the_account_that_is_down_and_the_one_whose_key_is_refused() {
    let four = FourAccounts::open().await;
    program::write_config(&four.shop);
    let mut check = program::program(four.shop.folder.path());
    let said = check.arg("check").output().await.unwrap();
    let text = String::from_utf8(said.stdout).unwrap();
    assert_eq!(said.status.code(), Some(1), "{text}");
    let word_of = |provider: SimulatedProvider| {
        let line = text
            .lines()
            .find(|line| line.contains(&format!("account {provider} ")));
        line.and_then(|line| line.split_whitespace().next())
            .unwrap_or_default()
            .to_owned()
    };
    for provider in WORKING {
        assert_eq!(word_of(provider), "ok", "{text}");
    }
    assert_eq!(
        (word_of(DOWN), word_of(REFUSED)),
        ("FAILED".into(), "FAILED".into()),
        "{text}"
    );
}
