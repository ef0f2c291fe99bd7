//! A refused key stops only its account; the key file is read again.

use std::time::Duration;

use payrecond::sandbox::{Sandbox, SandboxOptions, SimulatedPayment};

use super::laws;
use super::program::Program;
use crate::shop::Shop;

const GOOD: &str = "second-key-9876543210";

struct TwoAccounts {
    shop: Shop,
    other: Sandbox,
}

impl TwoAccounts {
    async fn open() -> Self {
        let other = Sandbox::start(SandboxOptions {
            listen: ([127, 0, 0, 1], 0).into(),
            api_key: Some(GOOD.into()),
            ..SandboxOptions::default()
        })
        .await
        .unwrap();
        let mut shop = Shop::open().await;
        let file = shop.folder.path().join("other.key");
        shop.configure(&format!(
            "[[account]]\nname = \"other\"\nbase_url = {:?}\napi_key_file = {:?}\n",
            other.url(),
            file.display().to_string()
        ));
        Self { shop, other }
    }

    fn put_key(&self, key: &str) {
        std::fs::write(self.shop.folder.path().join("other.key"), key).unwrap();
    }

    /// An order in the second store that is already paid.
    async fn drop_in_paid(&self, external_id: &str) {
        self.shop
            .drop_in_paid("other", &self.other.world(), external_id)
            .await;
    }
}

#[tokio::test]
async fn a_refused_key_stops_its_account_alone_until_it_is_accepted() {
    let two = TwoAccounts::open().await;
    let shop = &two.shop;
    two.put_key("wrong-key-0000000000");
    two.drop_in_paid("OTHER-1").await;
    two.drop_in_paid("OTHER-2").await;
    let mut program = Program::ready(shop).await;
    program.until_said("API key refused; account stopped").await;
    program
        .notified
        .until("STATUS=default: polling; other: key_refused: ")
        .await;
    shop.until(
        "SELECT state FROM accounts WHERE name = 'other'",
        "key_refused",
    )
    .await;
    let id = shop.drop_in("ORD-1").await;
    shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    shop.until(
        "SELECT status FROM invoices WHERE external_id = 'ORD-1'",
        "paid",
    )
    .await;
    let others = "SELECT group_concat(DISTINCT status || version || failures) FROM invoices WHERE account = 'other'";
    assert_eq!(
        shop.ask(others).await,
        "pending00",
        "the key is no invoice's fault"
    );
    assert!(
        two.other.world().stats().requests.values().sum::<u64>() <= 6,
        "probes only"
    );

    two.put_key(GOOD);
    program.signal("HUP").await;
    let paid = "SELECT count(*) FROM invoices WHERE account = 'other' AND status = 'paid'";
    shop.until(paid, "2").await;
    shop.until("SELECT state FROM accounts WHERE name = 'other'", "working")
        .await;
    let left = program.stop().await;
    let alarms = left
        .stderr
        .matches("API key refused; account stopped")
        .count();
    assert_eq!(alarms, 1, "{}", left.stderr);
    for key in [GOOD, "wrong-key-0000000000"] {
        assert!(
            !left.stderr.contains(key)
                && !shop
                    .ask("SELECT group_concat(payload) FROM outbox")
                    .await
                    .contains(key)
        );
    }
    laws::key_is_nowhere(shop, &[left]);
}

#[tokio::test]
async fn a_corrected_key_is_found_by_the_next_probe() {
    let two = TwoAccounts::open().await;
    two.put_key("wrong-key-0000000000");
    two.drop_in_paid("OTHER-1").await;
    let program = Program::ready(&two.shop).await;
    program.until_said("API key refused; account stopped").await;
    two.put_key(GOOD);
    program.until_said("account working again").await;
    two.shop.until("SELECT status FROM invoices", "paid").await;
    program.stop().await;
}

/// The poller must react to each of a burst of signals.
#[tokio::test]
async fn each_hangup_reads_the_key_again() {
    let two = TwoAccounts::open().await;
    two.put_key("wrong-key-0000000000");
    two.drop_in_paid("OTHER-1").await;
    let program = Program::ready(&two.shop).await;
    program.until_said("API key refused; account stopped").await;
    for _ in 0..20 {
        program.signal("HUP").await;
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    two.put_key(GOOD);
    program.signal("HUP").await;
    two.shop.until("SELECT status FROM invoices", "paid").await;
    program.stop().await;
}
