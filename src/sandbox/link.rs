//! Accepted connections that can be reset by a real TCP RST, which no HTTP layer offers.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// A handler's access to its connection.
#[derive(Clone)]
pub(super) struct Link {
    cut: Arc<AtomicBool>,
}

impl Link {
    /// Makes the next write reset the connection instead.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Release);
    }
}

/// Accepts connections as [`LinkStream`]s.
pub(super) struct LinkListener(pub TcpListener);

impl Listener for LinkListener {
    type Io = LinkStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (LinkStream, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Otherwise small answers would wait for the client's delayed ACK. A failure costs only
        // time.
        let _ = stream.set_nodelay(true);
        (
            LinkStream {
                stream,
                link: Link {
                    cut: Arc::default(),
                },
            },
            address,
        )
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, LinkListener>> for Link {
    fn connect_info(stream: IncomingStream<'_, LinkListener>) -> Link {
        stream.io().link.clone()
    }
}

/// A TCP stream that closes with a reset once its link is cut.
pub(super) struct LinkStream {
    stream: TcpStream,
    link: Link,
}

impl LinkStream {
    fn check(&self) -> io::Result<()> {
        if !self.link.cut.load(Ordering::Acquire) {
            return Ok(());
        }
        // With a linger time of zero, the close after this error discards the data and resets.
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))?;
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for LinkStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for LinkStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
