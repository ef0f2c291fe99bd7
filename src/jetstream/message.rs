//! A message to publish.

/// A message to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its subject.
    pub subject: &'a str,
    /// Its id, by which the server recognises a duplicate.
    pub id: &'a str,
    /// Its content.
    pub payload: &'a str,
}
