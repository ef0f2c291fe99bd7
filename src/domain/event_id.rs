//! Ids of events: the same fact always has the same id.

use uuid::Uuid;

/// Namespace of the event ids (UUID version 5).
const NAMESPACE: Uuid = Uuid::from_u128(0x7d9a_4a3e_3c1c_5b62_9f0e_6d1f_8f1c_2a55);

/// The id of the event with this name.
pub(super) fn from_name(name: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}
