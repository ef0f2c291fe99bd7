//! The role of a consumer's only holder, which a delivery needs for every batch.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::FeedError;
use crate::store::{RoleHold, StoreError};

/// Takes the role of the consumer's only holder; None when another process has it.
pub type TakeRole = Arc<
    dyn Fn() -> BoxFuture<'static, Result<Option<Box<dyn RoleHold>>, StoreError>> + Send + Sync,
>;

/// The role of one delivery.
pub struct FeedRole {
    consumer: String,
    held: Option<Box<dyn RoleHold>>,
    /// How it is taken, and taken again after it was lost; None = it is taken only once.
    take: Option<TakeRole>,
}

impl FeedRole {
    /// A role that is held. The delivery ends when it is lost.
    pub fn kept(consumer: &str, held: Box<dyn RoleHold>) -> Self {
        Self {
            consumer: consumer.to_owned(),
            held: Some(held),
            take: None,
        }
    }

    /// A role that is taken when no other process has it.
    pub fn in_turn(consumer: &str, take: TakeRole) -> Self {
        Self {
            consumer: consumer.to_owned(),
            held: None,
            take: Some(take),
        }
    }

    /// Makes sure that the role is held. Returns whether it was taken just now, so that another process
    /// may have moved the consumer's position.
    pub(super) async fn ensure(&mut self) -> Result<bool, FeedError> {
        match self.held.as_ref().map(|held| held.require_held()) {
            Some(Ok(())) => return Ok(false),
            Some(Err(StoreError::Replaced(_))) if self.take.is_some() => self.held = None,
            Some(Err(error @ StoreError::Unavailable(_))) => {
                return Err(FeedError::Unconfirmed(error));
            }
            Some(Err(error)) => return Err(error.into()),
            None => {}
        }
        if let Some(take) = &self.take {
            self.held = take().await?;
        }
        if self.held.is_none() {
            return Err(FeedError::Standby(self.consumer.clone()));
        }
        Ok(true)
    }

    /// Whether no other process could have taken the role.
    pub(super) fn is_held(&self) -> bool {
        let held = self.held.as_ref();
        held.is_some_and(|held| held.require_held().is_ok())
    }

    /// Gives the role back until the next `ensure`, if it can be taken again.
    pub(super) fn release(&mut self) {
        if self.take.is_some() {
            self.held = None;
        }
    }
}
