//! Copies of the database: taken while the daemon lives, put back while it is down.

use std::fs;
use std::path::PathBuf;

use payrecond::clock::Clock as _;
use payrecond::store::Database as _;
use payrecond::store::sqlite::{SqliteStore, migrate, restore};

use crate::disk::wait_for;
use crate::script::Story;
use crate::shop::Shop;

/// A copy that may be put back.
pub struct Copy {
    file: PathBuf,
    highest_seq: i64,
}

impl Story {
    pub(super) fn back_up(&mut self, store: &SqliteStore) {
        let file = self
            .folder
            .path()
            .join(format!("copy-{}", self.copies.len()));
        let copied = wait_for(store.backup(&file)).unwrap();
        let highest_seq = copied.highest_seq;
        self.trace.tell(format_args!("a copy at #{highest_seq}"));
        self.copies.push(Copy { file, highest_seq });
    }

    pub(super) fn put_back(&mut self) {
        if self.copies.is_empty() {
            return;
        }
        let copy = &self.copies[self.rng.usize(..self.copies.len())];
        let mut shop = Shop::open(&self.path, &self.clock);
        let (epoch, highest) = (shop.epoch(), shop.highest_seq());
        shop.close();
        let by_hand = self.rng.bool();
        self.trace.tell(format_args!(
            "the copy at #{} is put back over #{highest}, by hand: {by_hand}",
            copy.highest_seq
        ));
        if by_hand {
            fs::copy(&copy.file, &self.path).unwrap();
            for beside in ["-wal", "-shm"] {
                let _ = fs::remove_file(format!("{}{beside}", self.path.display()));
            }
        } else {
            wait_for(restore(&copy.file, &self.path, true, self.clock.now())).unwrap();
        }
        self.tally.put_back += 1;
        let migrated = wait_for(migrate(&self.path, self.clock.now()));
        let anew = migrated.unwrap().epoch != epoch;
        let must = !by_hand || copy.highest_seq < highest;
        self.trace
            .hold("a copy put back begins a new epoch", anew || !must, || {
                format!("#{} after #{highest}", copy.highest_seq)
            });
        self.drop_in_again();
    }

    /// The shop compares, and drops in anew what the copy does not know.
    fn drop_in_again(&mut self) {
        let mut shop = Shop::open(&self.path, &self.clock);
        let mut world = self.world.lock();
        let names: Vec<String> = world
            .nature
            .accounts
            .iter()
            .map(|a| a.name.clone())
            .collect();
        for wish in world
            .wishes
            .iter_mut()
            .filter(|wish| wish.inserted_at.is_some())
        {
            shop.drop_in(&names[wish.account], wish);
        }
        for row in shop.invoices() {
            let mut wishes = world.wishes.iter_mut();
            let wish = wishes
                .find(|w| names[w.account] == row.account && w.external_id == row.external_id);
            if let Some(wish) = wish {
                wish.inserted_at = Some(row.created_at);
            }
        }
        drop(world);
        shop.close();
    }
}
