//! How soon a payment is found and what that costs, by simulation of the real cadence, decisions and
//! budget under a clock of its own, beside the ladders of others.
//!
//! The model of DESIGN.md: orders live 15 minutes; 70 % are paid, after 60 s in the median (log-normal,
//! sigma 1); 2 % of the payments show only after the expiry (a minute later on average), and until then
//! the order says EXPIRED. Detection counts from the moment a look could have seen the payment. Whoever
//! is not us stops at the first end it sees, as those programs do.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use payrecond::domain::cadence::Cadence;
use payrecond::domain::decide::decide;
use payrecond::domain::invoice::{
    AccountName, ExternalId, Facts, Invoice, InvoiceId, OrderId, PollPlan, Wish,
};
use payrecond::domain::observation::{Observation, ObservedMoney, ObservedOrder, OrderState};
use payrecond::domain::state::Status;
use payrecond::domain::time::UnixMillis;
use payrecond::limit::{Limiter, Limits};

use crate::Scale;
use crate::table::{Row, Table, percent, quantile};

const SECTION: &str = "cadence";
const LIFE: Duration = Duration::from_mins(15);
/// What is paid in time is paid by then.
const LATEST: Duration = Duration::from_secs(15 * 60 - 1);
const SEED: u64 = 20_261_122;
const UNLIMITED: Limits = Limits {
    requests_per_second: 0.0,
    burst: 1,
    max_in_flight: 1,
};
/// The default budget of an account.
const BUDGET: Limits = Limits {
    requests_per_second: 5.0,
    burst: 10,
    max_in_flight: 16,
};

/// When another program looks again: seconds after each look; the last one repeats or ends it.
struct Ladder {
    name: &'static str,
    waits_s: &'static [u64],
    repeats: bool,
}

/// Hyperswitch: default process tracker mapping of its payment sync, 60 s, then 5 times 300 s.
/// Standard Webhooks: the schedule its specification recommends, here as looks.
const LADDERS: [Ladder; 6] = [
    Ladder {
        name: "every 2 s",
        waits_s: &[2],
        repeats: true,
    },
    Ladder {
        name: "every 60 s",
        waits_s: &[60],
        repeats: true,
    },
    Ladder {
        name: "every 10 min",
        waits_s: &[600],
        repeats: true,
    },
    Ladder {
        name: "doubling from 1 s to 10 min",
        waits_s: &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600],
        repeats: true,
    },
    Ladder {
        name: "Hyperswitch's payment sync",
        waits_s: &[60, 300, 300, 300, 300, 300],
        repeats: false,
    },
    Ladder {
        name: "the ladder of Standard Webhooks",
        waits_s: &[5, 300, 1800, 7200, 18_000, 36_000, 36_000],
        repeats: false,
    },
];

#[derive(Clone, Copy)]
enum Policy<'a> {
    Ours(&'a Cadence),
    Ladder(&'a Ladder),
}

pub fn measure(scale: Scale, table: &mut Table) {
    let cadence = Cadence::default();
    let many = scale.of(20_000);
    let free = simulate(
        Policy::Ours(&cadence),
        UNLIMITED,
        many,
        Duration::from_secs(7),
    );
    for ladder in &LADDERS {
        let theirs = simulate(
            Policy::Ladder(ladder),
            UNLIMITED,
            many,
            Duration::from_secs(7),
        );
        add(
            table,
            format!("no budget, beside {}", ladder.name),
            &free,
            &theirs,
        );
    }
    let arrivals = Duration::from_secs(8);
    let ours = simulate(Policy::Ours(&cadence), BUDGET, many / 4, arrivals);
    for ladder in LADDERS.iter().take(2) {
        let theirs = simulate(Policy::Ladder(ladder), BUDGET, many / 4, arrivals);
        let what = format!("5 requests/s, an order every 8 s, beside {}", ladder.name);
        add(table, what, &ours, &theirs);
    }
}

fn add(table: &mut Table, what: String, ours: &Found, theirs: &Found) {
    table.add(
        SECTION,
        Row {
            what,
            figure: ours.words(),
            beside: theirs.words(),
            ratio: format!(
                "{} of the requests",
                percent(ours.requests / theirs.requests)
            ),
            target: "p50 2.7 s, p95 27 s, none missed".into(),
        },
    );
}

/// What a policy found.
struct Found {
    /// Seconds from visible to found, sorted.
    delays_s: Vec<f64>,
    /// Payments never found.
    missed: f64,
    /// Requests an order.
    requests: f64,
    /// Requests an order that nobody paid.
    unpaid_requests: f64,
}

impl Found {
    fn words(&self) -> String {
        let at = |share| quantile(&self.delays_s, share);
        format!(
            "p50 {:.1} s, p95 {:.1} s, p99 {:.1} s, {:.1} % missed, {:.1} requests ({:.1} unpaid)",
            at(0.5),
            at(0.95),
            at(0.99),
            self.missed * 100.0,
            self.requests,
            self.unpaid_requests
        )
    }
}

/// An order on its way through the model.
struct Order {
    row: Invoice,
    /// When a look can see the payment.
    visible: Option<Duration>,
    born: Duration,
    looks: u32,
    found: Option<Duration>,
}

#[expect(clippy::cast_precision_loss, reason = "counts of a simulation")]
fn simulate(policy: Policy<'_>, limits: Limits, count: usize, apart: Duration) -> Found {
    let mut chance = fastrand::Rng::with_seed(SEED);
    let mut orders = Vec::with_capacity(count);
    let mut queue = BinaryHeap::new();
    let mut born = Duration::ZERO;
    for number in 0..count {
        born += apart.mul_f64(exponential(&mut chance));
        orders.push(order(number, born, &mut chance));
        queue.push(Reverse((born, number)));
    }
    let mut limiter = Limiter::new(limits, Duration::ZERO);
    let mut now = Duration::ZERO;
    while let Some(Reverse((due, number))) = queue.pop() {
        now = now.max(due);
        let permit = loop {
            match limiter.take(now) {
                Ok(permit) => break permit,
                Err(wait) => now += wait.unwrap_or(Duration::from_millis(1)),
            }
        };
        limiter.settle(&permit, Ok(()), now);
        if let Some(next) = look(&mut orders[number], policy, now, chance.f64()) {
            queue.push(Reverse((next, number)));
        }
    }
    let paid = orders.iter().filter(|order| order.visible.is_some());
    let mut delays_s: Vec<f64> = paid.clone().filter_map(delay).collect();
    delays_s.sort_by(f64::total_cmp);
    let paid = paid.count();
    let looks = |orders: &[&Order]| {
        let looks: u32 = orders.iter().map(|order| order.looks).sum();
        f64::from(looks) / orders.len() as f64
    };
    let unpaid: Vec<&Order> = orders
        .iter()
        .filter(|order| order.visible.is_none())
        .collect();
    Found {
        missed: 1.0 - delays_s.len() as f64 / paid as f64,
        delays_s,
        requests: looks(&orders.iter().collect::<Vec<_>>()),
        unpaid_requests: looks(&unpaid),
    }
}

fn delay(order: &Order) -> Option<f64> {
    let (visible, found) = (order.visible?, order.found?);
    Some(found.saturating_sub(visible).as_secs_f64())
}

/// One look by the real decision; returns when to look again.
fn look(order: &mut Order, policy: Policy<'_>, now: Duration, roll: f64) -> Option<Duration> {
    order.looks += 1;
    let state = match order.visible {
        Some(visible) if now >= visible => OrderState::Paid,
        _ if now >= order.born + LIFE => OrderState::Expired,
        _ => OrderState::Open,
    };
    let at = wall(now);
    let mut decision = decide(
        &order.row,
        "walletpay",
        Observation::Seen(observed(order, state, at)),
    );
    decision.row.schedule.polls += 1;
    order.row = *decision.row;
    if order.row.facts.status == Status::Paid {
        order.found.get_or_insert(now);
    }
    match policy {
        Policy::Ours(cadence) => {
            let next = cadence.next_poll(&order.row, at, roll)?;
            Some(now + next.since(at))
        }
        Policy::Ladder(_) if state != OrderState::Open => None,
        Policy::Ladder(ladder) => {
            let step = usize::try_from(order.looks - 1).unwrap_or(usize::MAX);
            let last = ladder.waits_s.last().filter(|_| ladder.repeats);
            let wait = ladder.waits_s.get(step).or(last)?;
            Some(now + Duration::from_secs(*wait))
        }
    }
}

fn order(number: usize, born: Duration, chance: &mut fastrand::Rng) -> Order {
    let pays = chance.f64() < 0.7;
    let late = chance.f64() < 0.02;
    let normal =
        (-2.0 * (1.0 - chance.f64()).ln()).sqrt() * (std::f64::consts::TAU * chance.f64()).cos();
    let after = Duration::from_secs_f64(60.0 * normal.exp());
    let visible = if late {
        LIFE + Duration::from_mins(1).mul_f64(exponential(chance))
    } else {
        after.min(LATEST)
    };
    Order {
        row: row(number, wall(born)),
        visible: pays.then_some(born + visible),
        born,
        looks: 0,
        found: None,
    }
}

/// Of mean 1.
fn exponential(chance: &mut fastrand::Rng) -> f64 {
    -(1.0 - chance.f64()).ln()
}

/// The simulation begins somewhere in 2026.
fn wall(now: Duration) -> UnixMillis {
    UnixMillis(1_790_000_000_000).plus(now)
}

fn row(number: usize, born: UnixMillis) -> Invoice {
    Invoice {
        id: InvoiceId(i64::try_from(number).unwrap_or(i64::MAX)),
        account: AccountName("default".into()),
        external_id: ExternalId(format!("ORD-{number}")),
        wish: Wish {
            timeout_s: i64::try_from(LIFE.as_secs()).unwrap_or(i64::MAX),
            ..Wish::default()
        },
        metadata: None,
        transactions: Vec::new(),
        facts: Facts {
            order_id: Some(OrderId(number.to_string())),
            ..Facts::bare(Status::Pending)
        },
        version: 0,
        created_at: born,
        updated_at: born,
        schedule: PollPlan::default(),
    }
}

fn observed(order: &Order, state: OrderState, at: UnixMillis) -> ObservedOrder {
    let word = match state {
        OrderState::Paid => "PAID",
        OrderState::Expired => "EXPIRED",
        _ => "ACTIVE",
    };
    ObservedOrder {
        order_id: OrderId(
            order
                .row
                .external_id
                .0
                .trim_start_matches("ORD-")
                .to_owned(),
        ),
        state,
        provider_status: word.into(),
        observed_at: at,
        told_at: None,
        bare_amount: None,
        external_id: None,
        number: None,
        amount: None,
        created_at: Some(order.row.created_at),
        expires_at: Some(order.row.created_at.plus(LIFE)),
        paid_at: (state == OrderState::Paid).then_some(at),
        pay_link: None,
        direct_pay_link: None,
        payment: None,
        money: ObservedMoney::default(),
    }
}
