//! The settings that every service has, read the same way everywhere.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

pub use torchmesh_settings::{ByteSize, ConfigArgs, ConfigError, EXIT_CONFIG, FromSetting, Problem, Problems, Section, load};

/// Where a service listens, and what it takes from a connection.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// `addr`: where calls arrive. Port 0 picks a free one.
    pub addr: SocketAddr,
    /// `admin_addr`: where `/metrics`, `/live` and `/ready` are, in clear HTTP; keep it inside.
    pub admin_addr: SocketAddr,
    /// `threads`: how many single-threaded runtimes share the connections. Default 0: one a core.
    pub threads: usize,
    /// `limits.max_connections`: connections open at once; more are closed as they arrive. Default 10000.
    pub max_connections: usize,
    /// `limits.max_streams`: calls at once on one HTTP/2 connection; a client waits with more. Default 1024.
    pub max_streams: u32,
    /// `limits.max_resets` of services that strangers reach: calls that a connection may give up within a second and before they are answered, unless
    /// it waits for as many; it is closed with the next (`ENHANCE_YOUR_CALM`). 0, and the default here: as many as it likes.
    pub max_resets: u32,
    /// `limits.max_message_bytes`: one message; a longer one is refused by its announced length. Default 64 MiB.
    pub max_message: ByteSize,
    /// `limits.idle_timeout`: a connection with no call for so long is closed. Default 15 minutes.
    pub idle_timeout: Duration,
    /// `tls`: clear text when absent.
    pub tls: Option<TlsSettings>,
}

/// `tls`: PEM files, the chain with the leaf first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// The certificate chain.
    pub cert: PathBuf,
    /// The private key (PKCS #8, PKCS #1 or SEC 1).
    pub key: PathBuf,
    /// `tls.client_ca`: PEM certificates that those of clients must be signed by. Default none: clients are not asked for any.
    pub client_ca: Option<PathBuf>,
    /// `tls.client_certificate`: `required` (the default with `tls.client_ca`), or `optional`.
    pub client_certificate_required: bool,
}

impl ServerSettings {
    /// Reads the settings; `port` and `admin_port` on 127.0.0.1 are the defaults.
    pub fn read(s: &mut Section, port: u16, admin_port: u16) -> Self {
        Self::read_with(s, port, admin_port, |_| ()).0
    }

    /// The same, with `more` reading a service's own fields of the table `limits`.
    pub fn read_with<T>(s: &mut Section, port: u16, admin_port: u16, more: impl FnOnce(&mut Section) -> T) -> (Self, T) {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (addr, admin_addr, threads) = (s.or("addr", local(port)), s.or("admin_addr", local(admin_port)), s.or("threads", 0));
        s.check(threads <= 1024, "threads", "must be at most 1024; 0 means one a core");
        let tls = if s.has("tls") { s.section("tls", read_tls) } else { None };
        s.section("limits", |s| {
            let max_message = s.or("max_message_bytes", ByteSize::mib(64));
            s.check((1024..=1 << 31).contains(&max_message.0), "max_message_bytes", "must be from 1KiB to 2GiB");
            let max_connections = s.or("max_connections", 10_000);
            let max_streams = s.or("max_streams", 1024);
            let idle_timeout = s.or("idle_timeout", Duration::from_secs(900));
            let max_resets = 0;
            (Self { addr, admin_addr, threads, max_connections, max_streams, max_resets, max_message, idle_timeout, tls }, more(s))
        })
    }

    /// [`Self::threads`] with 0 resolved to the number of cores.
    pub fn thread_count(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        }
    }
}

fn read_tls(s: &mut Section) -> Option<TlsSettings> {
    let (cert, key) = (s.required::<PathBuf>("cert"), s.required::<PathBuf>("key"));
    let client_ca = s.optional::<PathBuf>("client_ca");
    let asked = s.optional::<String>("client_certificate");
    s.check(asked.is_none() || client_ca.is_some(), "client_certificate", "needs client_ca, which says whose certificates are good");
    let known = asked.as_deref().is_none_or(|asked| matches!(asked, "required" | "optional"));
    s.check(known, "client_certificate", "must be required or optional");
    for (name, path) in [("cert", &cert), ("key", &key), ("client_ca", &client_ca)] {
        if let Some(path) = path {
            s.check(path.is_file(), name, format!("{} is not a file", path.display()));
        }
    }
    Some(TlsSettings { cert: cert?, key: key?, client_ca, client_certificate_required: asked.as_deref() != Some("optional") })
}

/// How a service stops.
#[derive(Debug, Clone, Copy)]
pub struct DrainSettings {
    /// `drain.delay`: how long to go on serving after readiness went false, so that callers notice. Default 0s; on Kubernetes 5s.
    pub delay: Duration,
    /// `drain.grace`: how long calls in flight may take to finish after that; what is left is cut. Default 30s.
    pub grace: Duration,
}

impl DrainSettings {
    /// Reads the settings.
    pub fn read(s: &mut Section) -> Self {
        s.section("drain", |s| Self { delay: s.or("delay", Duration::ZERO), grace: s.or("grace", Duration::from_secs(30)) })
    }
}

/// Logs and traces.
#[derive(Debug, Clone)]
pub struct TelemetrySettings {
    /// `telemetry.log`: a filter such as `info` or `warn,torchmesh_router=debug`. Default `info`.
    pub log: String,
    /// `telemetry.otlp_endpoint`: where spans go by OTLP over gRPC, such as `http://127.0.0.1:4317`. Default none: no spans are made.
    pub otlp_endpoint: Option<String>,
    /// `telemetry.sample_ratio`: the share of new traces that are recorded, 0 to 1. Default 0.01. A caller's own sampled flag is always followed.
    pub sample_ratio: f64,
}

impl TelemetrySettings {
    /// Reads the settings.
    pub fn read(s: &mut Section) -> Self {
        s.section("telemetry", |s| {
            let read = Self {
                log: s.or("log", "info".to_owned()),
                otlp_endpoint: s.optional::<String>("otlp_endpoint").filter(|url| !url.is_empty()),
                sample_ratio: s.or("sample_ratio", 0.01),
            };
            s.check((0.0..=1.0).contains(&read.sample_ratio), "sample_ratio", "must be from 0 to 1");
            let http = read.otlp_endpoint.as_ref().is_none_or(|url| url.starts_with("http://") || url.starts_with("https://"));
            s.check(http, "otlp_endpoint", "must begin with http:// or https://");
            let filter = read.log.parse::<tracing_subscriber::filter::Targets>();
            s.check(filter.is_ok(), "log", "must be a filter such as \"info\" or \"warn,torchmesh_router=debug\"");
            read
        })
    }
}
