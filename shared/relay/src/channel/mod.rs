//! Channels of tonic to other services of the mesh: in clear text, or by TLS as the next hop is reached ([`HopTls`]).
//!
//! What carries callers' requests has connections of its own; these are for what services ask each other now and then, such as the accounts.

mod address;

pub use address::{Peer, check};

use std::{io, sync::Arc, time::Duration};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint, Error};
use tower::service_fn;

use crate::tls::HopTls;

/// A connection has to be made within this, TLS and all.
const CONNECTED_WITHIN: Duration = Duration::from_secs(5);

/// A service's channel before it belongs to a runtime.
#[derive(Debug, Clone)]
pub struct Lazy {
    endpoint: Endpoint,
    tls: Option<Arc<HopTls>>,
}

impl Lazy {
    /// To a service. Error: it has no address.
    pub fn to(peer: &Peer) -> Result<Self, Error> {
        let endpoint = Endpoint::from_shared(peer.address.clone())?.connect_timeout(CONNECTED_WITHIN).tcp_nodelay(true);
        Ok(Self { endpoint, tls: peer.tls.clone().map(Arc::new) })
    }

    /// The channel, when it is connected: for whoever waits for that, and is told why it is not.
    pub async fn connect(self) -> Result<Channel, Error> {
        let Some(tls) = self.tls else { return self.endpoint.connect().await };
        self.endpoint.connect_with_connector(service_fn(move |uri: Uri| connect(uri, Arc::clone(&tls)))).await
    }

    /// The channel, on the runtime that this is called on: a connection is made when it is needed, and again when it is lost. The files of TLS are read for each.
    pub fn channel(self) -> Channel {
        let Some(tls) = self.tls else { return self.endpoint.connect_lazy() };
        self.endpoint.connect_with_connector_lazy(service_fn(move |uri: Uri| connect(uri, Arc::clone(&tls))))
    }
}

async fn connect(uri: Uri, tls: Arc<HopTls>) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let (connector, name) = tls.connector(host).map_err(io::Error::other)?;
    let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(443))).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(connector.connect(name, stream).await?))
}
