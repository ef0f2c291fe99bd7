//! Entries of a ledger that cannot be read. Each could be a payment, so a page that has one counts as an
//! answer that cannot be read, and is asked for again. Where the provider shows the same entry the same
//! way `TIMES` in a row, it will not change: the entry is left out, and all others count.
//!
//! What is left out is known to this run alone; the next one asks as often again.

use std::collections::{HashMap, HashSet};

use crate::domain::invoice::AccountName;
use crate::domain::text::one_line;
use crate::provider::{LedgerPage, ProviderError, UnreadableEntry};

/// So often in a row an entry is shown before it is left out.
const TIMES: u32 = 3;
/// Entries that are remembered as left out; beyond that, they are asked for again.
const MOST_REMEMBERED: usize = 1 << 12;

/// The unreadable entries of one ledger.
#[derive(Debug, Default)]
pub struct UnreadableEntries {
    left_out: HashSet<u64>,
    /// How often in a row those of the last page that had some were shown.
    shown: HashMap<u64, u32>,
}

/// What is to be made of a page.
#[derive(Debug)]
pub struct JudgedPage {
    /// The page; an error while it is to be asked for again.
    pub result: Result<LedgerPage, ProviderError>,
    /// Entries that are left out from now on.
    pub newly_left_out: u64,
}

impl UnreadableEntries {
    /// Judges a page of the ledger of `account`, and warns of each entry that is left out from now on.
    pub fn judge(&mut self, account: &AccountName, page: LedgerPage) -> JudgedPage {
        let is_left_out = |one: &&UnreadableEntry| self.left_out.contains(&one.fingerprint);
        let (_, new): (Vec<&UnreadableEntry>, Vec<&UnreadableEntry>) =
            page.unreadable.iter().partition(is_left_out);
        let Some(first) = new.first() else {
            self.shown.clear();
            return JudgedPage {
                result: Ok(page),
                newly_left_out: 0,
            };
        };
        let before = std::mem::take(&mut self.shown);
        for entry in &new {
            let times = before.get(&entry.fingerprint).map_or(1, |times| times + 1);
            self.shown.insert(entry.fingerprint, times);
        }
        if self.shown.values().any(|times| *times < TIMES) {
            let what = format!("{}: {}", first.place, one_line(&first.what));
            return JudgedPage {
                result: Err(ProviderError::Malformed(what)),
                newly_left_out: 0,
            };
        }
        for entry in &new {
            tracing::warn!(%account, place = entry.place, error = one_line(&entry.what), "ledger entry cannot be read and is left out; if it is a payment, its invoice stays unpaid: compare with the provider");
        }
        if self.left_out.len() + new.len() > MOST_REMEMBERED {
            self.left_out.clear();
        }
        self.left_out.extend(self.shown.drain().map(|(one, _)| one));
        JudgedPage {
            newly_left_out: new.len() as u64,
            result: Ok(page),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ledger::{LedgerCursor, LedgerStep};

    fn page(unreadable: &[&str]) -> LedgerPage {
        let entry = |json: &&str| UnreadableEntry::new("offset 7".into(), "no id".into(), json);
        LedgerPage {
            transactions: Vec::new(),
            step: LedgerStep::More(LedgerCursor("8".into())),
            unreadable: unreadable.iter().map(entry).collect(),
            answered_at: None,
        }
    }

    #[test]
    fn an_entry_is_left_out_once_it_was_shown_three_times_in_a_row() {
        let mut entries = UnreadableEntries::default();
        let mut judge = |unreadable: &[&str]| {
            let judged = entries.judge(&"stars".into(), page(unreadable));
            (judged.result.is_ok(), judged.newly_left_out)
        };
        assert_eq!(judge(&["a"]), (false, 0));
        assert_eq!(judge(&["a"]), (false, 0));
        // It was readable meanwhile, or is written another way.
        assert_eq!(judge(&[]), (true, 0));
        for _ in 0..2 {
            assert_eq!(judge(&["a"]), (false, 0));
        }
        assert_eq!(judge(&["a", "b"]), (false, 0), "b is new");
        assert_eq!(judge(&["a", "b"]), (false, 0));
        assert_eq!(judge(&["a", "b"]), (true, 2));
        assert_eq!(judge(&["a"]), (true, 0), "warned of once");
        assert_eq!(judge(&["c", "a"]), (false, 0));
        assert_eq!(judge(&["c", "a"]), (false, 0));
        assert_eq!(judge(&["c", "a"]), (true, 1));
    }

    #[test]
    fn the_error_names_the_place() {
        let judged = UnreadableEntries::default().judge(&"stars".into(), page(&["a"]));
        let error = judged.result.unwrap_err().to_string();
        assert!(error.contains("offset 7: no id"), "{error}");
    }
}
