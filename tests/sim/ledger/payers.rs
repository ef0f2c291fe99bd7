//! What the payers of a ledger do: drawn for the whole life of the world, whatever the daemon does.

use std::cmp::Reverse;
use std::time::Duration;

use payrecond::domain::transaction::Direction;

use crate::ledger::book::{Book, Course, LedgerKind, Movement};
use crate::nature::{AccountNature, Nature};
use crate::shapes::Quirks;
use crate::world::{Fate, Kind, Wish};

/// Longer than a payload or a label may be.
const TOO_LONG: usize = 130;
/// Older than what is read at the first start, and not so old.
const OLD: Duration = Duration::from_hours(30);
const RECENT: Duration = Duration::from_hours(10);
/// So many entries in a row may be no Stars: several pages that show nothing. The daemon passes a thousand.
const LEFT_OUT_TOGETHER: usize = 800;
/// The daemon does not find the payment of such a refund in every case yet.
const REFUNDS_MAY_LACK_LABELS: bool = true;
/// An operation turns up so late at most: windows overlap by more.
const LATEST_LAG_S: u64 = 1500;

/// An invoice of an account that keeps a ledger.
pub fn draw_wish(
    n: usize,
    account: usize,
    kind: LedgerKind,
    nature: &Nature,
    rng: &mut fastrand::Rng,
) -> Wish {
    let is_wallet = kind == LedgerKind::Wallet;
    let what = match rng.u8(..20) {
        0 => Kind::LongLabel,
        1 => Kind::RefusedHere,
        2 if !is_wallet => Kind::RefusedThere,
        3..=8 => Kind::Requested,
        _ => Kind::Expected,
    };
    let mut external_id = format!("ORD-{n}");
    if what == Kind::LongLabel {
        external_id.push_str(&"x".repeat(TOO_LONG));
    }
    let units = if is_wallet {
        rng.u64(200..50_000)
    } else {
        rng.u64(3..300)
    };
    let most = [45, 120, 300][rng.usize(..3)];
    Wish {
        account,
        external_id,
        kind: what,
        amount: kind.money(units),
        currency: kind.currency(),
        units,
        states_amount: rng.u8(..5) != 0,
        timeout_s: rng.u64(30..most),
        fate: Fate::Forgotten,
        quirks: Quirks::default(),
        drop_in_at: nature.active.mul_f64(0.6 * rng.f64()),
        order_id: None,
        inserted_at: None,
    }
}

/// The ledger of an account, with all that will ever move in it.
pub fn draw_book(
    account: usize,
    own: &AccountNature,
    kind: LedgerKind,
    nature: &Nature,
    wishes: &[Wish],
    rng: &mut fastrand::Rng,
) -> Book {
    let mut payers = Payers {
        kind,
        nature,
        rng,
        movements: Vec::new(),
    };
    let paying = wishes.iter().filter(|wish| {
        wish.account == account
            && !matches!(
                wish.kind,
                Kind::LongLabel | Kind::RefusedHere | Kind::RefusedThere
            )
    });
    for wish in paying {
        payers.pay(wish);
    }
    payers.add_noise();
    let mut movements = payers.movements;
    movements.sort_by_key(|one| (one.shown_from, Reverse(one.lag)));
    name_all(kind, &mut movements);
    let most = [0, 5000, 600_000][rng.usize(..3)];
    Book {
        kind,
        ahead_ms: rng.i64(-most..=most),
        page_cap: usize::try_from(own.page_limit)
            .unwrap_or(usize::MAX)
            .min(100),
        movements,
        readings: Vec::new(),
        linked: Vec::new(),
    }
}

/// Ids; a refund has that of its payment, which is marked in it until then.
fn name_all(kind: LedgerKind, movements: &mut [Movement]) {
    let mut named: Vec<(String, String)> = Vec::new();
    for (n, movement) in movements.iter_mut().enumerate() {
        let id = match kind {
            LedgerKind::Stars => format!("stx{n}"),
            LedgerKind::Wallet => format!("{}", 752_413_347_835_145_000_u64 + n as u64),
        };
        let mark = std::mem::replace(&mut movement.id, id);
        if mark.is_empty() {
            continue;
        }
        match named.iter().find(|(other, _)| *other == mark) {
            Some((_, payment)) => movement.id.clone_from(payment),
            None => named.push((mark, movement.id.clone())),
        }
    }
}

struct Payers<'a> {
    kind: LedgerKind,
    nature: &'a Nature,
    rng: &'a mut fastrand::Rng,
    movements: Vec<Movement>,
}

impl Payers<'_> {
    fn secs(&mut self, most: u64) -> Duration {
        Duration::from_millis(self.rng.u64(..most * 1000))
    }

    /// What arrives when the payer pays so much: at a wallet less than that.
    fn arrives(&mut self, gross: u64) -> u64 {
        match self.kind {
            LedgerKind::Stars => gross,
            LedgerKind::Wallet if self.rng.bool() => (gross * 97 + 50) / 100,
            LedgerKind::Wallet => (gross * 100 + 50) / 101,
        }
    }

    fn add(&mut self, wish: &Wish, gross: u64, at: Duration) -> &mut Movement {
        let units = self.arrives(gross);
        let has_share = self.kind == LedgerKind::Stars && self.rng.u8(..6) == 0;
        let share = if has_share { self.rng.u64(..units) } else { 0 };
        let mut movement = Movement::paid(Some(&wish.external_id), units, at);
        movement.share = share;
        self.movements.push(movement);
        let last = self.movements.len() - 1;
        &mut self.movements[last]
    }

    fn pay(&mut self, wish: &Wish) {
        let dropped = wish.drop_in_at;
        let in_time = {
            let from = match wish.kind {
                // Money may come before its invoice.
                Kind::Expected if self.rng.u8(..4) == 0 => dropped.saturating_sub(self.secs(60)),
                _ => dropped,
            };
            from + self.secs(wish.timeout_s)
        };
        let deadline = dropped + Duration::from_secs(wish.timeout_s);
        let late = deadline + self.nature.deadline_grace + self.secs(120);
        let whole = wish.units;
        match self.rng.u8(..16) {
            0..=2 => self.pay_sum(wish, whole, in_time),
            3..=4 => self.pay_in_parts(wish, in_time),
            5 => self.pay_sum(wish, whole / 2, in_time),
            6 => self.pay_twice(wish, in_time),
            7..=8 => self.pay_sum(wish, whole, late),
            9 => {
                let near = deadline + self.secs(60);
                self.pay_sum(wish, whole, near);
            }
            10 => self.pay_slowly(wish, in_time),
            11 => self.be_refused(wish, in_time),
            12 => self.pay_and_return(wish, in_time),
            13 => self.turn_up_late(wish, in_time),
            _ => {}
        }
    }

    fn pay_sum(&mut self, wish: &Wish, gross: u64, at: Duration) {
        self.add(wish, gross, at);
    }

    /// At once, soon or much later.
    fn after(&mut self, at: Duration) -> Duration {
        match self.rng.u8(..3) {
            0 => at,
            1 => at + self.secs(30),
            _ => at + self.secs(400),
        }
    }

    /// Together the price; the last one perhaps too late.
    fn pay_in_parts(&mut self, wish: &Wish, at: Duration) {
        let first = self.rng.u64(1..wish.units);
        let later = self.after(at);
        self.add(wish, first, at);
        self.add(wish, wish.units - first, later);
    }

    fn pay_twice(&mut self, wish: &Wish, at: Duration) {
        let later = self.after(at);
        self.add(wish, wish.units, at);
        self.add(wish, wish.units, later);
    }

    fn pay_slowly(&mut self, wish: &Wish, at: Duration) {
        let until = at + self.secs(400);
        let for_ever = self.rng.u8(..4) == 0;
        let is_wallet = self.kind == LedgerKind::Wallet;
        let movement = self.add(wish, wish.units, at);
        if is_wallet {
            movement.course = if for_ever {
                Course::InProgressForEver
            } else {
                Course::Until(until, true)
            };
        }
    }

    fn be_refused(&mut self, wish: &Wish, at: Duration) {
        if self.kind == LedgerKind::Stars {
            return;
        }
        let until = at + self.secs(200);
        let at_once = self.rng.bool();
        self.add(wish, wish.units, at).course = if at_once {
            Course::Refused
        } else {
            Course::Until(until, false)
        };
        if self.rng.bool() {
            self.add(wish, wish.units, until);
        }
    }

    fn pay_and_return(&mut self, wish: &Wish, at: Duration) {
        let later = self.after(at);
        let hides_label = self.rng.bool() && REFUNDS_MAY_LACK_LABELS;
        let mark = format!("payment of {}", wish.external_id);
        let is_wallet = self.kind == LedgerKind::Wallet;
        let payment = self.add(wish, wish.units, at);
        payment.id.clone_from(&mark);
        if is_wallet {
            // A return is an outgoing transfer of its own, which nobody reads.
            return;
        }
        let refund = Movement {
            direction: Direction::Out,
            hides_label,
            shown_from: later,
            ..payment.clone()
        };
        self.movements.push(refund);
    }

    /// Shown long after it happened.
    fn turn_up_late(&mut self, wish: &Wish, at: Duration) {
        let lag = self.secs(LATEST_LAG_S);
        let is_wallet = self.kind == LedgerKind::Wallet;
        let shown_from = at + self.secs(30);
        let movement = self.add(wish, wish.units, shown_from);
        if is_wallet {
            movement.lag = lag;
        }
    }

    /// Money of nobody, and what is no money.
    fn add_noise(&mut self) {
        let active = self.nature.active;
        for n in 0..self.rng.usize(..8) {
            let label = (self.rng.u8(..3) != 0).then(|| format!("nobody-{n}"));
            let at = active.mul_f64(self.rng.f64());
            let units = self.rng.u64(1..500);
            let mut movement = Movement::paid(label.as_deref(), units, at);
            if self.kind == LedgerKind::Stars && self.rng.u8(..3) == 0 {
                movement.direction = Direction::Out;
            }
            self.movements.push(movement);
        }
        for (age, most) in [(OLD, 300), (RECENT, 30)] {
            if self.rng.u8(..3) == 0 {
                let many = self.rng.usize(1..most);
                self.add_many(many, Duration::ZERO, age, false);
            }
        }
        // Enough for several pages at once.
        if self.rng.u8(..3) == 0 {
            let at = active.mul_f64(self.rng.f64());
            let many = self.rng.usize(1..140);
            self.add_many(many, at, Duration::ZERO, false);
        }
        if self.kind == LedgerKind::Stars && self.rng.bool() {
            let at = active.mul_f64(self.rng.f64());
            let most = [20, 120, LEFT_OUT_TOGETHER][self.rng.usize(..3)];
            let many = self.rng.usize(1..most);
            self.add_many(many, at, Duration::ZERO, true);
        }
    }

    fn add_many(&mut self, count: usize, at: Duration, lag: Duration, is_left_out: bool) {
        for n in 0..count {
            let mut movement = Movement::paid(Some(&format!("old-{n}")), 1 + n as u64, at);
            movement.lag = lag;
            movement.is_left_out = is_left_out;
            self.movements.push(movement);
        }
    }
}
