//! Why an INSERT is refused, under every conflict clause, and what is accepted.

use super::{Case, Scene, gives, refused};

/// `{values}` that break one rule, and the message that names column and rule.
pub const BROKEN: &[(&str, &str, &str)] = &[
    (
        "external_id, order_id",
        "NULL, '1'",
        "invoices.external_id: must be given",
    ),
    ("order_id", "'1'", "invoices.external_id: must be given"),
    (
        "external_id, order_id",
        "'', '1'",
        "invoices.external_id: text of 1 to 255",
    ),
    (
        "external_id, order_id",
        "'   ', '1'",
        "invoices.external_id: must not be blank",
    ),
    (
        "external_id, order_id",
        "replace(hex(zeroblob(128)), '00', 'яя'), '1'",
        "invoices.external_id: text of 1 to 255",
    ),
    (
        "external_id, order_id",
        "x'4f5244', '1'",
        "invoices.external_id: text of 1 to 255",
    ),
    (
        "external_id, order_id",
        "'a' || char(10) || 'b', '1'",
        "invoices.external_id: no control",
    ),
    (
        "external_id, order_id",
        "'a' || char(127), '1'",
        "invoices.external_id: no control",
    ),
    (
        "external_id, order_id",
        "'a' || char(128), '1'",
        "invoices.external_id: no control",
    ),
    (
        "external_id, order_id",
        "'a' || char(159), '1'",
        "invoices.external_id: no control",
    ),
    (
        "external_id, order_id",
        "CAST(x'410042' AS TEXT), '1'",
        "invoices.external_id: no control",
    ),
    (
        "external_id, order_id",
        "CAST(x'63616665e9' AS TEXT), '1'",
        "invoices.external_id: must be UTF-8",
    ),
    (
        "external_id, order_id",
        "CAST(x'cff0e8e2e5f2' AS TEXT), '1'",
        "invoices.external_id: must be UTF-8",
    ),
    (
        "external_id, order_id",
        "'A', ''",
        "invoices.order_id: letters, digits",
    ),
    (
        "external_id, order_id",
        "'A', ' '",
        "invoices.order_id: letters, digits",
    ),
    (
        "external_id, order_id",
        "'A', 2703383946854401.0",
        "invoices.order_id: letters, digits",
    ),
    (
        "external_id, order_id",
        "'A', '2.7e+15'",
        "invoices.order_id: letters, digits",
    ),
    (
        "external_id, order_id",
        "'A', 27033839468544010000",
        "invoices.order_id: letters, digits",
    ),
    (
        "external_id, order_id",
        "'A', x'31'",
        "invoices.order_id: letters, digits",
    ),
    (
        "external_id, order_id",
        "'A', '1' || char(0)",
        "invoices.order_id: letters, digits",
    ),
    (
        "external_id, order_id",
        "'A', '١'",
        "invoices.order_id: letters, digits",
    ),
    (
        "account, external_id, order_id",
        "'', 'A', '1'",
        "invoices.account: 1 to 32",
    ),
    (
        "account, external_id, order_id",
        "'Default', 'A', '1'",
        "invoices.account: 1 to 32",
    ),
    (
        "account, external_id, order_id",
        "'default ', 'A', '1'",
        "invoices.account: 1 to 32",
    ),
    (
        "account, external_id, order_id",
        "x'61', 'A', '1'",
        "invoices.account: 1 to 32",
    ),
    (
        "account, external_id, order_id",
        "'a2345678901234567890123456789012x', 'A', '1'",
        "invoices.account: 1 to 32",
    ),
    (
        "external_id, order_id, amount",
        "'A', '1', '1.00'",
        "invoices.currency: must be given with amount",
    ),
    (
        "external_id, order_id, currency",
        "'A', '1', 'USD'",
        "invoices.amount: must be given with currency",
    ),
    (
        "external_id, amount, currency",
        "'A', '1.00', 'USD'",
        "invoices.description: must be given",
    ),
    (
        "external_id, description",
        "'A', 'Six eggs'",
        "invoices.amount: must be given when order_id",
    ),
    (
        "external_id, amount, currency, description",
        "'A', '1', 'USD', ''",
        "invoices.description: text of 1 to 4096",
    ),
    (
        "external_id, amount, currency, description",
        "'A', '1', 'USD', replace(hex(zeroblob(4097)), '00', 'я')",
        "invoices.description: text of 1 to 4096",
    ),
    (
        "external_id, amount, currency, description",
        "'A', '1', 'USD', CAST(x'4142434445004142' AS TEXT)",
        "invoices.description: text of 1 to 4096",
    ),
    (
        "external_id, amount, currency, description",
        "'A', '1', 'USD', x'4142434445'",
        "invoices.description: text of 1 to 4096",
    ),
    (
        "external_id, order_id, description",
        "'A', '1', CAST(x'4100' AS TEXT)",
        "invoices.description: text of 1 to 4096",
    ),
    (
        "external_id, order_id, description",
        "'A', '1', hex(zeroblob(2048)) || 'a'",
        "invoices.description: text of 1 to 4096",
    ),
    (
        "external_id, order_id, timeout_seconds",
        "'A', '1', 29",
        "invoices.timeout_seconds: a whole number",
    ),
    (
        "external_id, order_id, timeout_seconds",
        "'A', '1', 2678401",
        "invoices.timeout_seconds: a whole number",
    ),
    (
        "external_id, order_id, timeout_seconds",
        "'A', '1', 60.5",
        "invoices.timeout_seconds: a whole number",
    ),
    (
        "external_id, order_id, timeout_seconds",
        "'A', '1', '1h'",
        "invoices.timeout_seconds: a whole number",
    ),
    (
        "external_id, order_id, timeout_seconds",
        "'A', '1', ''",
        "invoices.timeout_seconds: a whole number",
    ),
    (
        "external_id, order_id, options",
        "'A', '1', ''",
        "invoices.options: a JSON object",
    ),
    (
        "external_id, order_id, options",
        "'A', '1', '[]'",
        "invoices.options: a JSON object",
    ),
    (
        "external_id, order_id, options",
        "'A', '1', 'null'",
        "invoices.options: a JSON object",
    ),
    (
        "external_id, order_id, options",
        "'A', '1', '{\"a\":NaN}'",
        "invoices.options: a JSON object",
    ),
    (
        "external_id, order_id, options",
        "'A', '1', '{\"a\":1,}'",
        "invoices.options: a JSON object",
    ),
    (
        "external_id, order_id, options",
        "'A', '1', '{a:1}'",
        "invoices.options: a JSON object",
    ),
    (
        "external_id, order_id, options",
        "'A', '1', x'7b7d'",
        "invoices.options: a JSON object",
    ),
    (
        "external_id, order_id, options",
        "'A', '1', CAST(x'7b7d0041' AS TEXT)",
        "invoices.options: a JSON object",
    ),
    (
        "external_id, order_id, options",
        "'A', '1', '{\"a\":\"' || hex(zeroblob(8189)) || '\"}'",
        "invoices.options: a JSON object",
    ),
    (
        "external_id, order_id, metadata",
        "'A', '1', ''",
        "invoices.metadata: JSON",
    ),
    (
        "external_id, order_id, metadata",
        "'A', '1', 'chat'",
        "invoices.metadata: JSON",
    ),
    (
        "external_id, order_id, metadata",
        "'A', '1', '{''a'':1}'",
        "invoices.metadata: JSON",
    ),
    (
        "external_id, order_id, metadata",
        "'A', '1', '[1,]'",
        "invoices.metadata: JSON",
    ),
    (
        "external_id, order_id, metadata",
        "'A', '1', '// a' || char(10) || '1'",
        "invoices.metadata: JSON",
    ),
    (
        "external_id, order_id, metadata",
        "'A', '1', 'Infinity'",
        "invoices.metadata: JSON",
    ),
    (
        "external_id, order_id, metadata",
        "'A', '1', '+1'",
        "invoices.metadata: JSON",
    ),
    (
        "external_id, order_id, metadata",
        "'A', '1', x'7b7d'",
        "invoices.metadata: JSON",
    ),
    (
        "external_id, order_id, metadata",
        "'A', '1', CAST(x'7b7d0041' AS TEXT)",
        "invoices.metadata: JSON",
    ),
    (
        "external_id, order_id, metadata",
        "'A', '1', '\"' || replace(hex(zeroblob(8192)), '00', 'яя') || '\"'",
        "invoices.metadata: JSON",
    ),
    (
        "external_id, order_id, status",
        "'A', '1', 'paid'",
        "invoices.status: leave it out",
    ),
    (
        "external_id, order_id, status",
        "'A', '1', 'requested'",
        "invoices.status: leave it out",
    ),
    (
        "external_id, order_id, status",
        "'A', '1', ''",
        "invoices.status: leave it out",
    ),
    (
        "external_id, status",
        "'A', 'paid'",
        "invoices.status: leave it out",
    ),
    (
        "external_id, status",
        "'A', 'requested'",
        "invoices.amount: must be given when order_id",
    ),
    (
        "external_id, status, amount",
        "'A', 'pending', '1.00'",
        "invoices.currency: must be given with amount",
    ),
    (
        "external_id, order_id, version",
        "'A', '1', 1",
        "invoices.version: leave it out",
    ),
    (
        "external_id, order_id, next_poll_at",
        "'A', '1', 5",
        "invoices.next_poll_at: leave it out",
    ),
    (
        "id, external_id, order_id",
        "5000, 'A', '1'",
        "invoices.id: leave it out",
    ),
    (
        "id, external_id, order_id",
        "-1, 'A', '1'",
        "invoices.id: leave it out",
    ),
    (
        "rowid, external_id, order_id",
        "5000, 'A', '1'",
        "invoices.id: leave it out",
    ),
];

/// Amounts that are not plain decimals.
pub const NO_MONEY: &[&str] = &[
    "''",
    "' 1'",
    "'1 '",
    "'0'",
    "'0.00'",
    "'-1'",
    "'+1'",
    "'.5'",
    "'5.'",
    "'1e3'",
    "'1,5'",
    "'1.0.0'",
    "'0x1'",
    "'NaN'",
    "'١'",
    "x'31'",
    "'1' || char(0)",
    "1e-7",
    "1e300",
    "'11111111111111111111111111111111111111111'",
];

pub const DAEMONS_OWN: &[&str] = &[
    "reason",
    "provider_status",
    "order_number",
    "pay_link",
    "direct_pay_link",
    "expires_at",
    "paid_at",
    "paid_amount",
    "paid_currency",
    "fee_amount",
    "net_amount",
    "exchange_rate",
    "received_amount",
    "refunded_amount",
    "refunded_at",
    "is_test",
    "created_at",
    "updated_at",
    "last_polled_at",
    "polls",
    "failures",
    "last_error",
    "create_sent_at",
    "ended_at",
    "not_found_since",
    "daemon_writes",
];

const CLAUSES: &[(&str, &str)] = &[
    ("INSERT", ""),
    ("INSERT OR IGNORE", ""),
    ("INSERT OR ABORT", ""),
    ("INSERT OR FAIL", ""),
    ("INSERT OR ROLLBACK", ""),
    ("INSERT OR REPLACE", ""),
    ("REPLACE", ""),
    ("INSERT", " ON CONFLICT DO NOTHING"),
    ("INSERT", " ON CONFLICT (account, external_id) DO NOTHING"),
    (
        "INSERT",
        " ON CONFLICT (account, external_id) DO UPDATE SET metadata = excluded.metadata",
    ),
];

#[tokio::test]
async fn an_invalid_row_is_refused_under_every_conflict_clause() {
    let mut cases: Vec<Case> = Vec::new();
    let mut broken = |columns: &str, values: &str, message: &'static str| {
        for (verb, tail) in CLAUSES {
            let sql = format!("{verb} INTO invoices ({columns}) VALUES ({values}){tail}");
            cases.push(refused(&sql, &sql, message));
        }
    };
    for (columns, values, message) in BROKEN {
        broken(columns, values, message);
    }
    // The clauses share the same code for each of these, so one of them is enough.
    let mut plain = |columns: &str, values: &str, message: &'static str| {
        let sql = format!("INSERT OR IGNORE INTO invoices ({columns}) VALUES ({values})");
        cases.push(refused(&sql, &sql, message));
    };
    for amount in NO_MONEY {
        let values = format!("'A', '1', {amount}, 'USD'");
        plain(
            "external_id, order_id, amount, currency",
            &values,
            "invoices.amount: a plain decimal",
        );
    }
    for currency in [
        "''",
        "'usd'",
        "'US D'",
        "x'555344'",
        "'ABCDEFGHIJKLMNOPQ'",
        "'USD' || char(0)",
    ] {
        let values = format!("'A', '1', '1', {currency}");
        plain(
            "external_id, order_id, amount, currency",
            &values,
            "invoices.currency: a code",
        );
    }
    for column in DAEMONS_OWN {
        let columns = format!("external_id, order_id, {column}");
        plain(
            &columns,
            "'A', '1', 7",
            "are written by the daemon: leave them out",
        );
    }
    Scene::set().await.play(cases).await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn a_valid_row_is_stored_unchanged() {
    let row = |ask: &'static str, columns: &str, values: &str, answer: &'static str| {
        let sql = format!("INSERT INTO invoices ({columns}) VALUES ({values})");
        gives(&sql.clone(), &sql, ask, answer)
    };
    let all_null = "INSERT INTO invoices (id, account, external_id, order_id, amount, currency,
        description, timeout_seconds, options, metadata, status, reason, provider_status,
        order_number, pay_link, direct_pay_link, expires_at, paid_at, paid_amount, paid_currency,
        fee_amount, net_amount, exchange_rate, version, created_at, updated_at, next_poll_at,
        last_polled_at, polls, failures, last_error)
        VALUES (NULL, NULL, 'A', '1', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        NULL, NULL)";
    let defaults = "SELECT account || '|' || timeout_seconds || '|' || status || '|' || version
        || '|' || polls || '|' || failures || '|' || daemon_writes || '|'
        || (created_at = updated_at AND created_at = next_poll_at) || '|'
        || (abs(created_at - CAST(strftime('%s', 'now') AS INTEGER) * 1000) < 60000)
        FROM invoices WHERE external_id = 'A'";
    let mut cases = vec![
        gives(
            "NULL is the default",
            all_null,
            defaults,
            "default|86400|pending|0|0|0|0|1|1",
        ),
        row(
            "SELECT length(external_id) FROM invoices ORDER BY id DESC LIMIT 1",
            "external_id, order_id",
            "replace(hex(zeroblob(85)), '00', 'яяя'), '1'",
            "255",
        ),
        row(
            "SELECT order_id FROM invoices WHERE external_id = 'A'",
            "external_id, order_id",
            "'A', 2703383946854401",
            "2703383946854401",
        ),
        row(
            "SELECT order_id FROM invoices WHERE external_id = 'A'",
            "external_id, order_id",
            "'A', 'ab-C_9'",
            "ab-C_9",
        ),
        row(
            "SELECT external_id FROM invoices WHERE order_id = '1'",
            "external_id, order_id",
            "12345, '1'",
            "12345",
        ),
        row(
            "SELECT amount FROM invoices WHERE external_id = 'A'",
            "external_id, order_id, amount, currency",
            "'A', '1', '0.100000340', 'TON'",
            "0.100000340",
        ),
        row(
            "SELECT status FROM invoices WHERE external_id = 'A'",
            "external_id, order_id, status, version, polls, failures, next_poll_at",
            "'A', '1', 'pending', 0, 0, 0, 0",
            "pending",
        ),
        row(
            "SELECT status FROM invoices WHERE external_id = 'A'",
            "external_id, amount, currency, description, status",
            "'A', '1', 'USD', 'eggs!', 'requested'",
            "requested",
        ),
        row(
            "SELECT length(description) FROM invoices WHERE external_id = 'A'",
            "external_id, amount, currency, description",
            "'A', '1', 'USD', replace(hex(zeroblob(4096)), '00', 'я')",
            "4096",
        ),
        row(
            "SELECT timeout_seconds || status FROM invoices WHERE external_id = 'A'",
            "external_id, amount, currency, description, timeout_seconds",
            "'A', '1', 'USD', '!', 2678400",
            "2678400requested",
        ),
        row(
            "SELECT status || (next_poll_at = created_at) || coalesce(order_id, '-') FROM invoices WHERE external_id = 'A'",
            "external_id, status",
            "'A', 'pending'",
            "pending1-",
        ),
        row(
            "SELECT status || amount || currency FROM invoices WHERE external_id = 'A'",
            "account, external_id, amount, currency, status",
            "'stars', 'A', '100', 'XTR', 'pending'",
            "pending100XTR",
        ),
        row(
            "SELECT typeof(timeout_seconds) FROM invoices WHERE external_id = 'A'",
            "external_id, order_id, timeout_seconds",
            "'A', '1', '3600'",
            "integer",
        ),
        row(
            "SELECT account FROM invoices WHERE external_id = 'A'",
            "account, external_id, order_id",
            "'not-configured', 'A', '1'",
            "not-configured",
        ),
        row(
            "SELECT length(metadata) FROM invoices WHERE external_id = 'A'",
            "external_id, order_id, metadata",
            "'A', '1', '\"' || hex(zeroblob(16383)) || '\"'",
            "32768",
        ),
        row(
            "SELECT length(options) FROM invoices WHERE external_id = 'A'",
            "external_id, order_id, options",
            "'A', '1', '{\"a\":\"' || hex(zeroblob(8188)) || '\"}'",
            "16384",
        ),
        row(
            "SELECT metadata FROM invoices WHERE external_id = 'A'",
            "external_id, order_id, metadata",
            "'A', '1', '{\"a\":1,\"a\":2}'",
            "{\"a\":1,\"a\":2}",
        ),
        row(
            "SELECT metadata FROM invoices WHERE external_id = 'A'",
            "external_id, order_id, metadata",
            "'A', '1', 9007199254740993",
            "9007199254740993",
        ),
        row(
            "SELECT length(metadata) FROM invoices WHERE external_id = 'A'",
            "external_id, order_id, metadata",
            "'A', '1', replace(hex(zeroblob(200)), '00', '[') || replace(hex(zeroblob(200)), '00', ']')",
            "400",
        ),
        gives(
            "the smallest insert",
            "INSERT INTO invoices (external_id, order_id) VALUES ('ORD-1','2703383946854401')",
            "SELECT count(*) FROM invoices WHERE external_id = 'ORD-1' AND status = 'pending'",
            "1",
        ),
        gives(
            "several at once under OR IGNORE, the middle one twice",
            "INSERT OR IGNORE INTO invoices (external_id, order_id) VALUES ('A', '1'), ('P', '2'), ('GONE', '3'), ('B', '4')",
            "SELECT group_concat(external_id) FROM (SELECT * FROM invoices WHERE id > 11 ORDER BY id)",
            "A,B",
        ),
    ];
    // Not trusted_schema = OFF: libraries before 3.41 then refuse json_valid() in any trigger.
    for pragma in [
        "recursive_triggers = ON",
        "foreign_keys = ON",
        "ignore_check_constraints = ON",
        "case_sensitive_like = ON",
    ] {
        let sql = "INSERT INTO invoices (external_id, order_id) VALUES ('A', '1')";
        let name = format!("under {pragma}");
        cases.push(
            gives(&name, sql, defaults, "default|86400|pending|0|0|0|0|1|1")
                .after(&format!("PRAGMA {pragma};")),
        );
    }
    Scene::set().await.play(cases).await;
}
