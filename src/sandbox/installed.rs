//! A simulated provider as the registry gets it.

use std::sync::Arc;

use axum::Router;

use super::ledger::SimulatedLedger;
use super::simulator::Simulator;

/// One simulated provider: its data and its routes.
pub(super) struct Installed {
    pub(super) books: Books,
    pub(super) routes: Router,
}

/// The data of a provider: orders, or a ledger alone.
pub(super) enum Books {
    Orders(Arc<dyn Simulator>),
    Ledger(Arc<dyn SimulatedLedger>),
}
