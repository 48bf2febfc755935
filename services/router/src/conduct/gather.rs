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
    routes::{Destination, Routes, in_use::RoutesInUse},
    table::{SharedTable, Table},
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
    standing: Standing,
    relay: Relay,
    endpoints: Endpoints,
}

/// What this router knows of its versions.
#[derive(Debug, Clone)]
pub struct Standing {
    /// What was counted of their calls.
    pub watching: Arc<Watching>,
    /// Who serves them.
    pub table: Arc<SharedTable>,
    /// Which share of the calls each has.
    pub routes: RoutesInUse,
}

impl Gather {
    /// For the router that listens at `own`; `relay` has a lane of its own among those of `endpoints`.
    pub fn new(process: String, own: SocketAddr, standing: Standing, relay: Relay, endpoints: Endpoints) -> Self {
        Self { process, own, standing, relay, endpoints }
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
        self.standing.told(&self.process)
    }
}

impl Standing {
    /// What the router of this name has counted, as it tells it.
    fn told(&self, router: &str) -> GetTrafficResponse {
        let (table, routes) = (self.table.load(), self.routes.load());
        let versions = self.watching.snapshot().into_iter().map(|(model, version, seen)| {
            let queued = table.ready(model.as_str(), Some(version)).map_or(0, |target| queued(&target.group));
            let percent = percent(&routes, &table, &model, version);
            VersionTraffic { queued, percent, ..counted(&model, version, seen) }
        });
        GetTrafficResponse { router: router.to_owned(), versions: versions.collect() }
    }
}

/// The calls that wait in the workers of a version, as these have said.
fn queued(group: &Group) -> u64 {
    group.seen().filter_map(|seen| seen.load).map(|load| load.depth).sum()
}

/// A version's share by the route of its model's own name. Where that names no version it means the newest one.
fn percent(routes: &Routes, table: &Table, model: &ModelName, version: ModelVersion) -> Option<f64> {
    let newest = table.ready(model.as_str(), None).and_then(|target| ModelVersion::parse(target.version.to_str().ok()?));
    let is_it = |to: &Destination| to.model == *model && to.version.or(newest) == Some(version);
    let shares = routes.get(model)?.shares.iter().filter(|(to, _)| is_it(to)).map(|(_, weight)| *weight);
    // The sum of none is no share at all.
    shares.reduce(|sum, weight| sum + weight)
}

fn counted(model: &ModelName, version: ModelVersion, seen: Seen) -> VersionTraffic {
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
        queued: 0,
        percent: None,
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

    fn standing(routes: &str) -> Standing {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("routes.toml");
        std::fs::write(&file, routes).unwrap();
        Standing { watching: Arc::new(Watching::new(2)), table: Arc::default(), routes: RoutesInUse::open(&file).unwrap() }
    }

    fn told(standing: &Standing) -> GetTrafficResponse {
        GetTrafficResponse::decode(standing.told("p").encode_to_vec().as_slice()).unwrap()
    }

    #[test]
    fn what_is_told_is_what_was_counted() {
        let standing = standing("");
        let (model, three) = (ModelName::parse("m").unwrap(), ModelVersion::parse("3").unwrap());
        let watched = standing.watching.of(&model, three);
        for code in ["0", "0", "14", "3"] {
            watched.begin(0, Instant::now(), None).ends(crate::watching::Ending::of(code.as_bytes()));
        }
        watched.compared(false);
        assert_eq!(snapshot(&told(&standing).versions[0]), watched.seen().snapshot);
    }

    #[test]
    fn a_version_that_a_route_names_has_its_share_and_another_one_none() {
        let standing = standing("[[route]]\nmodel = 'm'\nto = [{ version = '1', weight = 90 }, { version = '2', weight = 10 }]");
        let watched: Vec<_> = [("m", "1"), ("m", "2"), ("m", "3"), ("n", "1")]
            .map(|(model, version)| standing.watching.of(&ModelName::parse(model).unwrap(), ModelVersion::parse(version).unwrap()))
            .into();
        let mut shares: Vec<_> =
            told(&standing).versions.into_iter().map(|version| (version.model, version.version, version.percent)).collect();
        shares.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        let share = |model: &str, version: &str, percent| (model.to_owned(), version.to_owned(), percent);
        assert_eq!(shares, [share("m", "1", Some(90.0)), share("m", "2", Some(10.0)), share("m", "3", None), share("n", "1", None)]);
        drop(watched);
    }
}
