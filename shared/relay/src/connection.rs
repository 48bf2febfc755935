//! One HTTP/2 connection to an endpoint, opened when it is first needed and opened again when it broke.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use h2::{
    Ping, PingPong,
    client::{self, SendRequest},
};
use parking_lot::Mutex;
use tokio::{
    net::TcpStream,
    sync::oneshot,
    time::{MissedTickBehavior, interval, timeout},
};
use torchmesh_wire::{Gathering, gather};

use crate::{tls::HopTls, transport::Transport};

/// How much of one answer may be on its way to us before somebody reads it.
const STREAM_WINDOW: u32 = 1 << 20;
/// How much of all answers together: callers that do not read must not stop those that do, which share the connection with them.
const CONNECTION_WINDOW: u32 = 256 << 20;
/// What `h2` grants for the upkeep of small frames that nobody has read yet, in bytes. Text comes a token a frame: by its own measure, half the
/// window, a few callers that do not read would make it close the connection under everybody. The endpoints are ours; what they may send
/// ahead is bounded by the windows.
const SMALL_FRAMES: usize = 1 << 30;
const MAX_FRAME: u32 = 256 << 10;
/// Inside a cluster a connection is there in a millisecond or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A peer that does not answer a ping for so long is gone: a frozen process holds its calls no longer than this.
const PING_EVERY: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    open: Mutex<Option<Opened>>,
    connecting: tokio::sync::Mutex<()>,
    generation: AtomicU64,
    /// How often it could not be opened.
    failures: AtomicU64,
    tls: Option<Arc<HopTls>>,
    proven: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Opened {
    pub(crate) send: SendRequest<Bytes>,
    generation: u64,
}

impl Connection {
    /// A connection that is not open yet, over TLS where that is given.
    pub(crate) fn over(tls: Option<Arc<HopTls>>) -> Self {
        Self { tls, ..Self::default() }
    }

    /// The same, which counts as open once the endpoint has answered a ping on it. A system takes connections for a server that has as many as it may have, and says nothing.
    pub(crate) fn proven(tls: Option<Arc<HopTls>>) -> Self {
        Self { tls, proven: true, ..Self::default() }
    }

    /// The open connection, or a new one. Callers that come while it is being opened wait for it together, and hear together that it cannot be.
    pub(crate) async fn get(self: &Arc<Self>, addr: SocketAddr) -> io::Result<Opened> {
        if let Some(opened) = self.open.lock().as_ref() {
            return Ok(opened.clone());
        }
        let failures = self.failures.load(Ordering::Relaxed);
        let _one_at_a_time = self.connecting.lock().await;
        if let Some(opened) = self.open.lock().as_ref() {
            return Ok(opened.clone());
        }
        // Each for itself would find out one after the other.
        if self.failures.load(Ordering::Relaxed) != failures {
            return Err(io::Error::other("it could not be opened a moment ago"));
        }
        let opened = self.connect(addr).await.inspect_err(|_| {
            self.failures.fetch_add(1, Ordering::Relaxed);
        })?;
        *self.open.lock() = Some(opened.clone());
        Ok(opened)
    }

    /// Forgets the connection, unless it has been replaced already. Calls still on it go on.
    pub(crate) fn forget(&self, opened: &Opened) {
        self.forget_generation(opened.generation);
    }

    fn forget_generation(&self, generation: u64) {
        let mut open = self.open.lock();
        if open.as_ref().is_some_and(|now| now.generation == generation) {
            *open = None;
        }
    }

    async fn connect(self: &Arc<Self>, addr: SocketAddr) -> io::Result<Opened> {
        let generation = self.generation.fetch_add(1, Ordering::Relaxed);
        let handshake = async {
            let stream = TcpStream::connect(addr).await?;
            stream.set_nodelay(true)?;
            let transport = match &self.tls {
                None => Transport::Clear(stream),
                Some(tls) => {
                    let (connector, name) = tls.connector("").map_err(io::Error::other)?;
                    Transport::Tls(Box::new(connector.connect(name, stream).await?))
                }
            };
            let (stream, flusher) = gather(transport);
            client::Builder::new()
                .initial_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .data_frame_budget(SMALL_FRAMES)
                .max_frame_size(MAX_FRAME)
                .max_send_buffer_size(STREAM_WINDOW as usize)
                .enable_push(false)
                .handshake::<_, Bytes>(stream)
                .await
                .map(|(send, connection)| (send, connection, flusher))
                .map_err(io::Error::other)
        };
        let (send, connection, flusher) =
            timeout(CONNECT_TIMEOUT, handshake).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let (answers, answered) = oneshot::channel();
        tokio::spawn(flusher.flushing(drive(connection, Arc::downgrade(self), generation, answers)));
        if self.proven {
            let answered = timeout(CONNECT_TIMEOUT, answered).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
            answered.map_err(|_| io::Error::from(io::ErrorKind::ConnectionAborted))?;
        }
        Ok(Opened { send, generation })
    }
}

/// Moves the connection's bytes until it closes or its peer is found to be gone. The first ping that is answered is told.
async fn drive(
    mut connection: client::Connection<Gathering<Transport>, Bytes>,
    opened: Weak<Connection>,
    generation: u64,
    answers: oneshot::Sender<()>,
) {
    let pings = connection.ping_pong();
    let ended = tokio::select! {
        biased;
        ended = connection => ended.map_err(|error| error.to_string()),
        () = until_silent(pings, answers) => Err("the peer does not answer pings".to_owned()),
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to an endpoint ended");
    }
    if let Some(opened) = opened.upgrade() {
        opened.forget_generation(generation);
    }
}

async fn until_silent(pings: Option<PingPong>, answers: oneshot::Sender<()>) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    let mut tick = interval(PING_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick.tick().await;
    let mut answers = Some(answers);
    loop {
        if timeout(PING_EVERY, pings.ping(Ping::opaque())).await.is_err() {
            return;
        }
        if let Some(answers) = answers.take() {
            // Hardly anybody waits for it.
            let _ = answers.send(());
        }
        tick.tick().await;
    }
}
