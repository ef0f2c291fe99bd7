//! The daemon's resources: memory, descriptors, files. Each has a limit that depends on the size of
//! one wave and not on their number; only the keys of deleted invoices are kept forever.

use super::super::program::Program;
use crate::shop::Shop;

/// Maximum memory in any wave.
const MEMORY_KIB: u64 = 128 << 10;
const DESCRIPTORS: usize = 64;
/// Maximum size of the log's file, and the same again while a reader blocks it.
const LOG_BYTES: u64 = 128 << 20;
/// The database: a base size, the size per invoice of a wave with its event, and the size of the
/// used keys of each invoice ever inserted.
const EMPTY_BYTES: u64 = 4 << 20;
const INVOICE_BYTES: u64 = 4_000;
const KEY_BYTES: u64 = 160;

#[derive(Clone, Copy, Default)]
struct Taken {
    memory_kib: u64,
    descriptors: usize,
    log_bytes: u64,
    file_bytes: u64,
}

impl Taken {
    fn or_more(self, other: Self) -> Self {
        Self {
            memory_kib: self.memory_kib.max(other.memory_kib),
            descriptors: self.descriptors.max(other.descriptors),
            log_bytes: self.log_bytes.max(other.log_bytes),
            file_bytes: self.file_bytes.max(other.file_bytes),
        }
    }
}

/// The maxima of this wave.
pub struct Gauges {
    wave: usize,
    now: Taken,
}

impl Gauges {
    pub fn of_waves(wave: usize) -> Self {
        let now = Taken::default();
        Self { wave, now }
    }

    /// Measures a running program.
    pub fn read(&mut self, shop: &Shop, program: &Program) {
        let size = |end: &str| {
            let path = format!("{}{end}", shop.database().display());
            std::fs::metadata(path).map_or(0, |file| file.len())
        };
        let taken = Taken {
            memory_kib: program.peak_memory_kib(),
            descriptors: program.descriptors(),
            log_bytes: size("-wal"),
            file_bytes: size(""),
        };
        self.now = self.now.or_more(taken);
    }

    /// Checks a wave against the limits; `said` events were recorded up to its end.
    pub fn end_wave(&mut self, n: usize, said: usize, repeats: usize) {
        let Taken {
            memory_kib,
            descriptors,
            log_bytes,
            file_bytes,
        } = std::mem::take(&mut self.now);
        println!(
            "wave {n}: {said} events, {repeats} read again; memory {memory_kib} KiB, {descriptors} descriptors, -wal {log_bytes} bytes, file {file_bytes} bytes"
        );
        assert!((1..=MEMORY_KIB).contains(&memory_kib), "{memory_kib} KiB");
        assert!((1..=DESCRIPTORS).contains(&descriptors), "{descriptors}");
        assert!(log_bytes <= LOG_BYTES, "{log_bytes}");
        let (wave, said) = (self.wave as u64, said as u64);
        let bound = EMPTY_BYTES + wave * INVOICE_BYTES + said * KEY_BYTES;
        assert!(file_bytes <= bound, "{file_bytes} of {bound}");
    }
}
