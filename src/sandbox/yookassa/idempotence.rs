//! The header `Idempotence-Key`: for 24 hours a repeated request gets the first answer again.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use bytes::Bytes;

use crate::sandbox::answer::SimulatedAnswer;
use crate::sandbox::moment::Moment;

const KEPT: Duration = Duration::from_hours(24);
const KEY_MOST_CHARS: usize = 64;

/// The answers to requests that took effect, by shop and key.
#[derive(Default)]
pub(super) struct AnswerMemory {
    answers: HashMap<(String, String), Remembered>,
}

struct Remembered {
    at: Moment,
    fingerprint: u64,
    answer: SimulatedAnswer,
    /// The id of the object that was created or changed.
    id: String,
}

/// The result of looking up a key.
pub(super) enum Recollection {
    New,
    /// The same request was answered before; with the object's id.
    Repeat(SimulatedAnswer, String),
    /// Another request had this key.
    Duplicate,
}

/// Identifies a request by its path and its exact bytes.
pub(super) fn fingerprint(path: &str, body: &Bytes) -> u64 {
    let mut hasher = DefaultHasher::new();
    (path, body).hash(&mut hasher);
    hasher.finish()
}

/// Whether the header's value is a valid key.
pub(super) fn is_key(key: &str) -> bool {
    (1..=KEY_MOST_CHARS).contains(&key.chars().count())
}

impl AnswerMemory {
    pub fn recall(&self, shop: &str, key: &str, fingerprint: u64, now: Moment) -> Recollection {
        let known = self.answers.get(&(shop.to_owned(), key.to_owned()));
        match known.filter(|known| now.since(known.at) < KEPT) {
            None => Recollection::New,
            Some(known) if known.fingerprint == fingerprint => {
                Recollection::Repeat(known.answer.clone(), known.id.clone())
            }
            Some(_) => Recollection::Duplicate,
        }
    }

    pub fn remember(
        &mut self,
        (shop, key): (&str, &str),
        fingerprint: u64,
        (answer, id): (SimulatedAnswer, String),
        at: Moment,
    ) {
        let remembered = Remembered {
            at,
            fingerprint,
            answer,
            id,
        };
        self.answers
            .insert((shop.to_owned(), key.to_owned()), remembered);
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    #[test]
    fn a_key_is_good_for_a_day_and_one_request() {
        let mut memory = AnswerMemory::default();
        let start = Moment::from_nanos(0);
        let answer = SimulatedAnswer::failure(StatusCode::OK, &1);
        memory.remember(("shop", "k"), 7, (answer, "id".into()), start);
        let recalled = |shop, print, hours| {
            let at = start.plus(Duration::from_hours(hours));
            match memory.recall(shop, "k", print, at) {
                Recollection::New => "new",
                Recollection::Repeat(..) => "repeat",
                Recollection::Duplicate => "duplicate",
            }
        };
        assert_eq!(recalled("shop", 7, 23), "repeat");
        assert_eq!(recalled("shop", 8, 23), "duplicate");
        assert_eq!(recalled("shop", 8, 24), "new");
        assert_eq!(recalled("other", 8, 1), "new");
        assert!(is_key("k") && !is_key("") && !is_key(&"k".repeat(65)));
    }
}
