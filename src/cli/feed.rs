//! `feed`: prints the outbox, for a consumer or without one.

mod follow;
mod subscribe;

use std::sync::Arc;

use anyhow::{anyhow, bail};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use tokio::io::AsyncWrite;

use self::follow::Reader;
use super::session::Session;
use super::{Exit, complain, stdout};
use crate::feed::{Format, Pattern, is_consumer_name};
use crate::jobs::feed::{Delivery, Feed, FeedError, FeedRole, Frames};
use crate::store::{Database, Role, RoleHold, Store};

/// Frames written between two checks for a signal.
const TURN: u64 = 500;

#[derive(Debug, Args)]
pub(super) struct FeedArguments {
    /// Start with this event (inclusive)
    #[arg(long, value_name = "SEQ", conflicts_with = "consumer",
          value_parser = clap::value_parser!(i64).range(0..))]
    from: Option<i64>,
    /// Continue after this consumer's last acknowledged event, and acknowledge what is written; a new
    /// name starts with the first event
    #[arg(long, value_name = "NAME", value_parser = consumer_name)]
    consumer: Option<String>,
    /// Wait for new events
    #[arg(long)]
    follow: bool,
    /// Only events whose subject matches: * is one token, > the rest
    #[arg(long, value_name = "PATTERN")]
    subject: Option<Pattern>,
    /// The format of events
    #[arg(long, default_value = "nats",
          value_parser = PossibleValuesParser::new(Format::ALL.map(Format::as_str))
              .try_map(|word| Format::parse(&word).ok_or("expected nats, hpub or jsonl")))]
    format: Format,
    /// Stop after this many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Serve the client of a socket, for `payrecond-feed@.service`
    #[arg(long, hide = true, requires = "follow",
          conflicts_with_all = ["from", "consumer", "subject", "limit"])]
    subscribe: bool,
}

impl FeedArguments {
    /// Whether no position is stored.
    pub(super) fn only_reads(&self) -> bool {
        self.consumer.is_none()
    }

    /// Whether it serves the client of a socket.
    pub(super) fn subscribe(&self) -> bool {
        self.subscribe
    }
}

/// Serves the client of the socket on stdin.
pub(super) async fn serve(session: &Session, arguments: &FeedArguments) -> anyhow::Result<Exit> {
    subscribe::serve(session, arguments.format).await
}

pub(super) async fn run(
    session: &Session,
    store: &Arc<dyn Database>,
    arguments: FeedArguments,
) -> anyhow::Result<Exit> {
    let FeedArguments {
        from,
        consumer,
        follow,
        subject,
        format,
        limit,
        subscribe: _,
    } = arguments;
    if follow && store.is_at_rest() {
        bail!(
            "{}: the database is read-only here and no daemon has it open, so no event can arrive; leave out --follow",
            store.name()
        );
    }
    if consumer.is_some() {
        // Before a position is created or held, since nothing written to it would arrive.
        stdout::require()?;
    }
    let role = match consumer.as_deref() {
        Some(name) => Some(FeedRole::kept(name, hold(session, name).await?)),
        None => None,
    };
    let place = match (&consumer, from) {
        (Some(name), _) => store.consumer(name).await?,
        (None, Some(from)) => start_at(store.as_ref(), from).await?,
        (None, None) => 0,
    };
    let delivery = Delivery {
        format,
        consumer,
        pattern: subject,
    };
    let feed = Feed::new(
        Arc::clone(store) as Arc<dyn Store>,
        delivery,
        place,
        tokio::io::stdout(),
    );
    let feed = match role {
        Some(role) => feed.under(role),
        None => feed,
    };
    let mut reading = FeedSession { feed, left: limit };
    let ended = if follow {
        follow::follow(&mut reading, store.as_ref(), &Reader::of_stdout()).await
    } else {
        reading.all().await
    };
    exit_of(ended)
}

/// A reader that closes its end is a normal end.
fn exit_of(ended: Result<(), FeedError>) -> anyhow::Result<Exit> {
    match ended {
        Ok(()) | Err(FeedError::ReaderGone) => Ok(Exit::Done),
        Err(error) => Err(error.into()),
    }
}

/// A delivery, and the number of frames that it may still write.
struct FeedSession<W> {
    feed: Feed<Frames<W>>,
    left: Option<u64>,
}

/// The result of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FeedProgress {
    /// There may be more at once.
    More,
    /// Everything available was written.
    CaughtUp,
    /// The limit is reached.
    Finished,
}

impl<W: AsyncWrite + Unpin + Send> FeedSession<W> {
    async fn turn(&mut self) -> Result<FeedProgress, FeedError> {
        let frames = self.left.map_or(TURN, |left| left.min(TURN));
        let written = self.feed.run_once(Some(frames)).await?;
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(written);
            if *left == 0 {
                return Ok(FeedProgress::Finished);
            }
        }
        Ok(if written < frames {
            FeedProgress::CaughtUp
        } else {
            FeedProgress::More
        })
    }

    async fn all(&mut self) -> Result<(), FeedError> {
        while self.turn().await? == FeedProgress::More {}
        Ok(())
    }
}

async fn hold(session: &Session, consumer: &str) -> anyhow::Result<Box<dyn RoleHold>> {
    let hold = session.options().hold(Role::Consumer(consumer)).await;
    let hold =
        hold.map_err(|error| anyhow!("lock of consumer {consumer} could not be taken: {error}"))?;
    let Some(hold) = hold else {
        bail!("consumer {consumer} is in use; only one reader per consumer name");
    };
    Ok(hold)
}

/// The position before the event `from`, or before the first event that is kept.
async fn start_at(store: &dyn Store, from: i64) -> anyhow::Result<i64> {
    let first = store.first_seq().await?;
    if from.max(1) < first {
        complain(&format!(
            "events before {first} were deleted by retention; starting with {first}"
        ));
    }
    Ok(from.max(first).saturating_sub(1))
}

fn consumer_name(name: &str) -> Result<String, &'static str> {
    if is_consumer_name(name) {
        Ok(name.to_owned())
    } else {
        Err("expected 1 to 64 characters without spaces and control characters")
    }
}
