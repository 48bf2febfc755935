//! The server: connections spread over single-threaded runtimes, HTTP/2 by the `h2` crate alone, HTTP/1.1 by hyper.
//!
//! One `current_thread` runtime a core costs about half the CPU of a multi-thread runtime for the same calls: nothing moves between
//! cores once a connection has its thread. The main thread accepts and hands connections out in turn.

mod connection;
mod http2;
mod incoming;
mod peer;
mod resets;
mod respond;
mod tls;

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    sync::{Notify, mpsc, watch},
};
use tower::Service;

use crate::{config::ServerSettings, lifecycle::Drain, process::StartError};
pub use incoming::Incoming;
pub use peer::Peer;

/// Any error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a connection may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    max_streams: u32,
    max_resets: u32,
    max_connections: usize,
    idle_timeout: Duration,
}

/// A bound server that does not accept yet.
#[derive(Debug)]
pub struct Server {
    listener: std::net::TcpListener,
    local_addr: SocketAddr,
    threads: usize,
    limits: Limits,
    tls: Option<tls::Acceptor>,
}

/// A server at work.
#[derive(Debug)]
pub struct Serving {
    open: Arc<OpenConnections>,
    cut: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct OpenConnections {
    count: AtomicUsize,
    accepting: AtomicUsize,
    changed: Notify,
}

/// One open connection; dropping it says that the connection is closed.
#[derive(Debug)]
struct Open(Arc<OpenConnections>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
        self.0.changed.notify_waiters();
    }
}

impl Server {
    /// Binds the address and reads the certificate.
    pub fn bind(settings: &ServerSettings) -> Result<Self, StartError> {
        let addr = settings.addr;
        let listener = std::net::TcpListener::bind(addr).map_err(|error| format!("cannot listen on {addr}: {error}; change addr"))?;
        listener.set_nonblocking(true)?;
        let &ServerSettings { max_streams, max_resets, max_connections, idle_timeout, .. } = settings;
        let limits = Limits { max_streams, max_resets, max_connections, idle_timeout };
        let tls = settings.tls.as_ref().map(tls::Acceptor::load).transpose()?;
        Ok(Self { local_addr: listener.local_addr()?, listener, threads: settings.thread_count(), limits, tls })
    }

    /// The bound address.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Starts the data threads, and the accept loop on `control`, until `drain` begins.
    pub fn start<M, S, B>(self, make: &Arc<M>, drain: Drain, control: &Runtime) -> io::Result<Serving>
    where
        M: Fn(usize) -> S + Send + Sync + 'static,
        S: Service<http::Request<Incoming>, Response = http::Response<B>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let open = Arc::new(OpenConnections::default());
        let (cut, _) = watch::channel(false);
        let (mut lanes, mut threads) = (Vec::with_capacity(self.threads), Vec::with_capacity(self.threads));
        for index in 0..self.threads {
            #[expect(clippy::disallowed_methods, reason = "limits.max_connections bounds what is in it")]
            let (lane, arrivals) = mpsc::unbounded_channel();
            let (make, drain, limits, tls) = (Arc::clone(make), drain.clone(), self.limits, self.tls.clone());
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let mut until = cut.subscribe();
            let thread = std::thread::Builder::new().name(format!("data-{index}")).spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = data_thread(arrivals, move || make(index), drain, limits, tls) => {}
                        _ = until.wait_for(|cut| *cut) => {}
                    }
                });
            })?;
            lanes.push(lane);
            threads.push(thread);
        }
        open.accepting.store(1, Ordering::Release);
        if let Some(tls) = self.tls {
            control.spawn(tls.keep_up());
        }
        let listener = TcpListener::from_std(self.listener)?;
        control.spawn(accept(listener, lanes, Arc::clone(&open), drain, self.limits.max_connections));
        Ok(Serving { open, cut, threads })
    }
}

impl Serving {
    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        self.open.count.load(Ordering::Acquire)
    }

    /// Returns once the drain has begun and every connection is closed.
    pub async fn finished(&self) {
        loop {
            let changed = self.open.changed.notified();
            if self.open.accepting.load(Ordering::Acquire) == 0 && self.open_connections() == 0 {
                return;
            }
            changed.await;
        }
    }

    /// Closes every connection that is still open, and ends the data threads: callers learn of it before anything else of the process goes.
    pub fn cut(self) {
        self.cut.send_replace(true);
        for thread in self.threads {
            // One that has panicked serves nobody either.
            let _ = thread.join();
        }
    }
}

type Arrival = (std::net::TcpStream, Open);

async fn accept(listener: TcpListener, lanes: Vec<mpsc::UnboundedSender<Arrival>>, open: Arc<OpenConnections>, drain: Drain, max: usize) {
    let mut turn = lanes.iter().cycle();
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            // Whoever is in the backlog by now was let in by the kernel, and is served (the branch above comes first).
            () = drain.draining() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: the backlog holds the others until some are free.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        if open.count.fetch_add(1, Ordering::AcqRel) >= max {
            tracing::warn!(max, "limits.max_connections is reached; a new connection was closed");
            drop(Open(Arc::clone(&open)));
            continue;
        }
        let held = Open(Arc::clone(&open));
        if let (Some(lane), Ok(stream)) = (turn.next(), stream.into_std()) {
            // A lane's receiver lives as long as its thread, which is as long as the process.
            let _ = lane.send((stream, held));
        }
    }
    drop(listener);
    open.accepting.store(0, Ordering::Release);
    open.changed.notify_waiters();
}

async fn data_thread<S, B>(
    mut arrivals: mpsc::UnboundedReceiver<Arrival>,
    make: impl FnOnce() -> S,
    drain: Drain,
    limits: Limits,
    tls: Option<tls::Acceptor>,
) where
    S: Service<http::Request<Incoming>, Response = http::Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let service = make();
    while let Some((stream, open)) = arrivals.recv().await {
        let Ok(stream) = TcpStream::from_std(stream) else { continue };
        let connection = connection::serve(stream, tls.clone(), service.clone(), drain.clone(), limits);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(open);
        });
    }
    // The lanes close with the drain; the connections still open are served until they are cut.
    std::future::pending::<()>().await;
}
