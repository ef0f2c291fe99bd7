//! A message as it is published.

/// What is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its subject.
    pub subject: &'a str,
    /// By which the stream knows a repetition.
    pub id: &'a str,
    /// Its content.
    pub payload: &'a str,
}
