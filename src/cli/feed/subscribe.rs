//! `feed --follow --subscribe`: serves one client of the feed's socket, which a service manager
//! passes on stdin. The client's first line is its subscription; it receives the feed, or one line
//! `-ERR '…'`.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream as PlainStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::BufReader;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::follow::{self, Reader};
use super::{FeedSession, exit_of, hold};
use crate::cli::Exit;
use crate::cli::session::Session;
use crate::feed::{Format, Subscription};
use crate::jobs::feed::{Delivery, Feed, FeedRole};
use crate::store::{Database, Store};

/// Maximum time for a client to send its first line.
const FIRST_LINE_WITHIN: Duration = Duration::from_secs(10);
/// Maximum time that a client that does not read may delay the exit after an error.
const ERROR_WITHIN: Duration = Duration::from_secs(2);
/// Longest reason that is sent to a client, in characters.
const LONGEST_REASON: usize = 400;

pub(super) async fn serve(session: &Session, format: Format) -> anyhow::Result<Exit> {
    let stream = client().context("--subscribe expects a connected socket as standard input")?;
    let mut stream = BufReader::new(stream);
    let begun = match first_line(&mut stream, FIRST_LINE_WITHIN).await {
        // A connection that was opened and closed without a request.
        Ok(line) if line.is_empty() => return Ok(Exit::Done),
        Ok(line) => begin(session, format, &line).await,
        Err(error) => Err(error),
    };
    let mut stream = stream.into_inner();
    match begun {
        Ok(begun) => deliver(begun, stream).await,
        Err(error) => {
            let told = timeout(ERROR_WITHIN, stream.write_all(&refusal(&error))).await;
            tracing::debug!(?told, "client refused");
            Err(error)
        }
    }
}

/// The socket on stdin. The same handle is used for writing, since stdout shares its mode.
fn client() -> io::Result<UnixStream> {
    let stream = PlainStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Fails for anything but a connected socket.
    stream.peer_addr()?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// The client's first line, with its end; empty if the client hung up at once.
async fn first_line(
    stream: &mut (impl AsyncBufRead + Unpin),
    within: Duration,
) -> anyhow::Result<Vec<u8>> {
    let mut line = Vec::new();
    // One byte more than a line may have, to distinguish a line that is too long from one without
    // an end.
    let longest = Subscription::LONGEST_LINE_BYTES + 1;
    let mut bounded = stream.take(longest as u64);
    let reading = bounded.read_until(b'\n', &mut line);
    match timeout(within, reading).await {
        Ok(read) => read.context("first line could not be read")?,
        Err(_) => bail!(
            "no line SUB <consumer> [pattern] within {} s",
            within.as_secs()
        ),
    };
    // An incomplete name could be that of another consumer.
    if matches!(line.last(), Some(last) if *last != b'\n') && line.len() < longest {
        bail!("first line has no line end");
    }
    Ok(line)
}

/// The parts of a subscription.
struct Begun {
    store: Arc<dyn Database>,
    delivery: Delivery,
    place: i64,
    role: FeedRole,
}

async fn begin(session: &Session, format: Format, line: &[u8]) -> anyhow::Result<Begun> {
    let Subscription { consumer, pattern } = Subscription::parse(line)?;
    let role = FeedRole::kept(&consumer, hold(session, &consumer).await?);
    let store = session.open_store().await?;
    let place = store.consumer(&consumer).await?;
    let delivery = Delivery {
        format,
        consumer: Some(consumer),
        pattern,
    };
    Ok(Begun {
        store,
        delivery,
        place,
        role,
    })
}

async fn deliver(begun: Begun, stream: UnixStream) -> anyhow::Result<Exit> {
    let stream = stream.into_std()?;
    let reader = Reader::Socket(UnixStream::from_std(stream.try_clone()?)?);
    let stream = UnixStream::from_std(stream)?;
    let feed = Feed::new(
        Arc::clone(&begun.store) as Arc<dyn Store>,
        begun.delivery,
        begun.place,
        stream,
    );
    let feed = feed.under(begun.role);
    let mut reading = FeedSession { feed, left: None };
    let ended = follow::follow(&mut reading, begun.store.as_ref(), &reader).await;
    begun.store.close().await;
    exit_of(ended)
}

/// A refusal in NATS' format: one line, without control characters.
fn refusal(error: &anyhow::Error) -> Vec<u8> {
    let reason = format!("{error:#}");
    let harmless = |c: char| if c.is_control() || c == '\'' { ' ' } else { c };
    let reason: String = reason.chars().take(LONGEST_REASON).map(harmless).collect();
    format!("-ERR '{reason}'\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_client_that_sends_nothing_is_disconnected() {
        let (_client, server) = tokio::io::duplex(64);
        let error = first_line(&mut BufReader::new(server), Duration::ZERO)
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "no line SUB <consumer> [pattern] within 0 s"
        );
    }

    #[tokio::test]
    async fn at_most_one_line_is_read() {
        let endless = vec![b'x'; 3 * Subscription::LONGEST_LINE_BYTES];
        let line = first_line(&mut endless.as_slice(), PATIENCE).await.unwrap();
        assert_eq!(line.len(), Subscription::LONGEST_LINE_BYTES + 1);
        assert!(Subscription::parse(&line).is_err());
    }

    #[tokio::test]
    async fn an_incomplete_line_names_no_consumer() {
        let read = async |said: &[u8]| first_line(&mut &*said, PATIENCE).await;
        let error = read(b"SUB bo").await.unwrap_err();
        assert_eq!(error.to_string(), "first line has no line end");
        assert_eq!(read(b"SUB bot\nx").await.unwrap(), b"SUB bot\n");
        assert!(read(b"").await.unwrap().is_empty());
    }

    #[test]
    fn a_refusal_is_always_one_line() {
        let error = anyhow::anyhow!("a\r\nMSG 'x' \u{1b}[2J");
        assert_eq!(refusal(&error), b"-ERR 'a  MSG  x   [2J'\r\n");
        let long = anyhow::anyhow!("y".repeat(10_000));
        assert_eq!(refusal(&long).len(), LONGEST_REASON + 9);
    }
}
