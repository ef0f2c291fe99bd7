//! The status page for a browser, a keyboard and a screen reader.

use std::collections::BTreeSet;

use payrecond::sandbox::SimulatedPayment;

use super::http::{Answer, Place, ask, ask_until};
use super::{open_with_socket, with_socket};
use crate::faults::program::program;
use crate::shop::Shop;

/// Text that an attacker may write in a text field.
const ATTACK: &str = r#"<script>alert(1)</script>" onload='alert(2)' &lt;"#;

/// The opening tags of a page, with their attributes.
fn tags(html: &str) -> Vec<&str> {
    let tags = html
        .split('<')
        .skip(1)
        .filter_map(|rest| rest.split('>').next());
    tags.filter(|tag| !tag.starts_with('/')).collect()
}

fn headline(answer: &Answer) -> &str {
    let after = answer.body.split("<h1 id=\"headline\">").nth(1).unwrap();
    after.split('<').next().unwrap()
}

/// The rules of every page: nothing inline, nothing from other hosts, attributes for screen
/// readers.
fn keeps_the_rules(html: &str) {
    for tag in tags(html) {
        let name = tag.split_whitespace().next().unwrap();
        if name == "!doctype" {
            continue;
        }
        assert!(!tag.contains("style="), "{tag}");
        let mut outside = tag.split('"').step_by(2);
        let handles = |part: &str| part.trim().starts_with("on") && part.ends_with('=');
        assert!(!outside.any(handles), "{tag}");
        assert!(
            name != "style" && name != "iframe" && name != "img",
            "{tag}"
        );
        assert!(
            name != "script" || tag.contains("src=\"status.js\""),
            "{tag}"
        );
        for link in ["href=\"", "src=\"", "action=\""] {
            if let Some(target) = tag.split(link).nth(1) {
                // Relative: a proxy may serve the page under another path.
                let target = target.split('"').next().unwrap();
                assert!(!target.starts_with('/') && !target.contains(':'), "{tag}");
            }
        }
    }
    for mark in [
        "<html lang=\"en\">",
        "<main id=\"main\"",
        "<header",
        "<footer",
        "role=\"search\"",
        "<label for=\"ref\"",
    ] {
        assert!(html.contains(mark), "{mark}");
    }
    assert_eq!(html.matches("<h1").count(), 1);
    assert!(html.contains("name=\"viewport\""));
    let heads = tags(html).into_iter().filter(|tag| tag.starts_with("th "));
    for head in heads {
        assert!(head.contains("scope="), "{head}");
    }
    ids_are_unique(html);
}

fn ids_are_unique(html: &str) {
    let mut seen = BTreeSet::new();
    for tag in tags(html) {
        if let Some(id) = tag.split(" id=\"").nth(1) {
            let id = id.split('"').next().unwrap();
            assert!(seen.insert(id), "{id} twice");
        }
        if let Some(by) = tag.split("aria-labelledby=\"").nth(1) {
            let by = by.split('"').next().unwrap();
            assert!(html.contains(&format!(" id=\"{by}\"")), "{by}");
        }
    }
}

/// Foreign text stays text: it adds no tag and no attribute.
fn is_escaped(html: &str) {
    for tag in tags(html) {
        // Within quotes it is text as well.
        let mut outside = tag.split('"').step_by(2);
        assert!(!outside.any(|part| part.contains("alert(")), "{tag}");
    }
    assert!(html.contains("alert(1)"), "the text itself is shown");
}

fn encoded(text: &str) -> String {
    text.bytes()
        .fold(String::new(), |text, byte| text + &format!("%{byte:02X}"))
}

async fn drop_in_attack(shop: &Shop) {
    let quoted = ATTACK.replace('\'', "''");
    let metadata = serde_json::json!({ "note": ATTACK })
        .to_string()
        .replace('\'', "''");
    shop.execute(&format!(
        "INSERT INTO invoices (external_id, order_id, description, metadata)
         VALUES ('{quoted}', '404', '{quoted}', '{metadata}')"
    ))
    .await;
}

#[tokio::test]
async fn the_page_shows_at_once_that_payments_are_detected() {
    let (shop, place) = open_with_socket().await;
    let daemon = shop.start();
    let empty = ask_until(&place, "/", &[], |answer| answer.code == 200).await;
    assert_eq!(headline(&empty), "Ready: no invoice has been polled yet");
    keeps_the_rules(&empty.body);
    let id = shop.drop_in("ORD-1").await;
    shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    shop.until("SELECT status FROM invoices", "paid").await;
    let page = ask(&place, "/").await;
    assert_eq!(page.code, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(headline(&page), "Payments are being detected");
    keeps_the_rules(&page.body);
    assert!(
        page.body
            .contains("<title>✓ Payments are being detected – payrecond</title>")
    );
    assert!(
        page.body
            .contains("href=\"invoice?ref=ORD-1&amp;account=default\">ORD-1</a>")
    );
    assert!(page.body.contains("1.00 USD"));
    daemon.stop().await;
}

#[tokio::test]
async fn the_page_shows_at_once_that_payments_are_not_detected() {
    let mut shop = Shop::refusing_the_key().await;
    let place = Place::Unix(with_socket(&mut shop));
    let daemon = shop.start();
    shop.drop_in("ORD-1").await;
    let refused = |answer: &Answer| answer.body.contains("hero bad");
    let page = ask_until(&place, "/", &[], refused).await;
    assert_eq!(headline(&page), "Payments are not being detected");
    assert!(page.body.contains(
        "<strong>account default</strong>: key_refused: the provider refuses the API key"
    ));
    keeps_the_rules(&page.body);
    daemon.stop().await;
}

#[tokio::test]
async fn an_unknown_account_is_shown_beside_another_failure() {
    let mut shop = Shop::refusing_the_key().await;
    let place = Place::Unix(with_socket(&mut shop));
    let daemon = shop.start();
    shop.drop_in("ORD-1").await;
    shop.execute(
        "INSERT INTO invoices (account, external_id, order_id) VALUES ('misspelt', 'ORD-2', '2')",
    )
    .await;
    let both = |answer: &Answer| {
        answer.body.contains("<strong>account default</strong>")
            && answer.body.contains("<strong>account misspelt</strong>")
    };
    let page = ask_until(&place, "/", &[], both).await;
    assert_eq!(headline(&page), "Payments are not being detected");
    keeps_the_rules(&page.body);
    let counted = |answer: &Answer| answer.body.contains("its invoices wait (1 invoice)");
    ask_until(&place, "/", &[], counted).await;
    let waiting = "payrecond_invoices_of_unknown_accounts 1\n";
    ask_until(&place, "/metrics", &[], |answer| {
        answer.body.contains(waiting)
    })
    .await;
    daemon.stop().await;
}

#[tokio::test]
async fn an_account_that_is_switched_off_is_shown_as_such() {
    let mut shop = Shop::open().await;
    shop.configure("[[account]]\nname = \"closed\"\nenabled = false\n");
    let place = Place::Unix(with_socket(&mut shop));
    let daemon = shop.start();
    let page = ask_until(&place, "/", &[], |answer| answer.code == 200).await;
    let row = page.body.split("closed</th>").nth(1).unwrap();
    let row = row.split("</tr>").next().unwrap();
    assert!(row.contains(">disabled<"), "{row}");
    keeps_the_rules(&page.body);
    daemon.stop().await;
}

#[tokio::test]
async fn a_consumer_far_behind_is_an_alarm() {
    let (shop, place) = open_with_socket().await;
    let daemon = shop.start();
    shop.execute("INSERT INTO consumers (name) VALUES ('bot')")
        .await;
    let id = shop.drop_in("ORD-1").await;
    shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    shop.until("SELECT count(*) FROM outbox", "1").await;
    // Otherwise only a clock could make it old.
    shop.execute("DROP TRIGGER outbox_before_update").await;
    shop.execute("UPDATE outbox SET created_at = created_at - 8 * 86400000")
        .await;
    let ready = ask_until(&place, "/readyz", &[], |answer| answer.code == 503).await;
    assert!(
        ready
            .body
            .contains("FAILED  consumer bot       oldest unacknowledged event is 8 d old"),
        "{}",
        ready.body
    );
    let page = ask(&place, "/").await;
    assert_eq!(headline(&page), "Payments are detected, but not read");
    keeps_the_rules(&page.body);
    daemon.stop().await;
}

#[tokio::test]
async fn what_needs_a_person_is_shown_with_its_reason() {
    let (shop, place) = open_with_socket().await;
    let order = payrecond::sandbox::NewOrder::simple("ORD-1", "2.00", "USD");
    let id = shop.world.create(&order).unwrap().order.id;
    shop.execute(&format!(
        "INSERT INTO invoices (external_id, order_id, amount, currency) VALUES ('ORD-1', '{id}', '1.00', 'USD')"
    ))
    .await;
    let daemon = shop.start();
    shop.until("SELECT status FROM invoices", "review").await;
    let page = ask(&place, "/").await;
    assert!(page.body.contains("Invoices in review"));
    assert!(
        page.body
            .contains("the amount of the provider&#39;s order differs")
    );
    keeps_the_rules(&page.body);
    daemon.stop().await;
}

#[tokio::test]
async fn foreign_text_is_escaped_on_every_page() {
    let mut shop = Shop::open().await;
    // An order that is not found needs a person at once: an event, a reason, a row.
    shop.configure("not_found_grace = \"0s\"\n");
    let place = Place::Unix(with_socket(&mut shop));
    drop_in_attack(&shop).await;
    shop.execute("INSERT INTO consumers (name) VALUES ('<script>alert(1)</script>')")
        .await;
    let daemon = shop.start();
    let paid = shop.drop_in("ORD-2").await;
    shop.world.pay(&paid, &SimulatedPayment::default()).unwrap();
    shop.until(
        "SELECT status FROM invoices WHERE order_id = '404'",
        "review",
    )
    .await;
    let asked = format!("/invoice?ref={}", encoded(ATTACK));
    for path in ["/", "/invoice?ref=404", "/invoice?ref=%231", &asked] {
        let page = ask(&place, path).await;
        assert_eq!(page.code, 200, "{path}");
        is_escaped(&page.body);
        keeps_the_rules(&page.body);
    }
    let unknown = ask(&place, &format!("{asked}x")).await;
    assert_eq!(unknown.code, 404);
    is_escaped(&unknown.body);
    daemon.stop().await;
}

#[tokio::test]
async fn an_invoice_is_found_by_each_of_its_ids_and_explained() {
    let (shop, place) = open_with_socket().await;
    let daemon = shop.start();
    let id = shop.drop_in("ORD 1/ü").await;
    shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
    shop.until("SELECT status FROM invoices", "paid").await;
    for name in ["ORD 1/ü", " ORD 1/ü ", "#1", &id] {
        let page = ask(&place, &format!("/invoice?ref={}", encoded(name))).await;
        assert_eq!((page.code, headline(&page)), (200, "ORD 1/ü"), "{name}");
        keeps_the_rules(&page.body);
    }
    let page = ask(&place, "/invoice?ref=%231").await;
    let why = program(shop.folder.path())
        .args(["why", "#1", "--json"])
        .output()
        .await
        .unwrap();
    let why: serde_json::Value = serde_json::from_slice(&why.stdout).unwrap();
    let holds = why["holds"][0].as_str().unwrap();
    let holds = holds.split('(').next().unwrap();
    assert!(page.body.contains(holds), "{holds}");
    assert!(page.body.contains("Never: paid is final."));
    daemon.stop().await;
}

#[tokio::test]
async fn an_unknown_or_ambiguous_reference_gets_a_page() {
    let (shop, place) = open_with_socket().await;
    shop.execute(
        "INSERT INTO invoices (account, external_id, order_id) VALUES ('default', 'ORD-1', '1'), ('other', 'ORD-1', '2')",
    )
    .await;
    let daemon = shop.start();
    let several = ask_until(&place, "/invoice?ref=ORD-1", &[], |answer| {
        answer.code == 200
    })
    .await;
    assert_eq!(headline(&several), "2 invoices match");
    assert!(several.body.contains("\"invoice?ref=%232\""));
    keeps_the_rules(&several.body);
    let one = ask(&place, "/invoice?ref=ORD-1&account=other").await;
    assert_eq!(headline(&one), "ORD-1");
    assert!(
        one.body
            .contains("Account other is not in the configuration")
    );
    for (path, code) in [
        ("/invoice?ref=ORD-9", 404),
        ("/invoice?ref=%2399", 404),
        ("/invoice?ref=%23999999999999999999999999", 404),
        ("/invoice?ref=%00", 404),
        ("/invoice", 400),
        ("/invoice?ref=", 400),
        ("/invoice?ref=%20", 400),
        ("/invoice?ref=%FF", 404),
        ("/invoice?ref=1&ref=2", 400),
        ("/nothing-here", 404),
        ("/invoice/", 404),
        ("/status.css/../../etc/passwd", 404),
    ] {
        let page = ask(&place, path).await;
        assert_eq!(page.code, code, "{path}");
        keeps_the_rules(&page.body);
    }
    let long = format!("/invoice?ref={}", "x".repeat(5000));
    assert_eq!(ask(&place, &long).await.code, 400);
    daemon.stop().await;
}

#[tokio::test]
async fn the_pages_files_come_from_the_program() {
    let (shop, place) = open_with_socket().await;
    let daemon = shop.start();
    for (path, media_type) in [
        ("/status.css", "text/css; charset=utf-8"),
        ("/status.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let file = ask_until(&place, path, &[], |answer| answer.code == 200).await;
        assert_eq!(file.header("content-type"), Some(media_type));
        assert!(!file.body.contains("https://") && !file.body.is_empty());
    }
    daemon.stop().await;
}

/// The page is requested while another program keeps the database locked: it neither waits nor
/// hides that.
#[tokio::test]
async fn the_page_is_served_and_reports_a_locked_database() {
    let (shop, place) = open_with_socket().await;
    let daemon = shop.start();
    ask_until(&place, "/", &[], |answer| answer.code == 200).await;
    let mut other = shop.connect().await;
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    let page = ask_until(&place, "/", &[], |answer| answer.body.contains("hero bad")).await;
    assert_eq!(page.code, 200);
    assert!(
        page.body
            .contains("<strong>database</strong>: not writable")
    );
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    daemon.stop().await;
}

/// The target that a browser resolves for a link on a page.
fn followed(page: &str, link: &str) -> String {
    let page = url::Url::parse(&format!("https://shop.example{page}")).unwrap();
    page.join(link).unwrap().path().to_owned()
}

#[tokio::test]
async fn every_link_leads_to_our_own_pages_behind_a_proxy_too() {
    let (shop, place) = open_with_socket().await;
    shop.drop_in("ORD-1").await;
    let daemon = shop.start();
    let known = [
        "",
        "invoice",
        "readyz",
        "metrics",
        "status.css",
        "status.js",
        "icon.svg",
    ];
    for path in [
        "/",
        "/invoice?ref=ORD-1",
        "/invoice?ref=404",
        "/nothing",
        "/a/b/c",
        "/a/",
    ] {
        let page = ask(&place, path).await.body;
        let tags = tags(&page);
        let mut links = 0;
        for link in ["href=\"", "src=\"", "action=\""] {
            let targets = tags.iter().filter_map(|tag| tag.split(link).nth(1));
            for target in targets.map(|rest| rest.split('"').next().unwrap()) {
                let from = followed(&format!("/pay{path}"), target);
                let rest = from
                    .strip_prefix("/pay/")
                    .unwrap_or_else(|| panic!("{path}: {target}"));
                let is_own = target.starts_with('#') || known.contains(&rest);
                assert!(is_own, "{path}: {target} leads to {from}");
                links += 1;
            }
        }
        assert!(links >= 6, "{path}: {links}");
    }
    let script = ask(&place, "/status.js").await.body;
    assert!(script.contains("fetch(\"./\""), "{script}");
    daemon.stop().await;
}
