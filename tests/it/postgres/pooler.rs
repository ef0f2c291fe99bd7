//! A transaction pooler between the program and the server: each transaction of a client runs in whichever
//! session of the server is free.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{self, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::server::As;
use super::shop::ServerShop;

/// The request for TLS, in place of a protocol version.
const TLS_REQUEST: u32 = 80_877_103;
/// A transaction is not open, in the server's `ReadyForQuery`.
const IDLE: u8 = b'I';

/// What a pooler does with the settings that a client sends at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settings {
    Refused,
    Dropped,
    /// Each session of the server has them.
    PassedOn,
}

/// The server's sessions that no transaction uses.
type FreeSessions = Arc<Mutex<Vec<TcpStream>>>;

async fn pooler(server: SocketAddr, settings: Settings) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let free = FreeSessions::default();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, server, settings, Arc::clone(&free)));
        }
    });
    address
}

/// One client until it goes.
async fn serve(
    mut client: TcpStream,
    server: SocketAddr,
    settings: Settings,
    free: FreeSessions,
) -> io::Result<()> {
    let startup = read_startup(&mut client).await?;
    if settings == Settings::Refused {
        let error = b"SFATAL\0C08P01\0Munsupported startup parameter: options\0\0";
        client.write_all(&message(b'E', error)).await?;
        return Ok(());
    }
    let own = if settings == Settings::PassedOn {
        startup
    } else {
        without_options(&startup)
    };
    client.write_all(&message(b'R', &[0; 4])).await?;
    client.write_all(&message(b'Z', &[IDLE])).await?;
    loop {
        let first = read_message(&mut client).await?;
        let session = free.lock().unwrap().pop();
        let mut session = match session {
            Some(session) => session,
            None => open_session(server, &own).await?,
        };
        run_transaction(&mut client, &mut session, first).await?;
        free.lock().unwrap().push(session);
    }
}

/// Passes messages on until no transaction is open.
async fn run_transaction(
    client: &mut TcpStream,
    session: &mut TcpStream,
    first: Vec<u8>,
) -> io::Result<()> {
    let mut asked = first;
    loop {
        session.write_all(&asked).await?;
        // The server answers a query and a sync with its state.
        if [b'Q', b'S'].contains(&asked[0]) && relay_answer(client, session).await? == IDLE {
            return Ok(());
        }
        asked = read_message(client).await?;
    }
}

async fn relay_answer(client: &mut TcpStream, session: &mut TcpStream) -> io::Result<u8> {
    loop {
        let answer = read_message(session).await?;
        client.write_all(&answer).await?;
        if answer[0] == b'Z' {
            return Ok(answer[5]);
        }
    }
}

async fn open_session(server: SocketAddr, startup: &[u8]) -> io::Result<TcpStream> {
    let mut session = TcpStream::connect(server).await?;
    session.write_all(startup).await?;
    while read_message(&mut session).await?[0] != b'Z' {}
    Ok(session)
}

/// The client's first message, TLS being declined.
async fn read_startup(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    loop {
        let length = client.read_u32().await?;
        let mut startup = length.to_be_bytes().to_vec();
        startup.resize(length as usize, 0);
        client.read_exact(&mut startup[4..]).await?;
        if startup[4..8] != TLS_REQUEST.to_be_bytes() {
            return Ok(startup);
        }
        client.write_all(b"N").await?;
    }
}

/// The user and the database alone.
fn without_options(startup: &[u8]) -> Vec<u8> {
    let text: Vec<&[u8]> = startup[8..].split(|byte| *byte == 0).collect();
    let mut kept = startup[4..8].to_vec();
    for pair in text.chunks_exact(2) {
        if [&b"user"[..], b"database"].contains(&pair[0]) {
            for word in pair {
                kept.extend_from_slice(word);
                kept.push(0);
            }
        }
    }
    kept.push(0);
    let length = u32::try_from(kept.len() + 4).unwrap();
    [&length.to_be_bytes()[..], &kept].concat()
}

fn message(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 4).unwrap();
    [&[kind][..], &length.to_be_bytes(), content].concat()
}

async fn read_message(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let kind = from.read_u8().await?;
    let length = from.read_u32().await?;
    let mut content = vec![0; length as usize - 4];
    from.read_exact(&mut content).await?;
    Ok(message(kind, &content))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_pooler_is_refused_at_the_start() {
    let Some(shop) = ServerShop::open().await else {
        return;
    };
    for (settings, why) in [
        (Settings::Refused, "unsupported startup parameter"),
        (Settings::Dropped, "settings of a session are dropped"),
        (Settings::PassedOn, "two connections share one session"),
    ] {
        let pooler = pooler(shop.database.server.address(), settings).await;
        let url = shop.database.url_by(As::Daemon, pooler);
        shop.configure("pooled", &url, |_| shop.sandbox.url());
        let output = shop.command(&["--config", "pooled.toml", "run"]).output();
        let output = output.await.unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{settings:?}: {error}");
        assert!(
            error.contains("transaction pooler") && error.contains(why),
            "{settings:?}: {error}"
        );
    }
}
