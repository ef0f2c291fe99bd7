//! The methods over HTTP: `/api/<method>`, by GET or POST, with parameters in the query or the
//! body.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::any;
use bigdecimal::BigDecimal;
use bytes::Bytes;
use serde_json::{Value, json};

use super::invoice::{InvoicePrice, StoredInvoice};
use super::market;
use super::store::CryptoPaySimulator;
use super::terms::terms;
use super::wire::{self, Network};
use crate::sandbox::answer::SimulatedAnswer;
use crate::sandbox::call::{Call, Caller};
use crate::sandbox::core::SandboxCore;
use crate::sandbox::decimal;
use crate::sandbox::dialect::Dialect;
use crate::sandbox::faults::DataShape;
use crate::sandbox::moment::Moment;
use crate::sandbox::operation::{Operation, SimulatedProvider};
use crate::sandbox::params::MethodParams;
use crate::sandbox::serve::serve;
use crate::sandbox::variant::Variant;

/// Default number of invoices on a page, also when ids are given.
const COUNT_USUAL: i64 = 100;
const COUNT_MOST: i64 = 1000;
const DAY: Duration = Duration::from_hours(24);

pub(in crate::sandbox) fn routes(app: Arc<CryptoPaySimulator>) -> Router {
    Router::new()
        .route("/api/{method}", any(method))
        .with_state(app)
}

async fn method(
    State(app): State<Arc<CryptoPaySimulator>>,
    Path(name): Path<String>,
    caller: Caller,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let known = Operation::of(SimulatedProvider::CryptoPay).find(|it| it.name() == name);
    let operation = known.unwrap_or(Operation::CryptoPayUnknown);
    let key = headers.get("Crypto-Pay-API-Token");
    let key = key.and_then(|key| key.to_str().ok()).map(str::to_owned);
    let call = Call {
        core: Arc::clone(&app.core),
        dialect: &CryptoPayDialect,
        operation,
        caller,
        // A token of the other network is refused like a wrong one.
        key: key.filter(|_| !app.core.has(Variant::CryptoPayWrongNetwork)),
    };
    let job = move || match MethodParams::read(&query.unwrap_or_default(), &body) {
        Some(params) => answer(&app, operation, &name, &params),
        None => app_error(),
    };
    serve(call, job).await
}

fn answer(
    app: &CryptoPaySimulator,
    operation: Operation,
    name: &str,
    params: &MethodParams,
) -> SimulatedAnswer {
    match operation {
        Operation::CryptoPayGetMe => wire::success(&json!({
            "app_id": 28_692,
            "name": "Stated Seaslug App",
            "payment_processing_bot_username": Network::of(&app.core).bot,
        })),
        Operation::CryptoPayCreateInvoice => match terms(params) {
            Ok(terms) => wire::success(&app.create(terms)),
            Err(refused) => refused,
        },
        Operation::CryptoPayDeleteInvoice => delete(app, params),
        Operation::CryptoPayGetInvoices => invoices(app, params).unwrap_or_else(|refused| refused),
        Operation::CryptoPayGetStats => stats(app, params),
        Operation::CryptoPayGetBalance => wire::success(&balance(app)),
        Operation::CryptoPayGetCurrencies => wire::success(&market::currencies()),
        _ if ["transfer", "createCheck", "deleteCheck"].contains(&name) => {
            wire::error(StatusCode::FORBIDDEN, "METHOD_DISABLED")
        }
        _ => wire::error(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_FOUND"),
    }
}

fn delete(app: &CryptoPaySimulator, params: &MethodParams) -> SimulatedAnswer {
    let id = params.text("invoice_id").unwrap_or_default();
    if app.delete(&id) {
        wire::success(&Value::Bool(true))
    } else if app.core.has(Variant::CryptoPayDeleteFalse) {
        wire::success(&Value::Bool(false))
    } else {
        wire::error(StatusCode::BAD_REQUEST, "INVOICE_NOT_FOUND")
    }
}

/// A page, newest first: while invoices are created, later pages shift.
fn invoices(
    app: &CryptoPaySimulator,
    params: &MethodParams,
) -> Result<SimulatedAnswer, SimulatedAnswer> {
    let refuse = |name| wire::error(StatusCode::BAD_REQUEST, name);
    let offset = params.whole("offset").map_err(|()| app_error())?;
    let offset = usize::try_from(offset.unwrap_or(0)).map_err(|_| internal_error())?;
    let count = params.whole("count").map_err(|()| app_error())?;
    let count = match count.unwrap_or(COUNT_USUAL) {
        count @ 1..=COUNT_MOST => usize::try_from(count).unwrap_or_default(),
        count if count < 0 => return Err(app_error()),
        _ => return Err(refuse("COUNT_INVALID")),
    };
    let status = params.text("status");
    if !matches!(status.as_deref(), None | Some("active" | "paid")) {
        return Err(refuse("STATUS_INVALID"));
    }
    let (asset, fiat) = (params.text("asset"), params.text("fiat"));
    let wanted = |invoice: &&StoredInvoice, now: Moment| {
        let priced_in = |code: &Option<String>| {
            code.as_deref().is_none_or(|code| {
            matches!(&invoice.terms.price, InvoicePrice::Asset(it) | InvoicePrice::Fiat { fiat: it, .. } if it == code)
        })
        };
        let is = invoice.status(now).0;
        !invoice.deleted
            && status.as_deref().is_none_or(|wanted| wanted == is)
            && priced_in(&asset)
            && priced_in(&fiat)
    };
    let ids = params
        .text("invoice_ids")
        .map(|text| ids_of(&text))
        .transpose()?;
    let items: Vec<Value> = app.see(|shelf, now| {
        let show = |invoice: &StoredInvoice| wire::invoice(&app.core, invoice, now);
        let all: Box<dyn Iterator<Item = &StoredInvoice>> = match &ids {
            Some(ids) => Box::new(ids.iter().filter_map(|id| shelf.get(id))),
            None => Box::new(shelf.all().iter().rev()),
        };
        let page = all.filter(|invoice| wanted(invoice, now)).skip(offset);
        page.take(count).map(show).collect()
    });
    Ok(wire::success(&json!({"items": items})))
}

/// The distinct ids, the highest first.
fn ids_of(text: &str) -> Result<Vec<String>, SimulatedAnswer> {
    let numbers = text.split(',').map(|id| id.trim().parse::<u64>());
    let mut ids: Vec<u64> = numbers.collect::<Result<_, _>>().map_err(|_| app_error())?;
    ids.sort_unstable_by(|one, other| other.cmp(one));
    ids.dedup();
    Ok(ids.iter().map(u64::to_string).collect())
}

fn stats(app: &CryptoPaySimulator, params: &MethodParams) -> SimulatedAnswer {
    let now = app.core.now();
    let moment = |name: &str| params.text(name).map(|text| Moment::parse(&text));
    let (Some(end), Some(start)) = (
        moment("end_at").unwrap_or(Some(now)),
        moment("start_at").unwrap_or(Some(now.minus(DAY))),
    ) else {
        return app_error();
    };
    if end.since(start) > 366 * DAY {
        return wire::error(StatusCode::BAD_REQUEST, "INTERVAL_TOO_BIG");
    }
    let within = |at: Moment| start <= at && at <= end;
    let (created, paid, volume) = app.see(|shelf, _| {
        let created = shelf.all().iter().filter(|it| within(it.created)).count();
        let payments = shelf.all().iter().filter_map(|it| it.payment.as_ref());
        let paid: Vec<_> = payments.filter(|payment| within(payment.at)).collect();
        let volume = paid
            .iter()
            .map(|payment| &payment.amount * &payment.usd_rate);
        (created, paid.len(), volume.sum::<BigDecimal>())
    });
    let conversion = if created == 0 {
        BigDecimal::from(0)
    } else {
        BigDecimal::from(paid as u64) / BigDecimal::from(created as u64)
    };
    wire::success(&json!({
        "volume": decimal::number(&decimal::rounded(&volume, 2)),
        "conversion": decimal::number(&decimal::rounded(&conversion, 4)),
        "unique_users_count": paid,
        "created_invoice_count": created,
        "paid_invoice_count": paid,
        "start_at": start.to_millis_text(),
        "end_at": end.to_millis_text(),
    }))
}

fn balance(app: &CryptoPaySimulator) -> Value {
    let mut sums: BTreeMap<&str, BigDecimal> = market::assets().map(|it| (it, 0.into())).collect();
    app.see(|shelf, _| {
        for payment in shelf.all().iter().filter_map(|it| it.payment.as_ref()) {
            let (asset, net) = match &payment.swap {
                Some(swap) => (&swap.to, swap.output.clone()),
                None => (&payment.asset, &payment.amount - &payment.fee),
            };
            if let Some(sum) = sums.get_mut(asset.as_str()) {
                *sum += net;
            }
        }
    });
    let lines = sums.iter().map(|(asset, sum)| {
        json!({"currency_code": asset, "available": decimal::shortest(sum), "onhold": "0"})
    });
    lines.collect()
}

/// Invalid parameters are answered like a failure of the service.
fn app_error() -> SimulatedAnswer {
    wire::error(StatusCode::INTERNAL_SERVER_ERROR, "APP_ERROR")
}

fn internal_error() -> SimulatedAnswer {
    wire::error(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_SERVER_ERROR")
}

/// The failures of Crypto Pay.
struct CryptoPayDialect;

static SHAPE: DataShape = DataShape {
    paths: &[&["result", "items"], &["result"]],
    id: "invoice_id",
    status: "status",
    open: "active",
    unknown: "frozen",
    final_fields: &[
        "paid_asset",
        "paid_amount",
        "paid_fiat_rate",
        "fee_asset",
        "fee_amount",
        "fee_in_usd",
        "paid_usd_rate",
        "paid_at",
        "paid_anonymously",
    ],
    beside: &[],
    absent: &[(
        "invoice_id",
        &[
            "paid_asset",
            "paid_amount",
            "paid_at",
            "expiration_date",
            "payload",
        ],
    )],
    short_page: Some(10),
    next_page: None,
};

impl Dialect for CryptoPayDialect {
    fn shape(&self) -> &'static DataShape {
        &SHAPE
    }

    fn unauthorized(&self, _: &SandboxCore) -> SimulatedAnswer {
        wire::error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED")
    }

    fn too_many_requests(&self, _: Option<&str>) -> SimulatedAnswer {
        wire::error(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_REQUESTS")
    }

    fn server_error(&self) -> SimulatedAnswer {
        internal_error()
    }

    fn not_found(&self) -> SimulatedAnswer {
        wire::error(StatusCode::NOT_FOUND, "NOT_FOUND")
    }

    fn envelope_error(&self, word: Option<&str>) -> SimulatedAnswer {
        wire::failing_envelope(word.unwrap_or("APP_ERROR"))
    }
}
