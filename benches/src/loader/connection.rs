//! Connections that come back after they broke.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use h2::client::{self, SendRequest};
use tokio::{net::TcpStream, sync::Mutex, time};

/// Large enough that window updates are rare beside the calls that are measured.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 64 << 20;
/// A host that does not answer must not hold the run.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// One h2c connection, shared by its callers.
#[derive(Clone)]
pub(super) struct Connection {
    address: SocketAddr,
    current: Arc<Mutex<Current>>,
    opened: Arc<AtomicU64>,
}

#[derive(Default)]
struct Current {
    sender: Option<SendRequest<Bytes>>,
    /// Which attempt `sender` belongs to: several callers see one break, and only the first of them may replace it.
    generation: u64,
}

/// A caller's hold on a connection.
pub(super) struct Held {
    pub(super) sender: SendRequest<Bytes>,
    generation: u64,
}

impl Connection {
    /// Opens nothing yet. `opened` counts the connections that are made.
    pub(super) fn new(address: SocketAddr, opened: Arc<AtomicU64>) -> Self {
        Self { address, current: Arc::default(), opened }
    }

    /// The open connection, or a new one.
    ///
    /// `broken` is what the caller held until now: if nobody has replaced it yet, it is replaced.
    pub(super) async fn get(&self, broken: Option<&Held>) -> io::Result<Held> {
        let mut current = self.current.lock().await;
        if broken.is_some_and(|held| held.generation == current.generation) {
            current.sender = None;
        }
        if let Some(sender) = &current.sender {
            return Ok(Held { sender: sender.clone(), generation: current.generation });
        }
        let sender = connect(self.address).await?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        current.generation += 1;
        current.sender = Some(sender.clone());
        Ok(Held { sender, generation: current.generation })
    }
}

async fn connect(address: SocketAddr) -> io::Result<SendRequest<Bytes>> {
    let socket = time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await??;
    socket.set_nodelay(true)?;
    let (sender, connection) = client::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake(socket)
        .await
        .map_err(io::Error::other)?;
    // Its error reaches the callers through their streams.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}
