//! The table of figures: each beside what it is compared with.

use std::fmt::Write as _;
use std::time::Duration;

/// One line of the table.
pub struct Row {
    pub what: String,
    pub figure: String,
    pub beside: String,
    pub ratio: String,
    pub target: String,
}

/// All lines, by section.
#[derive(Default)]
pub struct Table {
    rows: Vec<(&'static str, Row)>,
}

impl Table {
    pub fn add(&mut self, section: &'static str, row: Row) {
        eprintln!(
            "{section}: {}: {} | {} | {}",
            row.what, row.figure, row.beside, row.ratio
        );
        self.rows.push((section, row));
    }

    pub fn markdown(&self) -> String {
        let mut text = String::from(
            "| section | what | payrecond | beside it | ratio | target |\n|---|---|---|---|---|---|\n",
        );
        for (section, row) in &self.rows {
            let Row {
                what,
                figure,
                beside,
                ratio,
                target,
            } = row;
            let _ = writeln!(
                text,
                "| {section} | {what} | {figure} | {beside} | {ratio} | {target} |"
            );
        }
        text
    }
}

/// A figure without anything beside it.
pub fn alone(what: impl Into<String>, figure: impl Into<String>, target: &str) -> Row {
    Row {
        what: what.into(),
        figure: figure.into(),
        beside: String::new(),
        ratio: String::new(),
        target: target.to_owned(),
    }
}

/// `12,345/s`
pub fn per_second(count: u64, wall: Duration) -> String {
    format!("{}/s", thousands(rate(count, wall)))
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub fn rate(count: u64, wall: Duration) -> f64 {
    count as f64 / wall.as_secs_f64()
}

/// Microseconds for each.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub fn micros_each(cpu: Duration, count: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / count as f64
}

/// A whole number with commas.
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

#[expect(clippy::cast_precision_loss, reason = "KiB of a process")]
pub fn mebibytes(kib: u64) -> String {
    format!("{:.0} MB", kib as f64 / 1024.0)
}

/// The value below which `share` of the sorted values lie.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index into a slice"
    )]
    let place = ((sorted.len() as f64 - 1.0).max(0.0) * share).round() as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5)
}
