//! A router, by gRPC: what operators see and change.

use std::time::Duration;

use tonic::{Request, Response, Status, transport::Channel};
use torchmesh_api::admin::v1::{
    ChangeRolloutRequest, Endpoint, GetRoutesRequest, GetRoutesResponse, GetTrafficRequest, GetTrafficResponse, ListEndpointsRequest,
    ListRolloutsRequest, Rollout, RolloutCommand, SetRoutesRequest, StartRolloutRequest, router_admin_client::RouterAdminClient,
};
use torchmesh_relay::channel::Peer;
use torchmesh_runtime::process::StartError;

use super::{channel, within};
use crate::fail::Answer;

/// See the module. Routers trust whoever reaches their port; who may come here has been looked at before.
#[derive(Debug, Clone)]
pub struct Router {
    admin: RouterAdminClient<Channel>,
    timeout: Duration,
}

impl Router {
    /// Nobody is asked yet.
    pub fn new(peer: &Peer, timeout: Duration) -> Result<Self, StartError> {
        Ok(Self { admin: RouterAdminClient::new(channel(peer)?), timeout })
    }

    fn ask<T>(&self, message: T) -> Request<T> {
        within(self.timeout, message)
    }

    /// The workers, and how they do.
    pub async fn endpoints(&self) -> Answer<Vec<Endpoint>> {
        Ok(self.admin.clone().list_endpoints(self.ask(ListEndpointsRequest {})).await?.into_inner().endpoints)
    }

    /// What was counted of each version.
    pub async fn traffic(&self) -> Answer<GetTrafficResponse> {
        Ok(self.admin.clone().get_traffic(self.ask(GetTrafficRequest {})).await?.into_inner())
    }

    /// The routes as they are kept.
    pub async fn routes(&self) -> Answer<GetRoutesResponse> {
        Ok(self.admin.clone().get_routes(self.ask(GetRoutesRequest {})).await?.into_inner())
    }

    /// Replaces the routes of a version, or only says what is wrong with the text.
    pub async fn set_routes(&self, routes: &str, version: u64, dry_run: bool) -> Answer<()> {
        let asked = SetRoutesRequest { routes: routes.to_owned(), version, dry_run };
        done(self.admin.clone().set_routes(self.ask(asked)).await)
    }

    /// The rollouts under way, and the last one of each model.
    pub async fn rollouts(&self) -> Answer<Vec<Rollout>> {
        Ok(self.admin.clone().list_rollouts(self.ask(ListRolloutsRequest {})).await?.into_inner().rollouts)
    }

    /// Begins one.
    pub async fn start(&self, plan: String) -> Answer<()> {
        done(self.admin.clone().start_rollout(self.ask(StartRolloutRequest { plan })).await)
    }

    /// Pauses, resumes or takes one back.
    pub async fn change(&self, model: &str, command: RolloutCommand) -> Answer<()> {
        let asked = ChangeRolloutRequest { model: model.to_owned(), command: command.into() };
        done(self.admin.clone().change_rollout(self.ask(asked)).await)
    }
}

fn done<T>(told: Result<Response<T>, Status>) -> Answer<()> {
    told?;
    Ok(())
}
