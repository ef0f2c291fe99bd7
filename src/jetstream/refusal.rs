//! The last refusal that the server sent outside of an answer, such as a missing right to publish.

use std::sync::{Arc, Mutex, PoisonError};

use super::NatsError;

/// The server's last refusal on a connection. The request that it belongs to gets no answer.
#[derive(Clone, Default)]
pub(super) struct LastRefusal(Arc<Mutex<Option<String>>>);

impl LastRefusal {
    /// Records a refusal, in the server's words.
    pub(super) fn record(&self, why: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    /// The same error; where an answer did not come because of a refusal, that refusal.
    pub(super) fn explain(&self, error: NatsError) -> NatsError {
        let why = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (&error, why.clone()) {
            (NatsError::Silent(_), Some(why)) => NatsError::Denied { why },
            _ => error,
        }
    }
}
