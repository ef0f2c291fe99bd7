//! Whether a stream suits the publisher: what prevents publishing, and what risks events.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};

use super::{BoundStream, Connection, NatsError};
use crate::feed::Pattern;
use crate::words;

/// The maximum size of an event with its headers.
const LONGEST_MESSAGE_BYTES: usize = 131_072;
/// The shortest useful duplicate window, which is the server's default.
const SHORTEST_WINDOW: Duration = Duration::from_mins(2);
/// Subjects of a stream that are searched for messages of other publishers.
const SUBJECTS_SEARCHED: usize = 1000;

/// The subjects of events.
#[derive(Clone, Debug)]
pub struct SubjectSpace {
    /// The first part of each.
    pub prefix: String,
    /// The accounts, which are the second parts.
    pub accounts: Vec<String>,
}

/// The result of examining a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    /// The main settings, as text.
    pub summary: String,
    /// What prevents publishing.
    pub wrong: Vec<String>,
    /// What may lose events or guarantees.
    pub doubtful: Vec<String>,
}

impl BoundStream {
    /// Examines the settings and the subjects of the stream.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn examine(
        &self,
        connection: &Connection,
        space: &SubjectSpace,
    ) -> Result<Advice, NatsError> {
        let info = self.fetch_info().await?;
        let mut advice = Advice {
            summary: summarize(&info.config, info.state.messages),
            ..Advice::default()
        };
        advice.check_subjects(&info.config, space);
        advice.check_kind(&info.config);
        advice.check_limits(&info.config, connection.max_payload());
        let subjects = self.count_by_subject(SUBJECTS_SEARCHED).await?;
        advice.check_messages(&subjects, &space.prefix);
        Ok(advice)
    }
}

fn summarize(config: &Config, messages: u64) -> String {
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
    fn check_subjects(&mut self, config: &Config, space: &SubjectSpace) {
        let patterns: Vec<Pattern> = config
            .subjects
            .iter()
            .filter_map(|subject| Pattern::parse(subject).ok())
            .collect();
        for account in &space.accounts {
            let is_covered = |kind: &&str| {
                let subject = format!("{}.{account}.{kind}", space.prefix);
                patterns.iter().any(|pattern| pattern.matches(&subject))
            };
            if !EVENT_WORDS.iter().all(is_covered) {
                self.wrong.push(format!(
                    "its subjects do not cover {}.{account}.*; add {}.>",
                    space.prefix, space.prefix
                ));
            }
        }
    }

    fn check_kind(&mut self, config: &Config) {
        if config.no_ack {
            self.wrong.push(
                "it sends no acknowledgements (no_ack), which the publisher waits for".to_owned(),
            );
        }
        if config.sealed {
            self.wrong
                .push("it is sealed, so it accepts no messages".to_owned());
        }
        if config.mirror.is_some() {
            self.wrong
                .push("it is a mirror, so it accepts no messages".to_owned());
        }
        if config.storage == StorageType::Memory {
            self.doubtful
                .push("storage is memory: a restart of the server loses its messages".to_owned());
        }
        if config.retention != RetentionPolicy::Limits {
            self.doubtful.push(
                "retention is not limits: messages are deleted when consumers have acknowledged them, and the publisher cannot find where the stream ends"
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

    fn check_limits(&mut self, config: &Config, max_payload_bytes: usize) {
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
                "it keeps a limited number of messages of each subject: older ones are deleted, read or not".to_owned(),
            );
        }
        let is_limited = config.max_messages > 0 || config.max_bytes > 0;
        if is_limited && config.discard == DiscardPolicy::Old {
            self.doubtful.push(
                "discard is old: when it is full, messages are deleted even if no consumer has read them; with discard new the publisher waits"
                    .to_owned(),
            );
        }
    }

    fn check_messages(&mut self, subjects: &[(String, usize)], prefix: &str) {
        let others = subjects
            .iter()
            .filter(|(subject, _)| !is_event_subject(subject, prefix));
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

/// The last parts of the subjects of events.
const EVENT_WORDS: [&str; 11] = [
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

/// Whether an event may have this subject.
fn is_event_subject(subject: &str, prefix: &str) -> bool {
    let rest = subject.strip_prefix(prefix);
    let rest = rest.and_then(|rest| rest.strip_prefix('.'));
    let Some((_, word)) = rest.and_then(|rest| rest.split_once('.')) else {
        return false;
    };
    EVENT_WORDS.contains(&word)
}
