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

    /// A lane for each address, those of `before` where they still are. A name that cannot be looked up keeps what it had before.
    ///
    /// Error: no name could be looked up.
    pub(super) async fn lanes(&self, before: &[Arc<Lane>]) -> Result<Vec<Arc<Lane>>, ConnectError> {
        let (mut lanes, mut seen, mut failed) = (Vec::new(), BTreeSet::new(), None);
        for (origin, tls) in &self.0 {
            let found = lookup_host((origin.bare_host(), origin.port)).await;
            let found = match found {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(%origin, %error, "a name of the mesh cannot be looked up; its last addresses stay in use");
                    lanes.extend(before.iter().filter(|lane| lane.origin() == origin && seen.insert(lane.address())).cloned());
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
    let endpoint = plain.origin(named).http2_keep_alive_interval(ALIVE).keep_alive_timeout(ALIVE_WITHIN).keep_alive_while_idle(true);
    let endpoint = endpoint.user_agent(concat!("torchmesh-client/", env!("CARGO_PKG_VERSION"))).map_err(|error| wrong(&error))?;
    let dialer = Dialer { address, tls };
    Ok(Lane::new(origin.clone(), dialer.clone(), endpoint.connect_with_connector_lazy(dialer)))
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
            // It was told name by name.
            Err(_) => {}
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

#[cfg(test)]
mod tests {
    use std::sync::RwLock;

    use tokio::sync::Notify;

    use super::*;

    fn origin(url: &str) -> Origin {
        Origin::of(&url.parse().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_name_that_cannot_be_looked_up_keeps_its_addresses_while_others_are_found() {
        // A label of more than 63 bytes is no name: it fails wherever this runs.
        let nobody = origin(&format!("http://{}:1", "x".repeat(64)));
        let known = Arc::new(lane(&nobody, None, SocketAddr::from(([127, 0, 0, 2], 1))).unwrap());
        let targets = Targets(vec![(origin("http://127.0.0.1:1"), None), (nobody, None)]);
        let lanes = targets.lanes(&[Arc::clone(&known)]).await.unwrap();
        assert!(lanes.len() == 2 && Arc::ptr_eq(&lanes[1], &known), "{lanes:?}");
    }

    #[tokio::test]
    async fn a_name_is_looked_up_again_after_trouble_and_no_longer_than_the_channel_lives() {
        let shared = Arc::new(Shared { lanes: RwLock::new(Arc::from([])), troubled: Notify::new() });
        let task = tokio::spawn(follow(Targets(vec![(origin("http://localhost:1"), None)]), Arc::downgrade(&shared)));
        shared.troubled.notify_one();
        let found = async {
            while shared.lanes().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), found).await.expect("well before the period is over");
        drop(shared);
        timeout(Duration::from_secs(10), task).await.expect("nobody uses it any more").unwrap();
    }
}
