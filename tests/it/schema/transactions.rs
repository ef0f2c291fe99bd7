//! Transactions are written only by the daemon; they are deleted with their invoice.

use super::{Case, PAID, PENDING, Scene, gives, refused};

/// A row as the daemon writes it.
fn daemons(id: &str, invoice: &str) -> String {
    format!(
        "INSERT INTO transactions (account, transaction_id, direction, invoice_id, external_id, amount,
                                   currency, is_net, status, happened_at, seen_at, daemon_writes)
         VALUES ('default', '{id}', 'in', {invoice}, 'label', '1.00', 'RUB', 1, 'succeeded', 5, 6, 1);"
    )
}

#[tokio::test]
async fn only_the_daemon_writes_transactions() {
    let there = daemons("T", "NULL") + &daemons("P", &PAID.to_string());
    let mut cases: Vec<Case> = Vec::new();
    let mut no = |sql: &str, message: &'static str| {
        for triggers in ["OFF", "ON"] {
            let name = format!("{sql}, recursive_triggers {triggers}");
            let before = format!("PRAGMA recursive_triggers = {triggers};");
            // The statements before leave rows, so each has a separate file.
            cases.push(refused(&name, sql, message).after(&(there.clone() + &before)));
        }
    };
    let columns = "account, transaction_id, direction, amount, currency, is_net, status, happened_at, seen_at";
    let values = "'default', 'X', 'in', '1', 'RUB', 0, 'succeeded', 1, 1";
    for verb in ["INSERT", "INSERT OR IGNORE", "REPLACE"] {
        no(
            &format!("{verb} INTO transactions ({columns}) VALUES ({values})"),
            "transactions: written by the daemon",
        );
        let taken = values.replace("'X'", "'T'");
        no(
            &format!("{verb} INTO transactions ({columns}, daemon_writes) VALUES ({taken}, 1)"),
            "there already",
        );
    }
    for set in [
        "amount = '2'",
        "invoice_id = 1",
        "status = 'refused'",
        "seen_at = 0",
    ] {
        no(
            &format!("UPDATE transactions SET {set} WHERE transaction_id = 'T'"),
            "transactions: written by the daemon",
        );
    }
    let counted = "daemon_writes = daemon_writes + 1";
    for (set, message) in [
        ("transaction_id = 'N'", "never change"),
        ("direction = 'out'", "never change"),
        ("account = 'second'", "never change"),
        ("status = 'gone'", "transactions.status: succeeded"),
        ("invoice_id = 4711", "there is no such invoice"),
    ] {
        no(
            &format!(
                "UPDATE OR REPLACE transactions SET {set}, {counted} WHERE transaction_id = 'T'"
            ),
            message,
        );
    }
    no(
        &format!("UPDATE transactions SET invoice_id = NULL, {counted} WHERE transaction_id = 'P'"),
        "transactions.invoice_id: never changes once set",
    );
    for id in ["T", "P"] {
        no(
            &format!("DELETE FROM transactions WHERE transaction_id = '{id}'"),
            "deleted with their invoice",
        );
    }
    Scene::set().await.play(cases).await;
}

#[tokio::test]
async fn transactions_belong_to_an_invoice_and_are_deleted_with_it() {
    let take = format!(
        "UPDATE transactions SET invoice_id = {PENDING}, daemon_writes = daemon_writes + 1"
    );
    let two = daemons("T", "NULL") + &daemons("P", &PAID.to_string());
    let floor = "INSERT INTO meta (key, value) VALUES ('transactions_floor', '7');";
    let left = "SELECT group_concat(transaction_id) FROM transactions";
    let cases = vec![
        gives("taken", &take, "SELECT invoice_id FROM transactions", "1")
            .after(&daemons("T", "NULL")),
        gives(
            "deleted with their invoice",
            &format!("DELETE FROM invoices WHERE id = {PAID}"),
            left,
            "T",
        )
        .after(&two),
        gives(
            "by retention",
            "DELETE FROM transactions WHERE invoice_id IS NULL",
            left,
            "P",
        )
        .after(&(two.clone() + floor)),
        refused(
            "the floor never falls",
            "UPDATE meta SET value = '6' WHERE key = 'transactions_floor'",
            "meta.transactions_floor: never falls",
        )
        .after(floor),
    ];
    Scene::set().await.play(cases).await;
}
