//! The life of a service process: settings, telemetry, listening, readiness, drain, exit.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    runtime::{Builder, Handle},
    signal::unix::{SignalKind, signal},
};
use tower::Service;

use crate::{
    admin,
    config::{self, ConfigArgs, DrainSettings, EXIT_CONFIG, Section, ServerSettings, TelemetrySettings},
    lifecycle::{Drain, Farewell, Readiness},
    metrics::Metrics,
    server::{self, BoxError, Incoming, Server},
    telemetry,
};

/// Telling others of the end takes a request or two, unless they are away themselves.
const FAREWELL_WITHIN: Duration = Duration::from_secs(3);

/// Why a service could not start; the text is for the operator.
pub type StartError = Box<dyn std::error::Error + Send + Sync>;

/// What a service's settings have in common.
pub trait ServiceSettings {
    /// Where it listens.
    fn server(&self) -> &ServerSettings;
    /// How it stops.
    fn drain(&self) -> DrainSettings;
    /// What it logs and traces.
    fn telemetry(&self) -> &TelemetrySettings;
}

/// What a service is given to build itself with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Context {
    /// To register metrics.
    pub metrics: Metrics,
    /// To say when calls are wanted.
    pub readiness: Readiness,
    /// To learn of the drain.
    pub drain: Drain,
    /// To be waited for at the end.
    pub farewell: Farewell,
    /// The control runtime, for watching and probing: never for calls, which stay on the data threads.
    pub control: Handle,
    /// The address that calls arrive at (the port is known here even when the setting was 0).
    pub addr: SocketAddr,
}

/// Keeps this process out of transparent huge pages; to be called first in a process that holds little.
///
/// The allocator asks for them, and each place that is touched once then costs 2 MiB for good: a router that had passed on a few messages of 4 MiB held 45 MB, and 17 MB
/// without, at the same CPU for a call.
pub fn keep_pages_small() {
    // A kernel that does not know the flag has no huge pages, or keeps them; the process works either way.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// Runs a service from its settings to its exit code: 0 after a drain, 1 when it could not start, 64 for wrong settings.
///
/// `build` gets the settings and the [`Context`], and gives a function that makes one data thread's service.
pub fn run<C, M, S, B>(
    name: &'static str,
    args: &ConfigArgs,
    read: impl FnOnce(&mut Section) -> C,
    build: impl FnOnce(C, &Context) -> Result<M, StartError>,
) -> ExitCode
where
    C: ServiceSettings,
    M: Fn(usize) -> S + Send + Sync + 'static,
    S: Service<http::Request<Incoming>, Response = http::Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let settings = match config::load(name, args, read) {
        Ok(settings) => settings,
        Err(report) => {
            eprintln!("{report}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    if args.check {
        println!("torchmesh-{name}: the configuration is good");
        return ExitCode::SUCCESS;
    }
    match live(name, args, settings, build) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("torchmesh-{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn live<C, M, S, B>(
    name: &'static str,
    args: &ConfigArgs,
    settings: C,
    build: impl FnOnce(C, &Context) -> Result<M, StartError>,
) -> Result<(), StartError>
where
    C: ServiceSettings,
    M: Fn(usize) -> S + Send + Sync + 'static,
    S: Service<http::Request<Incoming>, Response = http::Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let control = Builder::new_current_thread().enable_all().thread_name("control").build()?;
    let _entered = control.enter();
    let telemetry = telemetry::start(name, settings.telemetry())?;
    let drain_settings = settings.drain();
    let server = Server::bind(settings.server())?;
    let admin_listener = listen(settings.server().admin_addr, "admin_addr")?;
    let addresses = [("main", server.local_addr()), ("admin", admin_listener.local_addr()?)];
    let context = Context {
        metrics: Metrics::default(),
        readiness: Readiness::default(),
        drain: Drain::default(),
        farewell: Farewell::default(),
        control: control.handle().clone(),
        addr: server.local_addr(),
    };
    let make = build(settings, &context)?;
    let mut stop = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let serving = server.start(&Arc::new(make), context.drain.clone(), &control)?;
    control.spawn(admin::serve(admin_listener, context.readiness.clone(), context.drain.clone(), context.metrics.clone()));
    if let Some(file) = &args.announce {
        announce(file, name, &addresses)?;
    }
    tracing::info!(service = name, addr = %addresses[0].1, admin_addr = %addresses[1].1, "listening");
    control.block_on(async {
        tokio::select! {
            _ = stop.0.recv() => {}
            _ = stop.1.recv() => {}
        }
        tokio::select! {
            () = wind_down(&context, drain_settings, &serving) => {}
            // Whoever asks twice does not want to wait.
            _ = stop.0.recv() => tracing::warn!("stopped a second time; calls were cut"),
            _ = stop.1.recv() => tracing::warn!("stopped a second time; calls were cut"),
        }
        serving.cut();
        telemetry.flush().await;
    });
    Ok(())
}

/// Not ready, then no new connections and GOAWAY on the open ones, then the wait for what is in flight.
async fn wind_down(context: &Context, settings: DrainSettings, serving: &server::Serving) {
    tracing::info!(grace_s = settings.grace.as_secs_f64(), "draining");
    context.readiness.retire();
    tokio::time::sleep(settings.delay).await;
    context.drain.start();
    let left = tokio::time::timeout(settings.grace, serving.finished()).await;
    if left.is_ok() {
        tracing::info!("drained");
    } else {
        tracing::warn!(connections = serving.open_connections(), "the grace period ended first; calls were cut");
    }
    if tokio::time::timeout(FAREWELL_WITHIN, context.farewell.said()).await.is_err() {
        tracing::warn!("others could not be told that this process ends");
    }
}

fn listen(addr: SocketAddr, setting: &str) -> Result<TcpListener, StartError> {
    let listener = TcpListener::bind(addr).map_err(|error| format!("cannot listen on {addr}: {error}; change {setting}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Writes the addresses whole or not at all: a reader never sees half a file.
fn announce(file: &Path, service: &str, addresses: &[(&str, SocketAddr)]) -> io::Result<()> {
    let addresses: BTreeMap<_, _> = addresses.iter().map(|(name, addr)| (*name, addr.to_string())).collect();
    let text = serde_json::json!({ "service": service, "pid": std::process::id(), "addresses": addresses }).to_string();
    let part = file.with_extension(format!("part-{}", std::process::id()));
    std::fs::write(&part, text)?;
    std::fs::rename(&part, file)
}
