//! Numbers where text belongs, and text that is not UTF-8: refused at the INSERT, in every column
//! that a program writes, with a message that says what to do instead.

use super::{Case, PAID, Scene, gives, refused};

/// Invalid UTF-8: text in CP1251, single bytes, sequences that are too short or too long, half of a
/// surrogate pair, code points above Unicode.
const NO_UTF8: &[&str] = &[
    "cff0e8e2e5f2",
    "b8e6e8ea",
    "41a041",
    "41a0",
    "61ff",
    "c041",
    "d041",
    "d0",
    "e4b841",
    "e4b8",
    "f09fa541",
    "c181",
    "e082a0",
    "f08080a0",
    "f08282ac",
    "eda080",
    "edbfbf",
    "f4908080",
    "f888808080",
    "d0afaf",
];

/// The statement that writes `text`, an expression, into `column`.
fn insert(verb: &str, column: &str, text: &str) -> String {
    let mut values = [
        ("external_id", "'A'"),
        ("description", "NULL"),
        ("options", "NULL"),
        ("metadata", "NULL"),
    ];
    for value in &mut values {
        if value.0 == column {
            value.1 = text;
        }
    }
    let values = values.map(|(_, value)| value).join(", ");
    format!(
        "{verb} INTO invoices (order_id, external_id, description, options, metadata)
         VALUES ('1', {values})"
    )
}

/// `bytes` as the text for `column`, within JSON where required.
fn text(column: &str, bytes: &str) -> String {
    match column {
        "options" => format!("CAST(x'7b2261223a22{bytes}227d' AS TEXT)"),
        "metadata" => format!("CAST(x'22{bytes}22' AS TEXT)"),
        _ => format!("CAST(x'{bytes}' AS TEXT)"),
    }
}

const COLUMNS: [(&str, &str); 4] = [
    ("external_id", "invoices.external_id: must be UTF-8"),
    ("description", "invoices.description: must be UTF-8"),
    ("options", "invoices.options: must be UTF-8"),
    ("metadata", "invoices.metadata: must be UTF-8"),
];

#[tokio::test]
async fn invalid_utf8_is_refused_in_every_column() {
    let mut cases: Vec<Case> = Vec::new();
    for (column, message) in COLUMNS {
        for bytes in NO_UTF8 {
            let sql = insert("INSERT OR IGNORE", column, &text(column, bytes));
            cases.push(refused(&sql, &sql, message));
        }
        // At any position in a long text: the rule reads it in pieces of 64 characters.
        for before in [62, 63, 64, 65, 127, 128, 200] {
            let bytes = format!("{}e9", "d18f".repeat(before));
            let sql = insert("INSERT", column, &text(column, &bytes));
            cases.push(refused(&sql, &sql, message));
        }
    }
    for bytes in NO_UTF8 {
        let sql = format!("UPDATE invoices SET metadata = CAST(x'22{bytes}22' AS TEXT)");
        cases.push(refused(&sql, &sql, "invoices.metadata: must be UTF-8"));
        let sql = format!("INSERT INTO consumers (name) VALUES (CAST(x'{bytes}' AS TEXT))");
        cases.push(refused(&sql, &sql, "consumers.name: "));
    }
    Scene::set().await.play(cases).await;
}

#[tokio::test]
async fn valid_utf8_is_stored_unchanged() {
    let mut cases: Vec<Case> = Vec::new();
    let ask = "SELECT hex(external_id) FROM invoices ORDER BY id DESC LIMIT 1";
    // A replacement character that the shop wrote itself, the limits of each length, a flag of two
    // code points.
    for (bytes, hex) in [
        ("efbfbd", "EFBFBD"),
        ("d0afd0b9d186d0b0", "D0AFD0B9D186D0B0"),
        ("c2a0", "C2A0"),
        ("dfbf", "DFBF"),
        ("e0a080", "E0A080"),
        ("ed9fbf", "ED9FBF"),
        ("ee8080", "EE8080"),
        ("f0908080", "F0908080"),
        ("f48fbfbd", "F48FBFBD"),
        ("f09f87b7f09f87ba", "F09F87B7F09F87BA"),
    ] {
        let sql = insert("INSERT", "external_id", &text("external_id", bytes));
        cases.push(gives(&sql, &sql, ask, hex));
    }
    let all = "INSERT INTO invoices (order_id, external_id, description, options, metadata)
         VALUES ('1', '\u{fffd}', '\u{fffd}', '{\"a\":\"\u{fffd}\"}', '\"\u{fffd}\"')";
    let kept = "SELECT external_id || description || options || metadata FROM invoices WHERE order_id = '1'";
    let answer = "\u{fffd}\u{fffd}{\"a\":\"\u{fffd}\"}\"\u{fffd}\"";
    cases.push(gives("U+FFFD in each column", all, kept, answer));
    cases.push(gives(
        "a consumer",
        "INSERT INTO consumers (name) VALUES ('касса-\u{fffd}')",
        "SELECT max(name) FROM consumers",
        "касса-\u{fffd}",
    ));
    Scene::set().await.play(cases).await;
}

#[tokio::test]
async fn a_float_bound_into_a_text_column_is_refused_with_advice() {
    let mut cases: Vec<Case> = Vec::new();
    let mut float = |columns: &str, values: &str, message: &'static str| {
        for verb in ["INSERT", "INSERT OR IGNORE", "REPLACE"] {
            let sql = format!("{verb} INTO invoices ({columns}) VALUES ({values})");
            cases.push(refused(&sql, &sql, message));
        }
    };
    for id in [
        "42.0",
        "-1001234567890.0",
        "1e15",
        "2703383946854401.0",
        "-1e300",
    ] {
        let values = format!("{id}, '1'");
        float("external_id, order_id", &values, "pass the id as text");
    }
    for amount in ["1.0", "0.30000000000000004", "0.5", "1e22", "-1.5"] {
        let values = format!("'A', '1', {amount}, 'USD'");
        float(
            "external_id, order_id, amount, currency",
            &values,
            "at most 40 characters; pass it as text",
        );
    }
    for (column, message) in [
        (
            "description",
            "invoices.description: text of 1 to 4096 characters; pass it as text",
        ),
        (
            "options",
            "invoices.options: a JSON object of at most 16 KiB; pass it as text",
        ),
        (
            "metadata",
            "invoices.metadata: JSON of at most 32 KiB; pass it as text",
        ),
        (
            "account",
            "invoices.account: 1 to 32 characters of a-z, 0-9, - and _, as text",
        ),
    ] {
        let columns = format!("external_id, order_id, {column}");
        float(&columns, "'A', '1', 12345.0", message);
    }
    float(
        "external_id, order_id, amount, currency",
        "'A', '1', '1', 840.0",
        "invoices.currency: a code such as USD or TON: 1 to 16 of A-Z and 0-9, as text",
    );
    float("external_id, order_id", "'A', 1.5", "pass it as text");
    let metadata = format!("UPDATE invoices SET metadata = 1.5 WHERE id = {PAID}");
    cases.push(refused(&metadata, &metadata, "invoices.metadata: JSON"));
    let consumer = "INSERT OR IGNORE INTO consumers (name) VALUES (42.0)";
    cases.push(refused(consumer, consumer, "pass the name as text"));
    Scene::set().await.play(cases).await;
}

/// Converted as in the first version; and rows are found by it.
#[tokio::test]
async fn a_whole_number_bound_into_a_text_column_is_its_digits() {
    let row = |columns: &str, values: &str, ask: &'static str, answer: &'static str| {
        let sql = format!("INSERT INTO invoices ({columns}) VALUES ({values})");
        gives(&sql, &sql, ask, answer)
    };
    let cases = vec![
        row(
            "external_id, order_id, amount, currency, description, metadata",
            "9007199254740993, 7, 3, 'USD', 12345, 5",
            "SELECT typeof(external_id) || typeof(order_id) || typeof(amount) || typeof(description) || typeof(metadata) || external_id || amount || description || metadata
               FROM invoices WHERE external_id = 9007199254740993 AND order_id = 7",
            "texttexttexttexttext90071992547409933123455",
        ),
        gives(
            "metadata",
            "UPDATE invoices SET metadata = 5 WHERE external_id = 'PAID'",
            "SELECT typeof(metadata) || metadata FROM invoices WHERE external_id = 'PAID'",
            "text5",
        ),
        // Digits and dots alone do not make a float.
        row(
            "external_id, order_id",
            "'1.2.0', '1'",
            "SELECT external_id FROM invoices WHERE order_id = '1'",
            "1.2.0",
        ),
        row(
            "external_id, order_id",
            "'100500.1', '1'",
            "SELECT external_id FROM invoices WHERE order_id = '1'",
            "100500.1",
        ),
        row(
            "external_id, order_id",
            "'ORD-42.0', '1'",
            "SELECT external_id FROM invoices WHERE order_id = '1'",
            "ORD-42.0",
        ),
        row(
            "external_id, order_id, amount, currency",
            "'A', '1', '42.0', 'USD'",
            "SELECT amount FROM invoices WHERE order_id = '1'",
            "42.0",
        ),
    ];
    Scene::set().await.play(cases).await;
}
