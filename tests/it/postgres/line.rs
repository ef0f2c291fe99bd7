//! A TCP line that a test can silence, cut, and turn to another server, and that can tell of requests.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Called for each HTTP request that passes.
type Heard = Arc<dyn Fn() + Send + Sync>;

#[derive(Clone, Copy, Debug, Default)]
struct LineState {
    /// Nothing passes, in neither direction, and no side is told.
    is_silent: bool,
    /// Connections made before the last of these are silent for ever.
    silences: u64,
    /// New connections are closed at once.
    is_cut: bool,
    /// Connections made before the last of these are closed.
    cuts: u64,
}

/// The near end of a line, for as long as the test runs.
pub struct Line {
    pub address: SocketAddr,
    far: Arc<Mutex<SocketAddr>>,
    state: watch::Sender<LineState>,
}

impl Line {
    pub async fn to(far: SocketAddr) -> Self {
        Self::hearing(far, Arc::new(|| {})).await
    }

    /// A line of HTTP that tells of each request.
    pub async fn hearing(far: SocketAddr, heard: Heard) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let line = Self {
            address: listener.local_addr().unwrap(),
            far: Arc::new(Mutex::new(far)),
            state: watch::Sender::new(LineState::default()),
        };
        let (far, state) = (Arc::clone(&line.far), line.state.subscribe());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = *far.lock().unwrap();
                tokio::spawn(connection(near, far, state.clone(), Arc::clone(&heard)));
            }
        });
        line
    }

    /// Every packet is dropped from now on; what was sent meanwhile arrives after `heal`, as by TCP.
    pub fn silence(&self) {
        self.state.send_modify(|state| state.is_silent = true);
    }

    /// What exists is silent from now on, also after `heal`; new connections work.
    pub fn silence_existing(&self) {
        self.state.send_modify(|state| state.silences += 1);
    }

    /// Both ends see every connection closed, and none is made until `heal`.
    pub fn cut(&self) {
        self.state.send_modify(|state| {
            state.is_cut = true;
            state.cuts += 1;
        });
    }

    pub fn heal(&self) {
        self.state.send_modify(|state| {
            state.is_silent = false;
            state.is_cut = false;
        });
    }

    /// What was sent in the silence is lost, and the connections with it.
    pub fn heal_without_the_lost(&self) {
        self.cut();
        self.heal();
    }

    /// New connections lead to another server.
    pub fn turn_to(&self, far: SocketAddr) {
        *self.far.lock().unwrap() = far;
        self.heal_without_the_lost();
    }
}

async fn connection(
    near: TcpStream,
    far: SocketAddr,
    state: watch::Receiver<LineState>,
    heard: Heard,
) {
    let (cuts, silences) = {
        let state = state.borrow();
        (state.cuts, state.silences)
    };
    if state.borrow().is_cut {
        return;
    }
    let carried = async {
        pause_in_silence(&mut state.clone(), silences).await;
        let Ok(far) = TcpStream::connect(far).await else {
            return;
        };
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        tokio::select! {
            () = carry(near_in, far_out, (state.clone(), silences), heard) => {}
            () = carry(far_in, near_out, (state.clone(), silences), Arc::new(|| {})) => {}
        }
    };
    let mut watched = state.clone();
    tokio::select! {
        () = carried => {}
        _ = watched.wait_for(|state| state.cuts > cuts) => {}
    }
}

/// `silences` is that of the connection's beginning.
async fn pause_in_silence(state: &mut watch::Receiver<LineState>, silences: u64) {
    let _ = state
        .wait_for(|state| !state.is_silent && state.silences == silences)
        .await;
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    (mut state, silences): (watch::Receiver<LineState>, u64),
    heard: Heard,
) {
    let mut piece = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut piece).await;
        // Not even that a side has closed is told.
        pause_in_silence(&mut state, silences).await;
        let Ok(length @ 1..) = read else {
            return;
        };
        if [&b"GET "[..], b"POST "]
            .iter()
            .any(|verb| piece.starts_with(verb))
        {
            heard();
        }
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}
