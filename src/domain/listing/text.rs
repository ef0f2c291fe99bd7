//! The knowledge of the list as one line, for a column of the database.

use std::fmt::Write as _;

use super::positions::{LAST_POSITION, MOST_SAMPLES, Positions, Sample};
use crate::domain::time::UnixMillis;

/// First field of the text.
const VERSION: &str = "1";

impl Positions {
    /// One line for a database column, at most 16 KiB: version, total, floor, time of the first
    /// sample, and each sample's distances to the one before, in hexadecimal.
    pub fn to_text(&self) -> String {
        let first_ms = self.samples.first().map_or(0, |s| s.created_at.0);
        let mut text = format!("{VERSION} {} {} {first_ms}", self.total, self.floor);
        let mut last = Sample {
            position: 0,
            created_at: UnixMillis(first_ms),
        };
        for sample in &self.samples {
            let places = sample.position - last.position;
            let millis = sample.created_at.0.abs_diff(last.created_at.0);
            // Writing to a String cannot fail.
            let _ = write!(text, " {places:x}+{millis:x}");
            last = *sample;
        }
        text
    }

    /// Parses the output of `to_text`. Any other text counts as nothing known.
    pub fn parse(text: &str) -> Self {
        Self::read(text).unwrap_or_default()
    }

    fn read(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        if words.next()? != VERSION {
            return None;
        }
        let total: u64 = words.next()?.parse().ok()?;
        let floor: u64 = words.next()?.parse().ok()?;
        let mut position = 0_u64;
        let mut millis: i64 = words.next()?.parse().ok()?;
        let mut samples: Vec<Sample> = Vec::new();
        for word in words {
            let (places, later) = word.split_once('+')?;
            let places = u64::from_str_radix(places, 16).ok()?;
            if samples.len() == MOST_SAMPLES || (places == 0 && !samples.is_empty()) {
                return None;
            }
            position = position.checked_add(places)?;
            millis = millis.checked_add_unsigned(u64::from_str_radix(later, 16).ok()?)?;
            samples.push(Sample {
                position,
                created_at: UnixMillis(millis),
            });
        }
        let in_order = floor <= total && total <= LAST_POSITION;
        let inside = samples.last().is_none_or(|s| s.position < total);
        (in_order && inside).then_some(Self {
            total,
            floor,
            samples,
            ..Self::default()
        })
    }
}
