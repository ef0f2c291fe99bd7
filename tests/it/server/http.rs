//! A minimal HTTP client: it can send invalid requests, and shows every header.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use crate::PATIENCE;

/// The address of a server.
pub enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

pub trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// A complete answer.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Connects as soon as the server listens.
pub async fn connect(place: &Place) -> Box<dyn Stream> {
    let connecting = async {
        loop {
            let connected: std::io::Result<Box<dyn Stream>> = match place {
                Place::Tcp(address) => TcpStream::connect(address).await.map(|s| Box::new(s) as _),
                Place::Unix(path) => UnixStream::connect(path).await.map(|s| Box::new(s) as _),
            };
            match connected {
                Ok(stream) => return stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, connecting)
        .await
        .expect("somebody listens")
}

/// Sends a request; the default Host is `localhost`.
pub async fn send(place: &Place, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        request.push_str("Host: localhost\r\n");
    }
    for &(name, value) in headers {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request.push_str("\r\n");
    let exchange = async {
        let mut stream = connect(place).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        String::from_utf8(bytes).unwrap()
    };
    let text = tokio::time::timeout(PATIENCE, exchange)
        .await
        .expect("an answer");
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("{text:?}"));
    let mut lines = head.lines();
    let code = lines
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let headers = lines.map(|line| {
        let (name, value) = line
            .split_once(": ")
            .unwrap_or((line.trim_end_matches(':'), ""));
        (name.to_ascii_lowercase(), value.to_owned())
    });
    Answer {
        code,
        headers: headers.collect(),
        body: body.to_owned(),
    }
}

pub async fn ask(place: &Place, path: &str) -> Answer {
    send(place, "GET", path, &[]).await
}

/// Repeats the request until the answer is as expected.
pub async fn ask_until(
    place: &Place,
    path: &str,
    headers: &[(&str, &str)],
    wanted: impl Fn(&Answer) -> bool,
) -> Answer {
    let mut last = String::new();
    let asking = async {
        loop {
            let answer = send(place, "GET", path, headers).await;
            if wanted(&answer) {
                return answer;
            }
            last = format!("{} {}", answer.code, answer.body);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, asking).await;
    found.unwrap_or_else(|_| panic!("{path}: still {last}"))
}
