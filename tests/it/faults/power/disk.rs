//! A disk after a power failure: synced data is intact, the rest is arbitrary.
//!
//! Of the writes to a file since its last sync, all, none, the first few, or any may have happened,
//! in sectors of 512 bytes. Names change in order: changes before the last sync of the directory
//! are kept, and of the later ones the first few.

use std::collections::BTreeMap;

use super::tape::{Act, Entry};

const SECTOR: usize = 512;

/// Contents by name.
pub type Files = BTreeMap<String, Vec<u8>>;

#[derive(Default)]
struct File {
    synced: Vec<u8>,
    since: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Truncate(usize),
    Write { at: usize, bytes: Vec<u8> },
}

enum Naming {
    Here(String, usize),
    Gone(String),
}

#[derive(Default)]
pub struct Disk {
    files: Vec<File>,
    /// The files as programs see them.
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    since: Vec<Naming>,
}

impl Disk {
    /// A disk on which everything is synced.
    pub fn holding(files: &Files) -> Self {
        let mut disk = Self::default();
        for (name, bytes) in files {
            disk.names.insert(name.clone(), disk.files.len());
            disk.files.push(File {
                synced: bytes.clone(),
                since: Vec::new(),
            });
        }
        disk.synced_names = disk.names.clone();
        disk
    }

    /// Applies a recorded operation. Syncs of files for which `deaf` holds are ignored.
    pub fn play(&mut self, entry: &Entry, deaf: impl Fn(&str) -> bool) {
        let name = &entry.name;
        match &entry.act {
            Act::Create => {
                self.put(name, self.files.len());
                self.files.push(File::default());
            }
            Act::Truncate(length) => self.change(name, Change::Truncate(*length)),
            Act::Write { at, bytes } => {
                let (at, bytes) = (*at, bytes.clone());
                self.change(name, Change::Write { at, bytes });
            }
            Act::Sync if deaf(name) => {}
            Act::Sync => self.file(name).sync(),
            Act::RenameTo(target) => {
                let file = self.names.remove(name).unwrap();
                self.since.push(Naming::Gone(name.clone()));
                self.put(target, file);
            }
            Act::Unlink => {
                self.names.remove(name);
                self.since.push(Naming::Gone(name.clone()));
            }
            Act::SyncFolder => {
                self.synced_names = self.names.clone();
                self.since.clear();
            }
            Act::Said(_) => {}
        }
    }

    fn put(&mut self, name: &str, file: usize) {
        self.names.insert(name.to_owned(), file);
        self.since.push(Naming::Here(name.to_owned(), file));
    }

    fn file(&mut self, name: &str) -> &mut File {
        let index = *self.names.get(name).unwrap_or_else(|| panic!("no {name}"));
        &mut self.files[index]
    }

    fn change(&mut self, name: &str, change: Change) {
        self.file(name).since.push(change);
    }

    /// A possible content after a power failure.
    pub fn after_power_loss(&self, rng: &mut fastrand::Rng) -> Files {
        let mut names = self.synced_names.clone();
        let kept = rng.usize(..=self.since.len());
        for naming in &self.since[..kept] {
            match naming {
                Naming::Here(name, file) => drop(names.insert(name.clone(), *file)),
                Naming::Gone(name) => drop(names.remove(name)),
            }
        }
        let found = names.into_iter();
        let found = found.map(|(name, file)| (name, self.files[file].after_power_loss(rng)));
        found.collect()
    }
}

impl File {
    fn sync(&mut self) {
        for change in std::mem::take(&mut self.since) {
            apply(&mut self.synced, &change);
        }
    }

    fn after_power_loss(&self, rng: &mut fastrand::Rng) -> Vec<u8> {
        let mut found = self.synced.clone();
        let sectors: Vec<Change> = self.since.iter().flat_map(in_sectors).collect();
        let kept: Box<dyn FnMut(usize) -> bool> = match rng.u32(0..4) {
            0 => Box::new(|_| true),
            1 => Box::new(|_| false),
            2 => {
                let cut = rng.usize(..=sectors.len());
                Box::new(move |index| index < cut)
            }
            _ => {
                let mut rng = rng.fork();
                let share = rng.f64();
                Box::new(move |_| rng.f64() < share)
            }
        };
        for (_, change) in sectors.iter().enumerate().filter({
            let mut kept = kept;
            move |(index, _)| kept(*index)
        }) {
            apply(&mut found, change);
        }
        found
    }
}

/// Splits a change into changes that each happen completely or not at all.
fn in_sectors(change: &Change) -> Vec<Change> {
    let Change::Write { at, bytes } = change else {
        return vec![change.clone()];
    };
    let mut parts = Vec::new();
    let (mut at, mut rest) = (*at, bytes.as_slice());
    while !rest.is_empty() {
        let (part, left) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
        let bytes = part.to_vec();
        parts.push(Change::Write { at, bytes });
        at += part.len();
        rest = left;
    }
    parts
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Truncate(length) => bytes.resize(*length, 0),
        Change::Write { at, bytes: new } => {
            let end = at + new.len();
            bytes.resize(bytes.len().max(end), 0);
            bytes[*at..end].copy_from_slice(new);
        }
    }
}
