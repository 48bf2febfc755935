//! The gateway: who may call.
//!
//! gRPC calls are passed on to a router as the bytes that arrived ([`forward`]); the HTTP doors ([`openai`], [`rest_v2`], [`tei`],
//! [`torchserve`], [`tasks`], [`health`]) turn what they are sent into a call of ours and the answer back. In front of both stands [`identity`], and in front of all what
//! browsers need ([`browser`]).

pub mod aside;
pub mod audit;
pub mod batches;
pub mod body;
mod bounded;
pub mod browser;
pub mod caller;
pub mod catalogue;
pub mod config;
pub mod form;
pub mod forward;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod generation;
pub mod health;
pub mod identity;
pub mod limits;
pub mod mesh;
pub mod metering;
pub mod openai;
pub mod openapi;
pub mod redaction;
mod rejected;
pub mod rest_v2;
pub mod stack;
pub mod tasks;
pub mod tei;
pub mod torchserve;

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::{Router, middleware::from_fn};
use torchmesh_discovery::{
    Instances,
    consul::{self, Life},
};
use torchmesh_layers::{observe::CallMetrics, shed::Capacity};
use torchmesh_relay::{Endpoints, Group, Groups, Relay, RelayMetrics};
use torchmesh_runtime::{
    grpc,
    process::{Context, StartError},
};

use crate::{
    batches::Batches,
    browser::{Asked, Browser},
    catalogue::Catalogue,
    config::GatewayConfig,
    forward::Forward,
    health::Health,
    identity::Identity,
    limits::Limits,
    mesh::Mesh,
    redaction::Redaction,
    stack::{Policies, Stack},
};

/// The routers, as every call reads them.
pub type Routers = ArcSwap<Group>;

/// Joins the parts: gives what makes each data thread's service.
pub fn build(
    config: GatewayConfig,
    context: &Context,
) -> Result<impl Fn(usize) -> Browser<Stack<Asked>> + Send + Sync + use<>, StartError> {
    let threads = config.server.thread_count();
    let identity = Identity::open(&config.identity, context)?;
    let mut watched = config.discovery.watch("router")?;
    if let Some(settings) = config.discovery.consul() {
        let life =
            Life { ready: context.readiness.subscribe(), leaving: context.drain.subscribe(), until_gone: context.farewell.wait_for() };
        consul::announce(settings, "gateway", context.addr, config.server.tls.is_some(), None, life)?;
    }
    if let Some(tls) = &config.mesh_tls {
        tls.config()?;
    }
    let relay_metrics = context.metrics.register(|registry| RelayMetrics::register(registry, "gateway"));
    let batches = Batches::open(&config.batches, config.server.max_message.0, &context.control)?;
    // Whatever runs batches has a way to the routers of its own.
    let lanes = threads + usize::from(batches.is_some());
    let known = Known { endpoints: Endpoints::over(lanes, config.mesh_tls), groups: Groups::new(config.relay, relay_metrics) };
    let routers = Arc::new(Routers::new(known.group(&watched.borrow_and_update())));
    let (shared, readiness) = (Arc::clone(&routers), context.readiness.clone());
    readiness.set(!routers.load().is_empty());
    context.control.spawn(async move {
        while watched.changed().await.is_ok() {
            let now = known.group(&watched.borrow_and_update());
            readiness.set(!now.is_empty());
            shared.store(now);
        }
    });

    let meter = metering::start(&config.metering, context)?;
    let metrics = context.metrics.register(|registry| CallMetrics::register(registry, "gateway"));
    let limits = Limits::open(&config.limits, context)?;
    let redaction = Redaction::open(&config.redaction, context);
    let capacity = Capacity::new(config.max_in_flight).by_priority(config.low_share).shared_fairly();
    let relays = Relay::for_threads(lanes, &config.relay);
    let (max_message, within, context) = (config.server.max_message.0, context, context.clone());
    let by_tls = config.server.tls.is_some();
    let written = openapi::Written::new(max_message, if by_tls { "https" } else { "http" }, identity.gives_tokens());
    let own_grpc = grpc::standard_routes(&context, &[]);
    let (waiting, known) = (batches.clone(), identity.clone());
    let forward = move |lane: usize| {
        let mesh = Mesh::new(relays[lane].clone(), Arc::clone(&routers), redaction.clone());
        let health = Health::new(mesh.clone(), context.readiness.clone(), context.drain.clone());
        let http = doors(&mesh, health, &written, max_message, config.max_in_flight);
        let own = own_grpc
            .clone()
            .into_axum_router()
            .merge(http.merge(batches::routes(waiting.clone())).merge(identity::routes(known.clone())))
            .fallback(health::no_such_path)
            .method_not_allowed_fallback(health::wrong_method);
        Forward::new(mesh, max_message, own)
    };
    if let Some(batches) = batches {
        let policies = Policies { lanes: limits.as_ref().map(Limits::on_this_thread), meter: meter.as_ref() };
        let stack = stack::within(forward(threads), policies, &capacity, config.allowance);
        batches::start(batches, identity.clone(), stack, within);
    }
    Ok(move |thread: usize| {
        let policies = Policies { lanes: limits.as_ref().map(Limits::on_this_thread), meter: meter.as_ref() };
        let stack = stack::assemble(forward(thread), &identity, policies, &metrics, &capacity, config.allowance);
        Browser::new(stack, &config.cors, by_tls)
    })
}

/// Every door that speaks HTTP; a body may have up to `max_body` bytes.
fn doors(mesh: &Mesh, health: Health, written: &openapi::Written, max_body: usize, max_in_flight: usize) -> Router {
    let catalogue = Catalogue::new(mesh.clone());
    Router::new()
        .merge(openai::routes(mesh.clone(), max_body))
        .merge(rest_v2::routes(mesh.clone(), max_body))
        .merge(tei::routes(catalogue.clone(), tei::Limits { max_in_flight }, max_body))
        .merge(tasks::routes(catalogue.clone(), max_body))
        .merge(torchserve::routes(catalogue, health.clone(), max_body))
        .merge(health::routes(health))
        .merge(openapi::routes(written))
        .layer(from_fn(rejected::tell_in_form))
        .layer(from_fn(move |request, next| body::refuse_too_large(max_body, request, next)))
}

/// The routers, and what is remembered of them.
struct Known {
    endpoints: Endpoints,
    groups: Groups,
}

impl Known {
    fn group(&self, instances: &Instances) -> Arc<Group> {
        let pairs: Vec<_> = instances.iter().map(|instance| (instance.id.clone(), instance.addr)).collect();
        self.groups.update("router", &self.endpoints.update(&pairs))
    }
}
