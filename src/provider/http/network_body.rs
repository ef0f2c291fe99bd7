//! The body of an answer.

use async_trait::async_trait;
use bytes::Bytes;

use super::coding::Decoder;
use super::failure::{AnswerLimits, broken};
use super::{Body, too_large};
use crate::provider::ProviderError;

/// A body as it arrives: decoded, and never longer than allowed.
pub(super) struct NetworkBody {
    pub(super) inner: reqwest::Response,
    pub(super) decoder: Decoder,
    pub(super) limits: AnswerLimits,
    /// Number of decoded bytes so far.
    pub(super) read: usize,
}

#[async_trait]
impl Body for NetworkBody {
    async fn chunk(&mut self) -> Result<Option<Bytes>, ProviderError> {
        let limit = self.limits.bytes;
        let declared = self.inner.content_length().unwrap_or(0);
        if self.read == 0 && usize::try_from(declared).map_or(true, |length| length > limit) {
            return Err(too_large(limit));
        }
        let chunk = loop {
            if let Some(decoded) = self.decoder.next().map_err(|error| broken(&error))? {
                break decoded;
            }
            let received = self.inner.chunk().await;
            match received.map_err(|error| self.limits.broken_or_failed(&error))? {
                Some(bytes) => {
                    if let Some(plain) = self.decoder.take(bytes) {
                        break plain;
                    }
                }
                None => match self.decoder.finish().map_err(|error| broken(&error))? {
                    Some(rest) => break rest,
                    None => return Ok(None),
                },
            }
        };
        self.read = self.read.saturating_add(chunk.len());
        if self.read > limit {
            return Err(too_large(limit));
        }
        Ok(Some(chunk))
    }
}
