//! The faults that can be injected, and how they are requested.
//!
//! The list of faults is checked from the top for each request with a valid key within the rate
//! limit; the first fault that matches and hits applies.

use std::fmt;

use serde::Serialize;

use crate::sandbox::operation::{Operation, SimulatedProvider};

macro_rules! fault_kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)*) => {
        /// A kind of failure of a provider or of the network.
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
    /// A failure in the provider's envelope, with HTTP 200 where the provider uses it: `status` is
    /// its code.
    EnvelopeError = "envelope_error",
    /// No answer until the client disconnects.
    Timeout = "timeout",
    /// The connection is reset (TCP RST) instead of an answer.
    Reset = "reset",
    /// The body ends before its Content-Length does.
    TruncatedBody = "truncated_body",
    /// The body continues for 1 GiB after its JSON; with `gzip` it is small on the wire.
    HugeBody = "huge_body",
    /// The body comes one byte at a time, five per second.
    SlowBody = "slow_body",
    /// `id` is a boolean, a float that lost digits, or an array.
    WrongTypeId = "wrong_type_id",
    /// An undocumented order status: `status`, by default `ON_HOLD`.
    UnknownStatus = "unknown_status",
    /// Every field of an order except its id and status is null.
    NullFields = "null_fields",
    /// An order that has ended is shown as open again.
    FlipBack = "flip_back",
    /// A page of a list or ledger has fewer entries than were requested and exist.
    ShortPage = "short_page",
    /// The request takes effect and its answer is lost: the connection is reset.
    LostAnswer = "lost_answer",
    /// HTTP 404.
    NotFound = "not_found",
}

impl FaultKind {
    /// Alters the data of a successful answer, so it applies only where there is something to
    /// alter.
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

    /// Cannot be distinguished by the client from an answer lost on its way.
    pub(super) const fn may_lose_an_answer(self) -> bool {
        matches!(
            self,
            FaultKind::Timeout | FaultKind::Reset | FaultKind::Status500 | FaultKind::Status502Html
        )
    }

    /// May apply before or after the operation, like an answer that is lost after an order was
    /// created.
    pub(super) const fn takes_after(self) -> bool {
        self.may_lose_an_answer() || matches!(self, FaultKind::EnvelopeError)
    }
}

/// The requests to which a fault applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultTarget {
    Provider(SimulatedProvider),
    Operation(Operation),
    /// The operations with this name, at any provider.
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

/// One fault to inject. In JSON only `kind` is required.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    pub kind: FaultKind,
    /// `None` = any operation of any provider.
    pub on: Option<FaultTarget>,
    /// Probability for each matching request, 0 to 1.
    pub probability: f64,
    /// Maximum number of times; `None` = unlimited.
    pub count: Option<u64>,
    /// Header of a 429: seconds or an HTTP date, sent as given.
    pub retry_after: Option<String>,
    /// The value for `envelope_error` and `unknown_status`.
    pub status: Option<String>,
    /// Whether the operation is carried out before its answer is lost. `None` = chosen at random
    /// for `timeout`, `reset`, `status_500` and `status_502_html`; `envelope_error` then does
    /// nothing.
    pub after: Option<bool>,
    /// Only for `huge_body`: compressed, even if the client did not request it.
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
