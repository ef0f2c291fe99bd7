//! The simulated providers there are.
//!
//! To add one: write its folder with a function `install` in its `mod.rs`, declare the module in
//! `sandbox/mod.rs`, name its `install` in [`SIMULATORS`] and its operations in `operation`.

use std::sync::Arc;

use super::core::SandboxCore;
use super::installed::Installed;

/// Each makes one, in the order of [`super::SimulatedProvider::ALL`].
pub(super) const SIMULATORS: &[fn(&Arc<SandboxCore>) -> Installed] = &[
    super::walletpay::install,
    super::crypto_pay::install,
    super::yookassa::install,
    super::cryptocloud::install,
    super::telegram_stars::install,
    super::yoomoney::install,
];
