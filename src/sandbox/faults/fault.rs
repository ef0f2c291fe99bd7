//! What can be made to go wrong, and how it is asked for.
//!
//! A list of faults is tried from the top on each request that has a good key and fits the rate
//! limit; the first that matches and hits is the one that happens.

use std::fmt;

use serde::Serialize;

use crate::sandbox::operation::{Operation, SimulatedProvider};

macro_rules! fault_kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)*) => {
        /// A way in which a provider, or what stands between, fails.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum FaultKind {
            $($(#[$doc])* #[serde(rename = $name)] $kind,)*
        }

        impl FaultKind {
            pub const ALL: &'static [FaultKind] = &[$(FaultKind::$kind,)*];

            pub const fn name(self) -> &'static str {
                match self {
                    $(FaultKind::$kind => $name,)*
                }
            }
        }
    };
}

fault_kinds! {
    /// HTTP 429, with `retry_after` as the header when given.
    Status429 = "status_429",
    /// HTTP 500 with a JSON body.
    Status500 = "status_500",
    /// HTTP 502 with the HTML page of a proxy.
    Status502Html = "status_502_html",
    /// A failure in the provider's envelope, with HTTP 200 where it has such: `status` is its word.
    EnvelopeError = "envelope_error",
    /// Never an answer, until the client goes away.
    Timeout = "timeout",
    /// The connection is reset (TCP RST) instead of an answer.
    Reset = "reset",
    /// The body ends before its Content-Length does.
    TruncatedBody = "truncated_body",
    /// The body goes on for 1 GiB after its JSON; with `gzip` it is small on the wire.
    HugeBody = "huge_body",
    /// The body comes a byte at a time, five a second.
    SlowBody = "slow_body",
    /// `id` is a boolean, a float that lost digits, or an array.
    WrongTypeId = "wrong_type_id",
    /// An order status that no document has: `status`, by default `ON_HOLD`.
    UnknownStatus = "unknown_status",
    /// Every field of an order but its id and status is null.
    NullFields = "null_fields",
    /// An order that has ended is shown as open again.
    FlipBack = "flip_back",
    /// A page of a list or ledger holds fewer entries than were asked for and are there.
    ShortPage = "short_page",
    /// The request takes effect and its answer is lost: the connection is reset.
    LostAnswer = "lost_answer",
    /// HTTP 404.
    NotFound = "not_found",
}

impl FaultKind {
    /// Alters the data of a good answer, so it happens only where there is something to alter.
    pub(in crate::sandbox) const fn is_in_the_data(self) -> bool {
        matches!(
            self,
            FaultKind::WrongTypeId
                | FaultKind::UnknownStatus
                | FaultKind::NullFields
                | FaultKind::FlipBack
                | FaultKind::ShortPage
        )
    }

    /// What the sender of a request cannot tell from an answer that was lost on its way.
    pub(super) const fn may_lose_an_answer(self) -> bool {
        matches!(
            self,
            FaultKind::Timeout | FaultKind::Reset | FaultKind::Status500 | FaultKind::Status502Html
        )
    }

    /// May happen before or after the operation, as an answer that is lost after an order was made.
    pub(super) const fn takes_after(self) -> bool {
        self.may_lose_an_answer() || matches!(self, FaultKind::EnvelopeError)
    }
}

/// What a fault is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultTarget {
    Provider(SimulatedProvider),
    Operation(Operation),
    /// The operations of this name, at whatever provider.
    Named(&'static str),
}

impl FaultTarget {
    pub(super) fn covers(self, operation: Operation) -> bool {
        match self {
            FaultTarget::Provider(provider) => provider == operation.provider(),
            FaultTarget::Operation(one) => one == operation,
            FaultTarget::Named(name) => name == operation.name(),
        }
    }
}

impl From<Operation> for FaultTarget {
    fn from(operation: Operation) -> FaultTarget {
        FaultTarget::Operation(operation)
    }
}

impl From<SimulatedProvider> for FaultTarget {
    fn from(provider: SimulatedProvider) -> FaultTarget {
        FaultTarget::Provider(provider)
    }
}

/// One fault to play. In JSON only `kind` is required.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    pub kind: FaultKind,
    /// `None` = any operation of any provider.
    pub on: Option<FaultTarget>,
    /// Of each request that matches, 0 to 1.
    pub probability: f64,
    /// How many times at most; `None` = no end.
    pub count: Option<u64>,
    /// Header of a 429: seconds or an HTTP date, sent as given.
    pub retry_after: Option<String>,
    /// The word for `envelope_error` and `unknown_status`.
    pub status: Option<String>,
    /// Whether the operation is carried out before its answer is lost. `None` = a seeded coin decides
    /// for `timeout`, `reset`, `status_500` and `status_502_html`, and `envelope_error` does nothing.
    pub after: Option<bool>,
    /// `huge_body` only: compressed, whether the client asked for it or not.
    pub gzip: bool,
}

impl Fault {
    /// `kind` on every operation, every time.
    pub const fn new(kind: FaultKind) -> Fault {
        Fault {
            kind,
            on: None,
            probability: 1.0,
            count: None,
            retry_after: None,
            status: None,
            after: None,
            gzip: false,
        }
    }

    #[must_use]
    pub fn on(mut self, target: impl Into<FaultTarget>) -> Fault {
        self.on = Some(target.into());
        self
    }

    /// At most `count` times.
    #[must_use]
    pub const fn times(mut self, count: u64) -> Fault {
        self.count = Some(count);
        self
    }

    #[must_use]
    pub const fn with_probability(mut self, probability: f64) -> Fault {
        self.probability = probability;
        self
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
