//! What the daemon takes: memory, descriptors, files. Each has a bound that knows the size of one
//! wave and not their number; the keys of deleted invoices alone are kept for ever.

use super::super::program::Program;
use crate::shop::Shop;

/// Memory at most, whatever the wave.
const MEMORY_KIB: u64 = 128 << 10;
const DESCRIPTORS: usize = 64;
/// The limit of the log's file, and this again while a reader holds it.
const LOG_BYTES: u64 = 128 << 20;
/// The database: so much for itself, for each invoice of a wave with its event, and for the used
/// keys of each invoice there ever was.
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

/// The most that was taken in this wave.
pub struct Gauges {
    wave: usize,
    now: Taken,
}

impl Gauges {
    pub fn of_waves(wave: usize) -> Self {
        let now = Taken::default();
        Self { wave, now }
    }

    /// Looks at a program that runs.
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

    /// Holds a wave to the bounds; `said` events were said up to its end.
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
