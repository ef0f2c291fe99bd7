//! A simulated provider, ready to be asked.

use std::sync::Arc;

use axum::Router;

use super::ledger::SimulatedLedger;
use super::simulator::Simulator;

/// What a provider's folder hands out.
pub(super) struct Installed {
    pub(super) books: Books,
    pub(super) routes: Router,
}

/// What the provider keeps.
pub(super) enum Books {
    Orders(Arc<dyn Simulator>),
    Ledger(Arc<dyn SimulatedLedger>),
}
