//! Why no answer came, in short texts without any address.

use std::error::Error;
use std::io;
use std::time::Duration;

use crate::domain::text::one_line;
use crate::provider::ProviderError;

/// The limits of one answer.
#[derive(Clone, Copy)]
pub(super) struct AnswerLimits {
    /// For name, TCP and TLS together.
    pub(super) connect: Duration,
    /// From connecting to the last byte of the body.
    pub(super) total: Duration,
    /// Of the decoded body, in bytes.
    pub(super) bytes: usize,
}

impl AnswerLimits {
    /// The error for a reqwest error while reading a body.
    pub(super) fn broken_or_failed(self, error: &reqwest::Error) -> ProviderError {
        if is_broken_coding(error) {
            broken(error)
        } else {
            self.failure(error)
        }
    }

    /// The error for a reqwest error.
    pub(super) fn failure(self, error: &reqwest::Error) -> ProviderError {
        let why = if error.is_timeout() && error.is_connect() {
            format!("no connection within {:?}", self.connect)
        } else if error.is_timeout() {
            format!("timed out after {:?}", self.total)
        } else if error.is_dns() {
            format!("dns: {}", cause(error))
        } else if error.is_connect() {
            format!("connect: {}", cause(error))
        } else {
            cause(error)
        };
        ProviderError::Unreachable(why)
    }
}

/// The errors from the outermost to the innermost, including those wrapped by an I/O error.
fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(|error| error.get_ref());
        match wrapped {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

/// A body with invalid gzip or invalid chunks.
pub(super) fn broken(error: &(dyn Error + 'static)) -> ProviderError {
    ProviderError::Malformed(format!("broken body: {}", cause(error)))
}

/// Whether the chunks are invalid: errors of the decoder have this kind, and so have those of TLS.
fn is_broken_coding(error: &reqwest::Error) -> bool {
    let is_tls = chain(error).any(<dyn Error>::is::<rustls::Error>);
    let mut io_errors = chain(error).filter_map(|error| error.downcast_ref::<io::Error>());
    !is_tls
        && io_errors.any(|error| {
            let kind = error.kind();
            matches!(
                kind,
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
            )
        })
}

/// A short text for the cause. reqwest's own texts are left out, because they can contain the
/// address.
pub(super) fn cause(error: &(dyn Error + 'static)) -> String {
    let mut words = None;
    for error in chain(error) {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return one_line(&format!("tls: {tls}"));
        }
        match error.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => return "connection refused".into(),
            Some(io::ErrorKind::ConnectionReset) => return "connection reset".into(),
            Some(io::ErrorKind::UnexpectedEof) => return "connection closed early".into(),
            _ => {}
        }
        if !error.is::<reqwest::Error>() {
            words = Some(error);
        }
    }
    words.map_or_else(|| "unknown cause".into(), |e| one_line(&e.to_string()))
}
