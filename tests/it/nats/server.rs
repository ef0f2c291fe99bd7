//! A nats-server of our own on loopback, which can be killed, stopped, and started again on what it kept.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_nats::jetstream::context::GetStreamByNameErrorKind;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use async_nats::jetstream::{self, stream};
use futures::future::join_all;
use tempfile::TempDir;

use crate::faults::program::is_missing;
use crate::free_port::free_port;
use crate::until::eventually;

pub const STREAM: &str = "PAYMENTS";

pub struct NatsServer {
    child: Option<Child>,
    pub port: u16,
    program: &'static str,
    folder: TempDir,
    store: PathBuf,
}

/// A message as the stream keeps it.
pub struct Kept {
    pub subject: String,
    pub id: String,
    pub content_type: String,
    pub payload: String,
}

impl NatsServer {
    /// Starts a server with JetStream; None, with a word, where none is installed.
    pub fn start() -> Option<Self> {
        Self::start_with("", None)
    }

    /// The same, with lines of configuration, and its store in another folder.
    pub fn start_with(lines: &str, store: Option<&Path>) -> Option<Self> {
        let is_there = |program: &&str| Command::new(program).arg("-v").output().is_ok();
        let programs = ["nats-server", "/usr/sbin/nats-server"];
        let Some(program) = programs.into_iter().find(is_there) else {
            is_missing("nats-server");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let store = store.map_or_else(|| folder.path().join("js"), Path::to_path_buf);
        let port = free_port();
        let mut server = Self {
            child: None,
            port,
            program,
            folder,
            store,
        };
        server.configure(lines);
        server.run();
        Some(server)
    }

    /// What it reads at its next start.
    pub fn configure(&self, lines: &str) {
        let (port, store) = (self.port, self.store.display());
        let text = format!(
            "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{store}\" }}\n{lines}\n"
        );
        std::fs::write(self.config(), text).unwrap();
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("nats.conf")
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Where it keeps its streams.
    pub fn store(&self) -> &Path {
        &self.store
    }

    pub fn run(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .unwrap();
        let child = Command::new(self.program)
            .arg("-c")
            .arg(self.config())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends a signal by its name, such as `STOP`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// A client, once the server takes one and JetStream answers.
    pub async fn jetstream(&self) -> jetstream::Context {
        self.jetstream_with(async_nats::ConnectOptions::new).await
    }

    pub async fn jetstream_with(
        &self,
        options: impl Fn() -> async_nats::ConnectOptions,
    ) -> jetstream::Context {
        eventually(async || {
            let client = options().connect(self.url()).await.ok()?;
            let mut context = jetstream::new(client);
            context.set_timeout(Duration::from_secs(2));
            let answer = context.stream_by_subject("payments.>").await;
            let is_silent =
                answer.is_err_and(|error| error.kind() == GetStreamByNameErrorKind::Request);
            (!is_silent).then_some(context)
        })
        .await
    }

    /// Makes the stream of all events.
    pub async fn make_stream(&self) {
        self.make_stream_as(usual()).await;
    }

    pub async fn make_stream_as(&self, config: stream::Config) {
        self.jetstream().await.create_stream(config).await.unwrap();
    }

    pub async fn change_stream(&self, config: stream::Config) {
        self.jetstream().await.update_stream(config).await.unwrap();
    }

    /// Every message of the stream, in order.
    pub async fn messages(&self) -> Vec<Kept> {
        let context = self.jetstream().await;
        let stream = context.get_stream(STREAM).await.unwrap();
        let state = stream.get_info().await.unwrap().state;
        let numbers: Vec<u64> = (state.first_sequence.max(1)..=state.last_sequence).collect();
        let mut kept = Vec::new();
        for some in numbers.chunks(128) {
            let each = some.iter().map(|number| stored(&stream, *number));
            kept.extend(join_all(each).await.into_iter().flatten());
        }
        kept.iter().map(Kept::of).collect()
    }
}

impl Kept {
    fn of(message: &jetstream::message::StreamMessage) -> Self {
        let header = |name: &str| {
            let value = message.headers.get(name);
            value.map(ToString::to_string).unwrap_or_default()
        };
        Self {
            subject: message.subject.to_string(),
            id: header("Nats-Msg-Id"),
            content_type: header("Content-Type"),
            payload: String::from_utf8(message.payload.to_vec()).unwrap(),
        }
    }
}

/// The message with this number; None = there is none. A server that does not answer is asked again.
async fn stored(stream: &stream::Stream, number: u64) -> Option<jetstream::message::StreamMessage> {
    eventually(async || match stream.get_raw_message(number).await {
        Ok(message) => Some(Some(message)),
        Err(error) => (error.kind() == LastRawMessageErrorKind::NoMessageFound).then_some(None),
    })
    .await
}

/// The stream that the documentation advises.
pub fn usual() -> stream::Config {
    stream::Config {
        name: STREAM.to_owned(),
        subjects: vec!["payments.>".to_owned()],
        storage: stream::StorageType::File,
        discard: stream::DiscardPolicy::New,
        duplicate_window: Duration::from_mins(2),
        ..stream::Config::default()
    }
}

/// The same, which forgets ids before any outage ends.
pub fn forgetful() -> stream::Config {
    stream::Config {
        duplicate_window: Duration::from_millis(100),
        ..usual()
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.kill());
            drop(child.wait());
        }
    }
}
