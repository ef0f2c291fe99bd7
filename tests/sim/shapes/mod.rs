//! What providers of orders can be asked for beside one order and the list by position: batches, and
//! lists by time with their refunds. And orders that fail whatever is asked: alone, or most of them.

mod batch;
pub mod draw;
pub mod laws;
pub mod refunds;
mod spans;

use std::time::Duration;

use payrecond::provider::ProviderError;

use crate::provider::SimProvider;

/// So long an answer that never comes is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// How requests about an order fail, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    ServerError,
    Reset,
    NoAnswer,
    Html,
    Refused,
}

impl Failing {
    pub const ALL: [Self; 5] = [
        Self::ServerError,
        Self::Reset,
        Self::NoAnswer,
        Self::Html,
        Self::Refused,
    ];

    fn error(self) -> ProviderError {
        match self {
            Self::ServerError => ProviderError::Unavailable {
                what: "HTTP 500".into(),
                wait: None,
            },
            Self::Reset => ProviderError::Unreachable("connection reset".into()),
            Self::NoAnswer => ProviderError::Unreachable("no answer within 10s".into()),
            Self::Html => ProviderError::Malformed("HTML".into()),
            Self::Refused => ProviderError::Refused("HTTP 400".into()),
        }
    }
}

/// What is special about an order.
#[derive(Clone, Debug, Default)]
pub struct Quirks {
    /// Until the end of all trouble.
    pub fails: Option<Failing>,
    pub refunds: Vec<Refunding>,
    /// A list of payments shows its payment so late.
    pub listed_late_by: Duration,
}

/// Money that goes back after the payment.
#[derive(Clone, Debug)]
pub struct Refunding {
    pub id: String,
    /// After the payment.
    pub after: Duration,
    /// It is in progress for so long.
    pub takes: Duration,
    pub succeeds: bool,
    pub cents: u64,
    pub is_told: bool,
}

impl SimProvider {
    /// Whether a request about these orders fails for one of them.
    pub async fn spoil(&self, orders: &[&str]) -> Result<(), ProviderError> {
        let failing = {
            let world = self.world.lock();
            let is_over = self.clock_time() >= world.nature.active;
            let mut own = world.stores[self.account].orders.iter();
            own.find(|order| orders.contains(&order.id.as_str()) && order.quirks.fails.is_some())
                .and_then(|order| order.quirks.fails)
                .filter(|_| !is_over)
        };
        let Some(failing) = failing else {
            return Ok(());
        };
        if failing == Failing::NoAnswer {
            self.wait(PATIENCE).await;
        }
        Err(failing.error())
    }
}
