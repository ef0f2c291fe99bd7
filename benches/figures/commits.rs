//! Decided transitions into the database, beside raw SQLite writing the very same rows.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use payrecond::domain::decide::{Decision, decide};
use payrecond::domain::invoice::{AccountName, Invoice};
use payrecond::domain::observation::{Observation, ObservedMoney, ObservedOrder, OrderState};
use payrecond::store::{Database as _, QueuePlace, Store, Written};

use crate::Scale;
use crate::bed::{Database, Order, Rows, folder, limit, now};
use crate::table::{Row, Table, per_second, percent, rate};

const SECTION: &str = "commits";
pub const BATCH: usize = 500;

pub async fn measure(scale: Scale, table: &mut Table) -> Result<()> {
    for rows in [10_000, scale.of(1_000_000)] {
        let count = 10_000;
        let folder = folder()?;
        let database = Database::create(folder.path(), "ours.db").await?;
        database.fill_idle(rows - count).await?;
        database.fill(&due_orders(count), Rows::Fresh).await?;
        let fresh = database.copy(folder.path(), "fresh.db")?;
        let ours = by_store(&database, count).await?;
        let path = |database: &Database| database.path.to_string_lossy().into_owned();
        let batch = BATCH.to_string();
        let told = limit(&["commit", &path(&database), &path(&fresh), &batch])?
            .stdout(std::process::Stdio::piped())
            .output()?;
        let told = String::from_utf8(told.stdout)?;
        let (written, seconds) = told
            .trim()
            .split_once(' ')
            .context("the limit said nothing")?;
        if written.parse() != Ok(count) {
            bail!("the limit wrote {written} rows");
        }
        let limit = Duration::from_secs_f64(seconds.parse()?);
        let written = count as u64;
        table.add(
            SECTION,
            Row {
                what: format!("transitions with their events, {rows} rows in the table"),
                figure: per_second(written, ours),
                beside: format!("raw SQLite, same rows: {}", per_second(written, limit)),
                ratio: percent(rate(written, ours) / rate(written, limit)),
                target: "≥ 60 %".into(),
            },
        );
    }
    Ok(())
}

async fn by_store(database: &Database, count: usize) -> Result<Duration> {
    let store = database.store().await?;
    let decisions = decisions(&store, "default", count).await?;
    let began = Instant::now();
    write(&store, &decisions).await?;
    let took = began.elapsed();
    store.close().await;
    Ok(took)
}

/// The payments of an account's due invoices, which must be `count`.
pub async fn decisions(store: &impl Store, account: &str, count: usize) -> Result<Vec<Decision>> {
    let account = AccountName(account.to_owned());
    let start = QueuePlace::default();
    let due = store
        .due_after(&account, start, now(), u32::try_from(count)?)
        .await?;
    let ids: Vec<_> = due.iter().map(|row| row.id).collect();
    let due = store.load(&ids).await?;
    let decisions: Vec<Decision> = due.iter().map(paid).collect();
    if decisions.len() != count {
        bail!("{} of {count} are due", decisions.len());
    }
    Ok(decisions)
}

/// Writes transitions in batches.
pub async fn write(store: &impl Store, decisions: &[Decision]) -> Result<()> {
    for batch in decisions.chunks(BATCH) {
        let written = store.commit(batch, now()).await?;
        let all = written
            .iter()
            .all(|one| matches!(one, Written::Yes { seq: Some(_) }));
        if !all {
            bail!("not every transition was written");
        }
    }
    Ok(())
}

/// What a preview of the paid order leads to.
pub fn paid(invoice: &Invoice) -> Decision {
    let at = now();
    let order_id = invoice.facts.order_id.clone();
    let observed = ObservedOrder {
        order_id: order_id.unwrap_or_else(|| payrecond::domain::invoice::OrderId(String::new())),
        state: OrderState::Paid,
        provider_status: "PAID".into(),
        observed_at: at,
        told_at: None,
        bare_amount: None,
        external_id: None,
        number: Some("9Q4J2SJQ".into()),
        amount: invoice.facts.amount.clone(),
        created_at: Some(invoice.created_at),
        expires_at: Some(at),
        paid_at: Some(at),
        pay_link: Some("https://t.me/wallet?startattach=wpay_order_9Q4J2SJQ".into()),
        direct_pay_link: Some("https://t.me/wallet/start?startapp=wpay_order_9Q4J2SJQ".into()),
        payment: None,
        money: ObservedMoney::default(),
    };
    let mut decision = decide(invoice, "walletpay", Observation::Seen(observed));
    decision.row.schedule.next_poll_at = None;
    decision.row.schedule.last_polled_at = Some(at);
    decision.row.schedule.polls += 1;
    decision
}

pub fn due_orders(count: usize) -> Vec<Order> {
    let order = |number: usize| Order {
        id: format!("{number:016}"),
        external_id: format!("DUE-{number}"),
        number: format!("{number:08}"),
        expiration_date_time: "2099-01-01T00:00:00Z".into(),
    };
    (1..=count).map(order).collect()
}
