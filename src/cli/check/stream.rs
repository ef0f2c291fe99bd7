//! The check of the NATS stream: whether it exists and suits the publisher.

use super::{Check, Session};
use crate::config::NatsConfig;
use crate::daemon;
use crate::jetstream::{Advice, SubjectSpace};

/// Checks the stream: one line for it, and one for each doubt. None if no publisher is configured.
pub(super) async fn stream(session: &Session) -> Vec<Check> {
    let Some(nats) = &session.config.nats else {
        return Vec::new();
    };
    let (name, advice) = match examine_stream(session, nats).await {
        Ok(found) => found,
        Err(error) => return vec![Check::of("nats", Err(error))],
    };
    let outcome = if advice.wrong.is_empty() {
        Ok(format!("stream {name}: {}", advice.summary))
    } else {
        let wrong = advice.wrong.join("; ");
        Err(anyhow::anyhow!("stream {name}: {wrong}"))
    };
    let doubts = advice.doubtful.into_iter();
    let doubts = doubts.map(|doubt| Check::warning("nats", format!("stream {name}: {doubt}")));
    [Check::of("nats", outcome)]
        .into_iter()
        .chain(doubts)
        .collect()
}

async fn examine_stream(session: &Session, nats: &NatsConfig) -> anyhow::Result<(String, Advice)> {
    let connection = daemon::connector(nats, &session.environment)?
        .connect()
        .await?;
    let space = SubjectSpace {
        prefix: session.config.feed.subject_prefix.clone(),
        accounts: session
            .config
            .accounts
            .iter()
            .map(|account| account.name.clone())
            .collect(),
    };
    let stream = connection
        .bind(nats.stream.as_deref(), &space.prefix)
        .await?;
    let advice = stream.examine(&connection, &space).await?;
    Ok((stream.name().to_owned(), advice))
}
