//! Listening and accepting: a TCP address, or a unix socket for owner and group. Connections are limited
//! in number and time.

use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Listen;

/// Most concurrent connections; more wait.
const MOST_CONNECTIONS: usize = 64;
/// How long a connection may take to send a request, kept-alive ones included.
const HEADER_WITHIN: Duration = Duration::from_secs(15);
/// How long answers in progress may take when stopping.
const END_WITHIN: Duration = Duration::from_millis(500);
/// The pause after a failed accept, such as too many open files.
const PAUSE: Duration = Duration::from_millis(200);
/// Longest request line and headers, in bytes.
const MOST_HEADER_BYTES: usize = 16 * 1024;
/// Owner and group read and write.
const SOCKET_MODE: u32 = 0o660;

/// Why the address cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("server.listen = \"{place}\": {why}")]
pub struct ListenError {
    place: String,
    why: String,
}

/// A bound address.
pub(super) enum Listener {
    /// An address.
    Tcp(TcpListener, SocketAddr),
    /// A socket's file, removed at the end.
    Unix(UnixListener, SocketFile),
}

/// Removes the file when dropped.
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // If this fails, the file is replaced at the next start.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(_, address) => write!(f, "http://{address}/"),
            Self::Unix(_, file) => write!(f, "unix:{}", file.0.display()),
        }
    }
}

impl Listener {
    pub(super) async fn bind(listen: &Listen) -> Result<Self, ListenError> {
        let (place, bound) = match listen {
            Listen::Tcp(address) => (address.to_string(), bind_tcp(*address).await),
            Listen::Unix(path) => (format!("unix:{}", path.display()), bind_unix(path).await),
        };
        bound.map_err(|why| ListenError { place, why })
    }

    async fn accept(&self) -> std::io::Result<Stream> {
        match self {
            Self::Tcp(listener, _) => Ok(Stream::Tcp(listener.accept().await?.0)),
            Self::Unix(listener, _) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

async fn bind_tcp(address: SocketAddr) -> Result<Listener, String> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Listener::Tcp(listener, address))
    };
    bound
        .await
        .map_err(|error: std::io::Error| match error.kind() {
            ErrorKind::AddrInUse => {
                "address in use by another program; stop it or choose another port".to_owned()
            }
            ErrorKind::AddrNotAvailable => {
                "this machine does not have the address; correct server.listen".to_owned()
            }
            _ => format!("could not listen: {error}"),
        })
}

async fn bind_unix(path: &Path) -> Result<Listener, String> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => {
            "the directory of the socket does not exist; create it first".to_owned()
        }
        _ => format!("could not listen: {error}"),
    };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
        Ok(file) if !file.file_type().is_socket() => {
            return Err(
                "a file that is not a socket is in the way; remove it or choose another path"
                    .to_owned(),
            );
        }
        Ok(_) => match UnixStream::connect(path).await {
            Ok(_) => {
                return Err(
                    "socket in use by another program; stop it or choose another path".to_owned(),
                );
            }
            // No process listens on it: its daemon was killed.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        },
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    let file = SocketFile(path.to_owned());
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE)).map_err(failed)?;
    Ok(Listener::Unix(listener, file))
}

/// Answers requests until `stop`, then completes those in progress for a moment.
pub(super) async fn serve(listener: Listener, routes: Router, stop: CancellationToken) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (stream, permit) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accepted => accepted,
        };
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%error, "connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (routes, stop) = (routes.clone(), stop.clone());
        connections.spawn(async move {
            match stream {
                Stream::Tcp(stream) => converse(stream, routes, stop).await,
                Stream::Unix(stream) => converse(stream, routes, stop).await,
            }
            drop(permit);
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let all_end = async { while connections.join_next().await.is_some() {} };
    // Clients with an unfinished answer repeat the request after the next start.
    let _ = tokio::time::timeout(END_WITHIN, all_end).await;
}

async fn converse<S>(stream: S, routes: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WITHIN)
        .max_buf_size(MOST_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "connection closed with an error");
    }
}
