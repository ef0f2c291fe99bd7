//! What goes wrong with an answer: nobody hears the question, the answer is lost, or it is not true.

use std::time::Duration;

use payrecond::clock::Clock as _;
use payrecond::provider::ProviderError;

use crate::provider::SimProvider;
use crate::world::{Wait, Weather, World};

/// A word to hold is heeded at the latest after this: the poller may be at the database meanwhile.
pub const HEEDED_WITHIN: Duration = Duration::from_secs(5);

/// What goes wrong with an answer.
pub enum Fault {
    /// Nobody hears the question.
    Unheard(ProviderError),
    /// It is acted upon, and the answer is lost.
    Lost(ProviderError),
    Lie(Lie),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    NotFound,
    UnknownWord,
    OldState,
    WrongAmount,
}

impl SimProvider {
    /// What goes wrong with the answer that is due now.
    pub fn fault(&self) -> Option<Fault> {
        let now = self.clock.monotonic();
        let mut world = self.world.lock();
        let weather = world.stores[self.account].weather;
        let World { rng, nature, .. } = &mut *world;
        let fault = match weather.unwrap_or(Weather::Calm) {
            Weather::Calm => return None,
            Weather::Flaky(share) if rng.u8(..share) != 0 => return None,
            Weather::Flaky(_) if nature.lies && rng.bool() => Fault::Lie(match rng.u8(..8) {
                0..=1 => Lie::NotFound,
                2..=3 => Lie::UnknownWord,
                4..=6 => Lie::OldState,
                _ => Lie::WrongAmount,
            }),
            Weather::Flaky(_) if !nature.storms => return None,
            Weather::Flaky(_) => {
                let kind = rng.u8(..6);
                trouble(kind, rng)
            }
            Weather::Storm(kind) => trouble(kind, rng),
        };
        if let Fault::Unheard(error) | Fault::Lost(error) = &fault {
            let wait = match error {
                ProviderError::RateLimited { wait } | ProviderError::Unavailable { wait, .. } => {
                    *wait
                }
                _ => None,
            };
            // Who has no lease any more can record nothing.
            if let (Some(wait), Ok(token)) = (wait, world.lease_of(self.account, self.daemon)) {
                let store = &mut world.stores[self.account];
                let asked = Wait {
                    asked_at: now,
                    from: now + HEEDED_WITHIN,
                    to: now + wait,
                    token,
                    is_recorded: false,
                };
                store.held = Some(asked.or_longer(store.held));
            }
        }
        Some(fault)
    }
}

/// One of the six ways in which there is no answer.
fn trouble(kind: u8, rng: &mut fastrand::Rng) -> Fault {
    let wait = rng.bool().then(|| Duration::from_secs(rng.u64(6..40)));
    let error = match kind {
        0 => ProviderError::Unreachable("connection reset".into()),
        1 => ProviderError::RateLimited { wait },
        2 => ProviderError::Unavailable {
            what: "HTTP 502".into(),
            wait,
        },
        3 => ProviderError::KeyRefused("HTTP 401".into()),
        4 => ProviderError::Malformed("no JSON".into()),
        _ => ProviderError::Refused("HTTP 400".into()),
    };
    let may_be_heard = matches!(kind, 0 | 2 | 4);
    if may_be_heard && rng.bool() {
        Fault::Lost(error)
    } else {
        Fault::Unheard(error)
    }
}
