//! Telegram's side of a bot's Stars: oldest first, counted from the first, pages that may be short.

use std::time::Duration;

use payrecond::domain::transaction::Direction;
use payrecond::provider::http::Request;
use serde_json::{Value, json};

use crate::ledger::book::Movement;
use crate::ledger::server::Answer;
use crate::provider::SimProvider;
use crate::world::Kind;

/// Entries that a page covers; those that are no Stars are left out of it.
const PAGE: usize = 100;

/// What it does and says to a method, in short and in full.
pub fn answer(
    sim: &SimProvider,
    method: &str,
    body: &str,
    now: Duration,
    arrives: bool,
) -> (String, Answer) {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    match method {
        "/getMe" => (
            "here".into(),
            Answer::ok(r#"{"ok":true,"result":{"id":1,"is_bot":true}}"#),
        ),
        "/getMyStarBalance" => balance(sim, now),
        "/getStarTransactions" => transactions(sim, &body, now, arrives),
        "/createInvoiceLink" => link(sim, &body),
        other => {
            sim.world
                .trace
                .broken("only the named methods are called", other);
            ("unknown".into(), Answer::failure(404, error(404, 0)))
        }
    }
}

/// The payload of the invoice for which a request wants a link.
pub fn payload_of_creation(request: &Request) -> Option<String> {
    let path = request.path_and_query.as_str();
    let body = request
        .body
        .as_deref()
        .filter(|_| path == "/createInvoiceLink")?;
    let body: Value = serde_json::from_str(body).ok()?;
    body["payload"].as_str().map(str::to_owned)
}

/// An error in the Bot API's form.
pub fn error(status: u16, retry_after: u64) -> String {
    let parameters = (retry_after > 0).then(|| json!({ "retry_after": retry_after }));
    json!({"ok": false, "error_code": status, "description": "in words", "parameters": parameters})
        .to_string()
}

fn success(result: &Value) -> Answer {
    Answer::ok(json!({"ok": true, "result": result}).to_string())
}

fn balance(sim: &SimProvider, now: Duration) -> (String, Answer) {
    let world = sim.world.lock();
    let book = world.stores[sim.account].book.iter();
    let sum = |direction| -> u64 {
        let moved = book.clone().flat_map(|book| book.shown(now));
        moved
            .filter(|one| one.direction == direction)
            .map(|one| one.units - one.share)
            .sum()
    };
    let amount =
        i64::try_from(sum(Direction::In)).unwrap() - i64::try_from(sum(Direction::Out)).unwrap();
    (
        format!("-> {amount}"),
        success(&json!({ "amount": amount })),
    )
}

fn transactions(sim: &SimProvider, body: &Value, now: Duration, arrives: bool) -> (String, Answer) {
    let offset = usize::try_from(body["offset"].as_i64().unwrap_or(0).max(0)).unwrap();
    let limit = usize::try_from(body["limit"].as_i64().unwrap_or(100).clamp(1, 100)).unwrap();
    let mut world = sim.world.lock();
    let is_short = world.rng.bool();
    let store = &mut world.stores[sim.account];
    let life = store.life;
    let Some(book) = &mut store.book else {
        return ("no ledger".into(), Answer::failure(500, error(500, 0)));
    };
    let most = if is_short {
        book.page_cap.min(limit)
    } else {
        limit
    };
    let there = book
        .movements
        .iter()
        .take_while(|one| one.shown_from <= now)
        .count();
    let window = offset.min(there)..there.min(offset + PAGE);
    let places: Vec<usize> = window
        .filter(|place| !book.movements[*place].is_left_out)
        .take(most)
        .collect();
    let items: Vec<Value> = places
        .iter()
        .map(|place| {
            let movement = &book.movements[*place];
            item(movement, book.happened_at(movement).0.div_euclid(1000))
        })
        .collect();
    if arrives {
        book.begin_page(false, now, life);
        for place in &places {
            book.note_told(*place, now, life);
        }
        if places.is_empty() {
            book.end_reading();
        }
    }
    let said = format!("{offset}+{limit} of {there} -> {}", book.in_short(&places));
    (said, success(&json!({ "transactions": items })))
}

fn item(movement: &Movement, date: i64) -> Value {
    let amount = movement.units - movement.share;
    let mut partner =
        json!({"type": "user", "transaction_type": "invoice_payment", "user": {"id": 7}});
    if let Some(label) = movement.label.as_ref().filter(|_| !movement.hides_label) {
        partner["invoice_payload"] = json!(label);
    }
    if movement.share > 0 {
        let sign = if movement.direction == Direction::In {
            ""
        } else {
            "-"
        };
        let share: i64 = format!("{sign}{}", movement.share).parse().unwrap();
        partner["affiliate"] = json!({"commission_per_mille": 100, "amount": share});
    }
    let side = match movement.direction {
        Direction::In => "source",
        Direction::Out => "receiver",
    };
    json!({"id": movement.id, "date": date, "amount": amount, side: partner})
}

fn link(sim: &SimProvider, body: &Value) -> (String, Answer) {
    let payload = body["payload"].as_str().unwrap_or_default();
    let mut world = sim.world.lock();
    let is_refused = world
        .wish(sim.account, payload)
        .is_none_or(|wish| wish.kind == Kind::RefusedThere);
    let store = &mut world.stores[sim.account];
    if is_refused {
        store.said_refused.push(payload.to_owned());
        return (
            format!("{payload} refused"),
            Answer::failure(400, error(400, 0)),
        );
    }
    if let Some(book) = &mut store.book {
        book.linked.push(payload.to_owned());
    }
    (
        format!("{payload} linked"),
        success(&json!(format!("https://t.me/$invoice-{payload}"))),
    )
}
