//! What every router has counted.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use http::HeaderMap;
use prost::Message as _;
use torchmesh_api::{
    admin::v1::{GetTrafficRequest, GetTrafficResponse, Latencies, VersionTraffic},
    frame,
    ids::{ModelName, ModelVersion},
};
use torchmesh_discovery::Instances;
use torchmesh_relay::{Endpoints, Group, Relay};

use crate::{
    rollout::{
        Evidence, Plan, Sample, Snapshot,
        histogram::{BUCKETS, Histogram, lower_end},
    },
    watching::{Seen, Watching},
};

const PATH: &str = "/torchmesh.admin.v1.RouterAdmin/GetTraffic";
/// A router that takes longer is asked again at the next look; its counts are cumulative.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// What one router has counted.
#[derive(Debug, Clone)]
pub struct Counted(GetTrafficResponse);

impl Counted {
    /// Of the two versions of a rollout.
    pub fn sample(&self, plan: &Plan) -> Sample {
        let of = |version: ModelVersion| {
            let found = self.0.versions.iter().find(|one| one.model == plan.model.as_str() && one.version == version.to_string());
            found.map(snapshot).unwrap_or_default()
        };
        Sample { router: self.0.router.clone(), stable: of(plan.from), canary: of(plan.to) }
    }
}

/// Asks all routers, this one excepted, whose counts are at hand.
#[derive(Debug)]
pub struct Gather {
    process: String,
    own: SocketAddr,
    watching: Arc<Watching>,
    relay: Relay,
    endpoints: Endpoints,
}

impl Gather {
    /// For the router that listens at `own`; `relay` has a lane of its own among those of `endpoints`.
    pub fn new(process: String, own: SocketAddr, watching: Arc<Watching>, relay: Relay, endpoints: Endpoints) -> Self {
        Self { process, own, watching, relay, endpoints }
    }

    /// What each router that answers has counted.
    pub async fn all(&self, routers: &Instances) -> Vec<Counted> {
        let others: Vec<_> =
            routers.iter().filter(|router| router.addr != self.own).map(|router| (router.id.clone(), router.addr)).collect();
        let mut asking = tokio::task::JoinSet::new();
        for endpoint in self.endpoints.update(&others) {
            let relay = self.relay.clone();
            asking.spawn(async move {
                let message = frame::encode(&GetTrafficRequest {});
                let reply = relay.unary(PATH, HeaderMap::new(), [message], Instant::now() + ANSWER_WITHIN, &Group::single(endpoint)).await;
                GetTrafficResponse::decode(reply.ok()?.message).ok().map(Counted)
            });
        }
        let mut counted = vec![Counted(self.own())];
        counted.extend(asking.join_all().await.into_iter().flatten());
        // A router that is listed at another address than the one it listens at has answered itself.
        counted.sort_by(|a, b| a.0.router.cmp(&b.0.router));
        counted.dedup_by(|a, b| a.0.router == b.0.router);
        counted
    }

    /// What this router has counted.
    pub fn own(&self) -> GetTrafficResponse {
        traffic(&self.process, &self.watching)
    }
}

/// What a router has counted, as it tells it.
pub fn traffic(process: &str, watching: &Watching) -> GetTrafficResponse {
    let versions = watching.snapshot().into_iter().map(version);
    GetTrafficResponse { router: process.to_owned(), versions: versions.collect() }
}

fn version((model, version, seen): (ModelName, ModelVersion, Seen)) -> VersionTraffic {
    let Seen { snapshot: Snapshot { epoch, seen }, begun, in_flight } = seen;
    let latencies = seen.latency.filled().map(|(bucket, count)| Latencies { bucket: bucket as u32, from_us: lower_end(bucket), count });
    VersionTraffic {
        model: model.to_string(),
        version: version.to_string(),
        epoch,
        begun,
        in_flight,
        calls: seen.calls,
        errors: seen.errors,
        refused: seen.refused,
        compared: seen.compared,
        disagreed: seen.disagreed,
        latencies: latencies.collect(),
        ..VersionTraffic::default()
    }
}

fn snapshot(told: &VersionTraffic) -> Snapshot {
    let mut latency = Histogram::default();
    for Latencies { bucket, count, .. } in &told.latencies {
        // Another version of torchmesh may have other buckets.
        latency.add((*bucket as usize).min(BUCKETS), *count);
    }
    let VersionTraffic { calls, errors, refused, compared, disagreed, .. } = *told;
    Snapshot { epoch: told.epoch, seen: Evidence { calls, errors, refused, latency, compared, disagreed } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_what_was_counted() {
        let watching = Watching::new(2);
        let (model, three) = (ModelName::parse("m").unwrap(), ModelVersion::parse("3").unwrap());
        let watched = watching.of(&model, three);
        for code in ["0", "0", "14", "3"] {
            watched.begin(0, Instant::now(), None).ends(crate::watching::Ending::of(code.as_bytes()));
        }
        watched.compared(false);
        let told = GetTrafficResponse::decode(traffic("p", &watching).encode_to_vec().as_slice()).unwrap();
        assert_eq!(snapshot(&told.versions[0]), watched.seen().snapshot);
    }
}
