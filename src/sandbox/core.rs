//! State shared by all simulated providers: one clock, the faults, the counters, rate limits and
//! settings.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::faults::{Dealt, Deck, Fault};
use super::limit::Bucket;
use super::moment::Moment;
use super::operation::{Operation, SimulatedProvider};
use super::options::SandboxOptions;
use super::tally::SandboxStats;
use super::variant::Variant;

/// Numbers between the first ids of two neighbouring seeds.
const NUMBERS_OF_A_SEED: u64 = 1000;
/// Seeds that have numbers of their own; ids keep at most 18 digits.
const SEEDS_WITH_NUMBERS: u64 = 10_000_000_000_000;

pub(super) struct SandboxCore {
    options: SandboxOptions,
    /// Ends all intentional waits.
    pub stopping: CancellationToken,
    deck: Mutex<Deck>,
    stats: Mutex<SandboxStats>,
    /// One bucket per provider, created at its first request.
    buckets: Mutex<BTreeMap<SimulatedProvider, Bucket>>,
    /// Never goes back, since an expired order would otherwise become open again.
    latest_nanos: AtomicI64,
    /// How far the providers' clock is set ahead of this machine's.
    ahead_nanos: AtomicI64,
}

impl SandboxCore {
    pub fn new(options: &SandboxOptions) -> SandboxCore {
        SandboxCore {
            stopping: CancellationToken::new(),
            deck: Mutex::new(Deck::new(options.seed, options.faults.clone())),
            stats: Mutex::new(SandboxStats::new()),
            buckets: Mutex::default(),
            latest_nanos: AtomicI64::new(i64::MIN),
            ahead_nanos: AtomicI64::new(0),
            options: options.clone(),
        }
    }

    /// The providers' clock.
    pub fn now(&self) -> Moment {
        let ahead = self.ahead_nanos.load(Ordering::Relaxed);
        let wall = Moment::now().nanos().saturating_add(ahead);
        Moment::from_nanos(wall.max(self.latest_nanos.fetch_max(wall, Ordering::Relaxed)))
    }

    /// Sets the providers' clock ahead.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
        self.ahead_nanos.fetch_add(by, Ordering::Relaxed);
    }

    pub fn seed(&self) -> u64 {
        self.options.seed
    }

    /// The first of ids that are numbers in order. A later sandbox with the clock as its seed begins
    /// above: a thousand numbers for each millisecond between them.
    pub fn first_number(&self, first: u64) -> u64 {
        first + self.options.seed % SEEDS_WITH_NUMBERS * NUMBERS_OF_A_SEED
    }

    /// A random generator that depends only on the seed and `stream`.
    pub fn rng(&self, stream: u64) -> fastrand::Rng {
        // Neighbouring seeds would give related numbers; the odd multiplier spreads them.
        let spread = stream.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        fastrand::Rng::with_seed(self.options.seed ^ spread)
    }

    pub fn latency(&self) -> Duration {
        self.options.latency
    }

    pub fn gzip(&self) -> bool {
        self.options.gzip
    }

    pub fn has(&self, variant: Variant) -> bool {
        self.options.variants.contains(&variant)
    }

    /// Whether a request with `key` is accepted.
    pub fn knows(&self, key: Option<&str>) -> bool {
        match (&self.options.api_key, key) {
            (_, None | Some("")) => false,
            (Some(expected), Some(given)) => expected == given,
            (None, Some(_)) => true,
        }
    }

    /// Whether `text` is the key that is expected.
    pub fn is_key(&self, text: &str) -> bool {
        self.options.api_key.as_deref() == Some(text)
    }

    /// The key that a request shows as `id:secret`: the secret alone if such a one is expected.
    pub fn shown_key(&self, pair: String) -> String {
        let expected = self.options.api_key.as_deref().unwrap_or(":");
        match pair.split_once(':') {
            Some((_, secret)) if !expected.contains(':') => secret.to_owned(),
            Some(_) | None => pair,
        }
    }

    pub fn set_faults(&self, faults: Vec<Fault>) {
        lock(&self.deck).replace(faults);
    }

    pub fn faults(&self) -> Vec<Fault> {
        lock(&self.deck).faults().to_vec()
    }

    pub fn deal(&self, operation: Operation) -> Option<Dealt> {
        lock(&self.deck).deal(operation)
    }

    pub fn put_back(&self, dealt: &Dealt) {
        lock(&self.deck).put_back(dealt);
    }

    /// How long to wait if the rate limit of `provider` is reached.
    pub fn over_limit(&self, provider: SimulatedProvider) -> Option<Duration> {
        let per_second = self.options.rate_limit?;
        let mut buckets = lock(&self.buckets);
        let bucket = buckets
            .entry(provider)
            .or_insert_with(|| Bucket::new(per_second));
        bucket.take(self.now()).err()
    }

    /// Whether the rate limit's refusal contains the wait.
    pub fn sends_wait(&self) -> bool {
        self.options.rate_limit_retry_after
    }

    pub fn tally(&self) -> MutexGuard<'_, SandboxStats> {
        lock(&self.stats)
    }
}

/// A panic elsewhere must not stop the simulator; its steps leave no partial change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Like [`lock`], for reading.
pub(super) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// Like [`lock`], for writing.
pub(super) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
