//! Settings as a tree, before they are typed.

use ::config::{Map, Value};

/// Names of settings or sections, and what stands there.
pub(super) type SettingsTable = Map<String, Value>;
