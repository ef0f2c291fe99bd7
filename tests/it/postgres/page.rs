//! The SQL of docs/postgres.md, in the order of the page, on a server.

use payrecond::store::postgres::migrate_schema;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use super::server::{self, As};

const PAGE: &str = include_str!("../../../docs/postgres.md");

/// Each statement alone: a database is not made within a transaction.
async fn run(connection: &mut PgConnection, block: &str) {
    for statement in block
        .split(';')
        .map(str::trim)
        .filter(|statement| !statement.is_empty())
    {
        let ran = connection
            .execute(AssertSqlSafe(statement.to_owned()))
            .await;
        assert!(ran.is_ok(), "{statement}: {ran:?}");
    }
}

#[tokio::test]
async fn the_set_up_of_the_page_lets_daemon_and_program_in() {
    let Some(database) = server::empty_database().await else {
        return;
    };
    let blocks: Vec<&str> = PAGE
        .split("```sql\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    let [roles, rights, row_security] = blocks.as_slice() else {
        panic!("{} blocks of SQL", blocks.len());
    };
    // Of the page's own names; the server is this test process's.
    let url = |user: &str| {
        let of_admin = database.url(As::Admin);
        let (server, _) = of_admin.rsplit_once('/').unwrap();
        format!("{}/shop", server.replace("postgres@", &format!("{user}@")))
    };
    run(&mut database.connect(As::Admin).await, roles).await;
    let mut owner = PgConnection::connect(&url("payrecond_owner"))
        .await
        .unwrap();
    migrate_schema(&mut owner).await.unwrap();
    let mut admin = PgConnection::connect(&url("postgres")).await.unwrap();
    run(&mut admin, rights).await;

    let mut shop = PgConnection::connect(&url("shop")).await.unwrap();
    let insert = "INSERT INTO invoices (account, external_id, status) VALUES ($1, $2, 'pending')";
    shop.execute("CREATE TABLE credited (event_id text PRIMARY KEY)")
        .await
        .unwrap();
    for account in ["default", "other"] {
        shop.execute(sqlx::query(insert).bind(account).bind("A"))
            .await
            .unwrap();
    }
    run(&mut admin, row_security).await;
    let seen = "SELECT string_agg(account, ',') FROM invoices";
    let of_shop: String = sqlx::query_scalar(seen).fetch_one(&mut shop).await.unwrap();
    assert_eq!(of_shop, "default");
    let refused = shop
        .execute(sqlx::query(insert).bind("other").bind("B"))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("row-level security"),
        "{refused}"
    );
    shop.execute(sqlx::query(insert).bind("default").bind("B"))
        .await
        .unwrap();
    let mut daemon = PgConnection::connect(&url("payrecond")).await.unwrap();
    let all = "SELECT count(*) FROM payrecond.invoices";
    let of_daemon: i64 = sqlx::query_scalar(all)
        .fetch_one(&mut daemon)
        .await
        .unwrap();
    assert_eq!(of_daemon, 3);
}
