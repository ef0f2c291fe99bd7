//! Keys once used stay used, under every isolation; duplicates raise, or do nothing when so asked.

use super::{PgScene, WRITERS};
use crate::schema::keys::TAKEN;

const COUNT: &str = "SELECT count(*) FROM invoices";
/// Of the scene, one of eleven deleted.
const AS_BEFORE: &str = "10";

const ISOLATIONS: [&str; 2] = [
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
];

#[tokio::test]
async fn a_key_once_used_stays_used() {
    let Some(mut scene) = PgScene::set().await else {
        return;
    };
    for isolation in ISOLATIONS {
        for (columns, values) in TAKEN {
            let insert = format!("INSERT INTO invoices ({columns}) VALUES ({values})");
            let wrong = scene
                .refuses_after(
                    isolation,
                    &insert,
                    "duplicate key value violates unique constraint \"invoices_by_",
                )
                .await;
            assert!(wrong.is_empty(), "{wrong:?}");
            let nothing = format!("{insert} ON CONFLICT DO NOTHING");
            scene.gives(isolation, &nothing, COUNT, AS_BEFORE).await;
            let replaced = format!(
                "{insert} ON CONFLICT (account, external_id) DO UPDATE SET status = 'paid'"
            );
            let wrong = scene.refuses_after(isolation, &replaced, "").await;
            assert!(wrong.is_empty(), "{wrong:?}");
        }
    }
}

#[tokio::test]
async fn a_conflict_target_makes_an_insert_idempotent() {
    let Some(mut scene) = PgScene::set().await else {
        return;
    };
    let again = "INSERT INTO invoices (external_id, order_id) VALUES ('P', '100') ON CONFLICT";
    let gone = "INSERT INTO invoices (external_id, order_id) VALUES ('GONE', '109') ON CONFLICT";
    for insert in [again, gone] {
        for target in ["(account, external_id)", "(account, order_id)"] {
            scene
                .gives(
                    "",
                    &format!("{insert} {target} DO NOTHING"),
                    COUNT,
                    AS_BEFORE,
                )
                .await;
        }
    }
    let first = "SELECT coalesce(next_poll_at::text, '-') || metadata FROM invoices WHERE id = 1";
    let update =
        format!("{again} (account, external_id) DO UPDATE SET metadata = '[2]', next_poll_at = 0");
    scene.gives("", &update, first, "0[2]").await;
    let several = "INSERT INTO invoices (external_id, order_id)
        VALUES ('A', '1'), ('P', '2'), ('GONE', '3'), ('GONE', '4'), ('NEW', '109'), ('B', '5') ON CONFLICT DO NOTHING";
    let new = "SELECT string_agg(external_id, ',' ORDER BY id) FROM invoices WHERE id > 11";
    scene.gives("", several, new, "A,B").await;
    let withdrawn = "INSERT INTO invoices (external_id, amount, currency, description)
        VALUES ('R', '1', 'USD', 'Six eggs') ON CONFLICT DO NOTHING";
    scene
        .gives("DELETE FROM invoices WHERE id = 2", withdrawn, COUNT, "9")
        .await;
}

#[tokio::test]
async fn the_row_that_stands_for_a_used_key_is_gone_after_the_statement() {
    let Some(mut scene) = PgScene::set().await else {
        return;
    };
    let insert = "INSERT INTO invoices (external_id, order_id) VALUES ('GONE', '500') ON CONFLICT DO NOTHING";
    for writer in WRITERS {
        let left = "SELECT count(*) FROM invoices WHERE version < 0";
        assert_eq!(
            scene.attempt(writer, "", insert, left).await.as_deref(),
            Ok("0")
        );
        let keys = "SELECT count(*) FROM used_keys";
        assert_eq!(
            scene.attempt(writer, "", insert, keys).await.as_deref(),
            Ok("1")
        );
    }
}
