//! Whether a stream suits: what must be otherwise, and what should be.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};

use super::{BoundStream, Connection, NatsError};
use crate::feed::Pattern;
use crate::words;

/// The longest event, with room for its headers.
const LONGEST_MESSAGE_BYTES: usize = 131_072;
/// The shortest duplicate window that is worth having: the server's default.
const SHORTEST_WINDOW: Duration = Duration::from_mins(2);
/// Subjects of a stream that are looked through for messages of others.
const SUBJECTS_LOOKED_THROUGH: usize = 1000;

/// The subjects that events have.
#[derive(Clone, Debug)]
pub struct SubjectSpace {
    /// Their first part.
    pub prefix: String,
    /// The accounts, each the second part of some.
    pub accounts: Vec<String>,
}

/// What a look at a stream found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    /// The stream in a few words.
    pub summary: String,
    /// What keeps events from it.
    pub wrong: Vec<String>,
    /// What works, but loses events or guarantees.
    pub doubtful: Vec<String>,
}

impl BoundStream {
    /// Looks the stream over.
    pub async fn advice(
        &self,
        connection: &Connection,
        space: &SubjectSpace,
    ) -> Result<Advice, NatsError> {
        let info = self.info().await?;
        let mut advice = Advice {
            summary: summary(&info.config, info.state.messages),
            ..Advice::default()
        };
        advice.judge_subjects(&info.config, space);
        advice.judge_kind(&info.config);
        advice.judge_limits(&info.config, connection.max_payload());
        let subjects = self.subjects(SUBJECTS_LOOKED_THROUGH).await?;
        advice.judge_messages(&subjects, &space.prefix);
        Ok(advice)
    }
}

fn summary(config: &Config, messages: u64) -> String {
    let storage = match config.storage {
        StorageType::File => "file",
        StorageType::Memory => "memory",
    };
    let replicas = words::counted(
        i64::try_from(config.num_replicas).unwrap_or(i64::MAX),
        "replica",
    );
    let messages = words::counted(i64::try_from(messages).unwrap_or(i64::MAX), "message");
    let window = words::span(config.duplicate_window);
    format!("{storage} storage, {replicas}, duplicate window {window}, {messages}")
}

impl Advice {
    fn judge_subjects(&mut self, config: &Config, space: &SubjectSpace) {
        let patterns: Vec<Pattern> = config
            .subjects
            .iter()
            .filter_map(|subject| Pattern::parse(subject).ok())
            .collect();
        for account in &space.accounts {
            let subject = format!("{}.{account}.paid", space.prefix);
            if !patterns.iter().any(|pattern| pattern.matches(&subject)) {
                self.wrong.push(format!(
                    "its subjects do not cover {}.{account}.*; add {}.>",
                    space.prefix, space.prefix
                ));
            }
        }
    }

    fn judge_kind(&mut self, config: &Config) {
        if config.no_ack {
            self.wrong.push(
                "it acknowledges nothing (no_ack); publishing would wait for ever".to_owned(),
            );
        }
        if config.sealed {
            self.wrong
                .push("it is sealed: it takes no messages".to_owned());
        }
        if config.mirror.is_some() {
            self.wrong
                .push("it is a mirror: it takes no messages".to_owned());
        }
        if config.storage == StorageType::Memory {
            self.doubtful
                .push("storage is memory: a restart of the server loses what it holds".to_owned());
        }
        if config.retention != RetentionPolicy::Limits {
            self.doubtful.push(
                "retention is not limits: messages go when consumers have acknowledged them, and the stream's end with them"
                    .to_owned(),
            );
        }
        if config.duplicate_window < SHORTEST_WINDOW {
            self.doubtful.push(format!(
                "duplicate window is {}; expected at least {}",
                words::span(config.duplicate_window),
                words::span(SHORTEST_WINDOW)
            ));
        }
    }

    fn judge_limits(&mut self, config: &Config, max_payload_bytes: usize) {
        let longest = LONGEST_MESSAGE_BYTES;
        let too_small =
            |limit: i32| limit >= 0 && usize::try_from(limit).is_ok_and(|limit| limit < longest);
        if too_small(config.max_message_size) {
            self.doubtful.push(format!(
                "maximum message size is {} bytes; an event may have {longest}",
                config.max_message_size
            ));
        }
        if max_payload_bytes < longest {
            self.doubtful.push(format!(
                "max_payload of the server is {max_payload_bytes} bytes; an event may have {longest}"
            ));
        }
        if config.max_messages_per_subject > 0 {
            self.doubtful.push(
                "it keeps a limited number of messages of each subject: older ones are dropped, read or not".to_owned(),
            );
        }
        let is_limited = config.max_messages > 0 || config.max_bytes > 0;
        if is_limited && config.discard == DiscardPolicy::Old {
            self.doubtful.push(
                "discard is old: when it is full, messages are dropped even if no consumer has read them; with discard new the publisher waits"
                    .to_owned(),
            );
        }
    }

    fn judge_messages(&mut self, subjects: &[(String, usize)], prefix: &str) {
        let others = subjects
            .iter()
            .filter(|(subject, _)| !is_ours(subject, prefix));
        let examples: Vec<&str> = others
            .map(|(subject, _)| subject.as_str())
            .take(3)
            .collect();
        if !examples.is_empty() {
            self.doubtful.push(format!(
                "it holds messages of others ({}); give payrecond a stream of its own",
                examples.join(", ")
            ));
        }
    }
}

/// The last words of the types of events.
const WORDS: [&str; 11] = [
    "pending",
    "partial",
    "paid",
    "detailed",
    "further",
    "refunded",
    "expired",
    "cancelled",
    "rejected",
    "review",
    "discrepancy",
];

/// Whether an event of ours may have this subject.
fn is_ours(subject: &str, prefix: &str) -> bool {
    let rest = subject.strip_prefix(prefix);
    let rest = rest.and_then(|rest| rest.strip_prefix('.'));
    let Some((_, word)) = rest.and_then(|rest| rest.split_once('.')) else {
        return false;
    };
    WORDS.contains(&word)
}
