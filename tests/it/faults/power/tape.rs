//! The recording of `shim.c`: each change of the database's files and each write to stdout, in
//! order.

use std::path::Path;

/// One recorded operation.
#[derive(Debug)]
pub struct Entry {
    pub process: u64,
    /// The file, by its name within the directory.
    pub name: String,
    pub act: Act,
}

#[derive(Debug)]
pub enum Act {
    Create,
    Truncate(usize),
    Write { at: usize, bytes: Vec<u8> },
    Sync,
    RenameTo(String),
    Unlink,
    Said(Vec<u8>),
    SyncFolder,
}

/// Reads a whole recording.
pub fn read(path: &Path) -> Vec<Entry> {
    let bytes = std::fs::read(path).unwrap();
    let mut rest = bytes.as_slice();
    let mut entries = Vec::new();
    while !rest.is_empty() {
        entries.push(entry(&mut rest));
    }
    entries
}

fn entry(rest: &mut &[u8]) -> Entry {
    let [act, process, name, at, length] = std::array::from_fn(|_| {
        let number = take(rest, 8).try_into().unwrap();
        u64::from_ne_bytes(number)
    });
    let name = String::from_utf8(take(rest, name).to_vec()).unwrap();
    let bytes = take(rest, length).to_vec();
    let at = usize::try_from(at).unwrap();
    let act = match act {
        1 => Act::Create,
        2 => Act::Truncate(at),
        3 => Act::Write { at, bytes },
        4 => Act::Sync,
        5 => Act::RenameTo(String::from_utf8(bytes).unwrap()),
        6 => Act::Unlink,
        7 => Act::Said(bytes),
        8 => Act::SyncFolder,
        other => panic!("no act: {other}"),
    };
    Entry { process, name, act }
}

fn take<'t>(rest: &mut &'t [u8], length: u64) -> &'t [u8] {
    let (taken, left) = rest.split_at(usize::try_from(length).unwrap());
    *rest = left;
    taken
}
