//! Settings as a tree, before they are typed.

use ::config::{Map, Value};

/// Names of settings or sections, and their values.
pub(super) type SettingsTable = Map<String, Value>;
