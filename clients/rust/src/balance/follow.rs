//! Which addresses the mesh's names stand for.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    net::lookup_host,
    time::{sleep, timeout},
};
use tonic::transport::Endpoint;

use super::{Shared, lane::Lane};
use crate::{
    ConnectError,
    connection::{Dialer, Tls},
    origin::Origin,
};

/// How often names are looked up, and how soon again after a failure.
const PERIOD: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(1);
/// An idle or silent connection is asked so often whether it is still there.
const ALIVE: Duration = Duration::from_secs(20);
const ALIVE_WITHIN: Duration = Duration::from_secs(10);

/// The servers of a mesh, all of which answer alike.
pub(crate) struct Targets(pub(crate) Vec<(Origin, Option<Tls>)>);

impl Targets {
    /// Whether there is a name among them.
    pub(super) fn may_change(&self) -> bool {
        self.0.iter().any(|(origin, _)| !origin.is_address())
    }

    /// A lane for each address, those of `before` where they still are.
    ///
    /// Error: no name could be looked up.
    pub(super) async fn lanes(&self, before: &[Arc<Lane>]) -> Result<Vec<Arc<Lane>>, ConnectError> {
        let (mut lanes, mut seen, mut failed) = (Vec::new(), BTreeSet::new(), None);
        for (origin, tls) in &self.0 {
            let found = lookup_host((origin.bare_host(), origin.port)).await;
            let found = match found {
                Ok(found) => found,
                Err(error) => {
                    failed = Some(ConnectError::Unreachable { address: origin.to_string(), what: error.to_string() });
                    continue;
                }
            };
            for address in found.filter(|address| seen.insert(*address)).collect::<Vec<_>>() {
                let known = before.iter().find(|lane| lane.address() == address);
                lanes.push(known.map_or_else(|| lane(origin, tls.clone(), address).map(Arc::new), |lane| Ok(Arc::clone(lane)))?);
            }
        }
        match failed {
            Some(error) if lanes.is_empty() => Err(error),
            _ => Ok(lanes),
        }
    }
}

fn lane(origin: &Origin, tls: Option<Tls>, address: SocketAddr) -> Result<Lane, ConnectError> {
    let wrong = |error: &dyn std::fmt::Display| ConnectError::Address { address: origin.to_string(), what: error.to_string() };
    // TLS is the dialer's: the channel is told of none, so that it adds none of its own, and that its calls say https all the same.
    let plain = Endpoint::from_shared(format!("http://{}", origin.authority())).map_err(|error| wrong(&error))?;
    let named = origin.to_string().parse().map_err(|error: http::uri::InvalidUri| wrong(&error))?;
    let endpoint = plain.origin(named).http2_keep_alive_interval(ALIVE).keep_alive_timeout(ALIVE_WITHIN);
    let endpoint = endpoint.user_agent(concat!("torchmesh-client/", env!("CARGO_PKG_VERSION"))).map_err(|error| wrong(&error))?;
    let dialer = Dialer { address, tls };
    Ok(Lane::new(dialer.clone(), endpoint.connect_with_connector_lazy(dialer)))
}

/// Looks the names up again and again, until nobody uses the channel any more.
pub(super) async fn follow(targets: Targets, shared: Weak<Shared>) {
    loop {
        sleep(SOON).await;
        wait(&shared).await;
        let Some(before) = shared.upgrade().map(|shared| shared.lanes()) else { return };
        match targets.lanes(&before).await {
            Ok(lanes) if !lanes.is_empty() => {
                let Some(shared) = shared.upgrade() else { return };
                for fresh in lanes.iter().filter(|lane| !before.iter().any(|known| Arc::ptr_eq(known, lane))) {
                    tokio::spawn(Arc::clone(fresh).meet());
                }
                shared.replace(lanes);
            }
            // What was known last is as good as anything.
            Ok(_) => tracing::warn!("the mesh's name has no address; its last ones stay in use"),
            Err(error) => tracing::warn!(%error, "the mesh's name cannot be looked up; its last addresses stay in use"),
        }
    }
}

/// Until the next look is due. Who drops the last channel ends it within a second.
async fn wait(shared: &Weak<Shared>) {
    for _ in 0..PERIOD.as_secs() {
        let Some(shared) = shared.upgrade() else { return };
        if timeout(SOON, shared.troubled.notified()).await.is_ok() {
            return;
        }
    }
}
