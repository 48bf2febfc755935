//! What operators ask of the router: `torchmesh.admin.v1.RouterAdmin`.

mod rollouts;

use std::{collections::BTreeMap, sync::Arc};

use tonic::{Request, Response, Status};
use torchmesh_api::admin::v1::{
    ChangeRolloutRequest, ChangeRolloutResponse, Endpoint, EndpointVersion, GetRoutesRequest, GetRoutesResponse, GetTrafficRequest,
    GetTrafficResponse, ListEndpointsRequest, ListEndpointsResponse, ListPastRoutesRequest, ListPastRoutesResponse, ListRolloutsRequest,
    ListRolloutsResponse, PastRoutes, SetRoutesRequest, SetRoutesResponse, StartRolloutRequest, StartRolloutResponse,
    router_admin_server::{RouterAdmin, RouterAdminServer},
};
use torchmesh_discovery::{
    consul::{ConsulError, kv::MOST_BYTES},
    kubernetes::KubernetesError,
};
use torchmesh_relay::balance::reported::Load;

use crate::{
    conduct::Gather,
    config::RoutesFrom,
    routes::read,
    store::{ABSENT, Store, StoreError},
    table::SharedTable,
};

/// The document that the routes are in.
pub const ROUTES: &str = "routes";

/// See the module.
#[derive(Debug, Clone)]
pub struct Admin {
    table: Arc<SharedTable>,
    from: RoutesFrom,
    store: Option<Store>,
    gather: Arc<Gather>,
}

impl Admin {
    /// The service; `store` is what `from` says.
    pub fn service(table: Arc<SharedTable>, from: RoutesFrom, store: Option<Store>, gather: Arc<Gather>) -> RouterAdminServer<Self> {
        RouterAdminServer::new(Self { table, from, store, gather })
    }

    fn store(&self) -> Result<&Store, Status> {
        self.store.as_ref().ok_or_else(|| {
            Status::failed_precondition(match &self.from {
                RoutesFrom::File(path) => format!("the routes are read from {}: change that file", path.display()),
                _ => "routes are kept nowhere: set store.folder, store.consul or store.kubernetes of the routers".to_owned(),
            })
        })
    }
}

#[tonic::async_trait]
impl RouterAdmin for Admin {
    async fn get_routes(&self, _: Request<GetRoutesRequest>) -> Result<Response<GetRoutesResponse>, Status> {
        let (routes, version) = match (&self.store, &self.from) {
            (Some(store), _) => store.read(ROUTES).await.map_err(status)?.map_or_else(Default::default, |read| (read.text, read.version)),
            (None, RoutesFrom::File(path)) => {
                let text = tokio::fs::read_to_string(path).await;
                (text.map_err(|error| Status::unavailable(format!("routes_file: {}: {error}", path.display())))?, ABSENT)
            }
            (None, _) => Default::default(),
        };
        Ok(Response::new(GetRoutesResponse { routes, version, can_set: self.store.is_some() }))
    }

    async fn set_routes(&self, request: Request<SetRoutesRequest>) -> Result<Response<SetRoutesResponse>, Status> {
        let SetRoutesRequest { routes, version, dry_run } = request.into_inner();
        if routes.len() > MOST_BYTES {
            // Wherever they are kept: what one store takes, another must.
            let message = format!("the routes have {} bytes and may have {MOST_BYTES}; leave out what is the default", routes.len());
            return Err(Status::invalid_argument(message));
        }
        read::parse(&routes).map_err(|problems| Status::invalid_argument(format!("the routes are wrong\n{problems}")))?;
        let store = self.store()?;
        let now = |found: Option<crate::store::Document>| found.map_or(ABSENT, |document| document.version);
        let changed = || Status::aborted("somebody has changed the routes meanwhile: read them again");
        if dry_run {
            let there = now(store.read(ROUTES).await.map_err(status)?);
            return if there == version { Ok(Response::new(SetRoutesResponse { version })) } else { Err(changed()) };
        }
        if !store.swap(ROUTES, version, &routes, true).await.map_err(status)? {
            return Err(changed());
        }
        tracing::info!(replaced = version, "the routes were replaced");
        // The version of somebody else's text would let the caller replace what they have not read.
        match store.read(ROUTES).await.map_err(status)? {
            Some(document) if document.text == routes => Ok(Response::new(SetRoutesResponse { version: document.version })),
            _ => Err(Status::aborted("the routes were replaced, and at once replaced again by somebody else: read them again")),
        }
    }

    async fn list_past_routes(&self, _: Request<ListPastRoutesRequest>) -> Result<Response<ListPastRoutesResponse>, Status> {
        let past = self.store()?.history(ROUTES).await.map_err(status)?;
        let past = past.into_iter().map(|past| PastRoutes { at_ms: past.at_ms, routes: past.text });
        Ok(Response::new(ListPastRoutesResponse { past: past.collect() }))
    }

    async fn list_endpoints(&self, _: Request<ListEndpointsRequest>) -> Result<Response<ListEndpointsResponse>, Status> {
        let mut endpoints: BTreeMap<String, Endpoint> = BTreeMap::new();
        for target in self.table.load().targets() {
            for seen in target.group.seen() {
                let endpoint = endpoints.entry(seen.endpoint.id.to_string()).or_insert_with(|| Endpoint {
                    id: seen.endpoint.id.to_string(),
                    address: seen.endpoint.addr.to_string(),
                    in_flight: seen.endpoint.in_flight() as u64,
                    versions: Vec::new(),
                    zone: seen.endpoint.place.zone.as_deref().unwrap_or_default().to_owned(),
                    queued: 0,
                    wait_us: 0,
                    most_in_flight: 0,
                });
                let Load { depth, wait_us } = seen.load.unwrap_or_default();
                endpoint.queued += depth;
                endpoint.wait_us = endpoint.wait_us.max(wait_us);
                endpoint.most_in_flight += seen.most_in_flight.unwrap_or_default() as u64;
                endpoint.versions.push(EndpointVersion {
                    model: target.model.to_string(),
                    version: target.version.to_str().unwrap_or_default().to_owned(),
                    in_flight: seen.in_flight as u64,
                    latency: seen.latency.map_or(0.0, |latency| latency.as_secs_f64()),
                    left_alone: seen.left_alone,
                });
            }
        }
        Ok(Response::new(ListEndpointsResponse { endpoints: endpoints.into_values().collect() }))
    }

    async fn get_traffic(&self, _: Request<GetTrafficRequest>) -> Result<Response<GetTrafficResponse>, Status> {
        Ok(Response::new(self.gather.own()))
    }

    async fn start_rollout(&self, request: Request<StartRolloutRequest>) -> Result<Response<StartRolloutResponse>, Status> {
        let rollout = Some(rollouts::start(self.store()?, &self.table, &request.into_inner().plan).await?);
        Ok(Response::new(StartRolloutResponse { rollout }))
    }

    async fn change_rollout(&self, request: Request<ChangeRolloutRequest>) -> Result<Response<ChangeRolloutResponse>, Status> {
        let rollout = Some(rollouts::change(self.store()?, &request.into_inner()).await?);
        Ok(Response::new(ChangeRolloutResponse { rollout }))
    }

    async fn list_rollouts(&self, _: Request<ListRolloutsRequest>) -> Result<Response<ListRolloutsResponse>, Status> {
        Ok(Response::new(ListRolloutsResponse { rollouts: rollouts::list(self.store()?).await? }))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn status(error: StoreError) -> Status {
    match error {
        StoreError::Consul(ConsulError::TooLarge { .. }) | StoreError::Kubernetes(KubernetesError::TooLarge { .. }) => {
            Status::failed_precondition(error.to_string())
        }
        _ => Status::unavailable(error.to_string()),
    }
}
