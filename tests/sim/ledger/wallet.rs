//! YooMoney's side of a wallet: newest first, in a window of time, pages that shift.

use std::cmp::Reverse;
use std::time::Duration;

use payrecond::domain::time::UnixMillis;
use payrecond::domain::transaction::{Direction, TransactionStatus};
use payrecond::provider::http::Request;
use serde_json::{Value, json};

use crate::ledger::book::{Book, Movement};
use crate::ledger::server::Answer;
use crate::provider::SimProvider;

/// The daemon's harmless request.
const PROBE: &str = "type=deposition&records=1";

/// Whether it asks for nothing but whether the token works.
pub fn is_probe(request: &Request) -> bool {
    let path = request.path_and_query.as_str();
    path == "/api/operation-history" && request.body.as_deref() == Some(PROBE)
}

/// What it does and says to a method, in short and in full.
pub fn answer(
    sim: &SimProvider,
    method: &str,
    body: &str,
    now: Duration,
    arrives: bool,
) -> (String, Answer) {
    match method {
        "/api/operation-history" if body == PROBE => (
            "here".into(),
            Answer::ok(r#"{"next_record":"1","operations":[]}"#),
        ),
        "/api/operation-history" => history(sim, &Asked::read(body), now, arrives),
        other => {
            sim.world
                .trace
                .broken("only the named methods are called", other);
            ("unknown".into(), Answer::failure(404, ""))
        }
    }
}

/// What a request asks for.
#[derive(Default)]
struct Asked {
    from: Option<UnixMillis>,
    till: Option<UnixMillis>,
    label: Option<String>,
    start: Option<usize>,
    records: usize,
}

impl Asked {
    fn read(body: &str) -> Self {
        let mut asked = Self {
            records: 30,
            ..Self::default()
        };
        for (name, value) in url::form_urlencoded::parse(body.as_bytes()) {
            match name.as_ref() {
                "from" => asked.from = UnixMillis::parse(&value),
                "till" => asked.till = UnixMillis::parse(&value),
                "label" => asked.label = Some(value.into_owned()),
                "start_record" => asked.start = value.parse().ok(),
                "records" => asked.records = value.parse().unwrap_or(30),
                _ => {}
            }
        }
        asked
    }

    /// The incoming operations that it is about, newest first.
    fn places(&self, book: &Book, now: Duration) -> Vec<usize> {
        let is_asked = |movement: &Movement| {
            let at = book.happened_at(movement);
            movement.is_shown(now)
                && movement.direction == Direction::In
                && self.from.is_none_or(|from| at >= from)
                && self.till.is_none_or(|till| at < till)
                && (self.label.is_none() || self.label == movement.label)
        };
        let movements = book.movements.iter().enumerate();
        let mut places: Vec<usize> = movements
            .filter(|(_, one)| is_asked(one))
            .map(|(place, _)| place)
            .collect();
        places.sort_by_key(|place| Reverse((book.happened_at(&book.movements[*place]), *place)));
        places
    }
}

fn history(sim: &SimProvider, asked: &Asked, now: Duration, arrives: bool) -> (String, Answer) {
    let mut world = sim.world.lock();
    let may_be_absent = world.rng.bool();
    let store = &mut world.stores[sim.account];
    let life = store.life;
    let Some(book) = &mut store.book else {
        return ("no ledger".into(), Answer::failure(500, ""));
    };
    let places = asked.places(book, now);
    let start = asked.start.unwrap_or(0);
    let most = asked.records.clamp(1, 100).min(book.page_cap);
    let page: Vec<usize> = places.iter().copied().skip(start).take(most).collect();
    let items: Vec<Value> = page
        .iter()
        .map(|place| item(book, &book.movements[*place], now))
        .collect();
    let goes_on = start + page.len() < places.len();
    if arrives && asked.label.is_none() {
        book.begin_page(asked.start.is_none(), now, life);
        for place in &page {
            book.note_told(*place, now, life);
        }
        if !goes_on {
            book.end_reading();
        }
    }
    let mut body = json!({ "operations": items });
    if page.is_empty() && may_be_absent {
        body = json!({});
    }
    if goes_on {
        body["next_record"] = json!((start + page.len()).to_string());
    }
    let from = asked.from.map(|from| from.0);
    let said = format!(
        "from {from:?} start {start} of {} -> {}",
        places.len(),
        book.in_short(&page)
    );
    (said, Answer::ok(body.to_string()))
}

fn item(book: &Book, movement: &Movement, now: Duration) -> Value {
    let status = match movement.status(now) {
        TransactionStatus::Succeeded => "success",
        TransactionStatus::InProgress => "in_progress",
        TransactionStatus::Refused => "refused",
    };
    let money: serde_json::Number = serde_json::from_str(&book.kind.money(movement.units)).unwrap();
    let mut item = json!({
        "operation_id": movement.id, "status": status, "direction": "in", "amount": money,
        "datetime": book.happened_at(movement).to_string(), "type": "deposition", "amount_currency": "RUB",
        "title": "a deposition",
    });
    if let Some(label) = &movement.label {
        item["label"] = json!(label);
    }
    item
}
