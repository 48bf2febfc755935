//! One HTTP/2 connection, served with the `h2` crate alone.
//!
//! hyper's layer above `h2` would add a date header, a body adapter and a task of its own to each call; on the path of calls that are
//! only passed on, that is a tenth of the cost of the hop.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use h2::{Ping, PingPong, Reason, server};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use torchmesh_wire::gather;
use tower::Service;

use super::{BoxError, Incoming, Limits, resets::Resets, respond};
use crate::lifecycle::Drain;

/// How much of one call's body may be on its way to us before somebody reads it.
const STREAM_WINDOW: u32 = 1 << 20;
/// The same for all calls of a connection together.
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Large tensors come in few frames.
const MAX_FRAME: u32 = 256 << 10;
/// All headers of a call together, as HTTP/2 counts them.
const MAX_HEADERS: u32 = 32 << 10;
/// A peer that does not answer a ping for so long is gone.
const PING_EVERY: Duration = Duration::from_secs(20);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn serve<I, S, B>(io: I, service: S, drain: Drain, limits: Limits) -> Result<(), BoxError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send,
    S: Service<http::Request<Incoming>, Response = http::Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (io, flusher) = gather(io);
    flusher.flushing(calls(io, service, drain, limits)).await
}

/// Takes calls until the connection ends.
async fn calls<I, S, B>(io: I, service: S, drain: Drain, limits: Limits) -> Result<(), BoxError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send,
    S: Service<http::Request<Incoming>, Response = http::Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let handshake = server::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME)
        .max_header_list_size(MAX_HEADERS)
        .max_concurrent_streams(limits.max_streams)
        .max_send_buffer_size(STREAM_WINDOW as usize)
        .handshake(io);
    let mut connection = timeout(HANDSHAKE_TIMEOUT, handshake).await??;
    let mut pulse = Pulse::new(connection.ping_pong(), limits.idle_timeout);
    let mut resets = Resets::new(limits.max_resets);
    let mut leaving = false;
    let mut drain_begins = std::pin::pin!(drain.draining());
    loop {
        tokio::select! {
            biased;
            accepted = connection.accept() => match accepted {
                Some(Ok((request, reply))) => {
                    pulse.active();
                    let waiting = resets.begin(pulse.last_call);
                    tokio::spawn(respond::answer(service.clone(), request, reply, waiting));
                    if resets.are_too_many() {
                        tracing::debug!(max = limits.max_resets, "limits.max_resets is reached; the connection is closed");
                        connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                    }
                }
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(()),
            },
            () = &mut drain_begins, if !leaving => {
                leaving = true;
                connection.graceful_shutdown();
            }
            alive = pulse.beat() => match alive {
                Beat::Alive => {}
                Beat::Idle if connection.has_streams() => pulse.active(),
                Beat::Idle => connection.graceful_shutdown(),
                Beat::Gone => return Err("the peer does not answer pings".into()),
            },
        }
    }
}

enum Beat {
    Alive,
    Idle,
    Gone,
}

/// Finds peers that are gone, and connections that nobody uses.
struct Pulse {
    pings: Option<PingPong>,
    tick: tokio::time::Interval,
    awaiting: bool,
    last_call: Instant,
    idle_timeout: Duration,
}

impl Pulse {
    fn new(pings: Option<PingPong>, idle_timeout: Duration) -> Self {
        let mut tick = interval(PING_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.reset();
        Self { pings, tick, awaiting: false, last_call: Instant::now(), idle_timeout }
    }

    fn active(&mut self) {
        self.last_call = Instant::now();
    }

    async fn beat(&mut self) -> Beat {
        self.tick.tick().await;
        if let Some(pings) = &mut self.pings {
            if self.awaiting {
                let answered = std::future::poll_fn(|cx| std::task::Poll::Ready(pings.poll_pong(cx))).await;
                if answered.is_pending() {
                    return Beat::Gone;
                }
            }
            self.awaiting = pings.send_ping(Ping::opaque()).is_ok();
        }
        if self.last_call.elapsed() >= self.idle_timeout { Beat::Idle } else { Beat::Alive }
    }
}
