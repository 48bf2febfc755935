//! Serves pipelines: models chained into one call.
//!
//! To the routers it is one of the workers, and its pipelines are models like any other: versions, canaries, shadows, limits and metering are theirs for nothing. A call's
//! way: [`stack`] (trace, deadline) → [`handlers`] → the plan, run by `torchmesh-pipeline` → [`caller`] (a step's call) → [`mesh`] (a router), and back. Beside it the
//! [`keeper`] reads the [`folder`] and holds each pipeline against its models before it is [ready](registry).

pub mod caller;
pub mod config;
pub mod folder;
pub mod handlers;
pub mod keeper;
pub mod mesh;
pub mod message;
pub mod metrics;
pub mod registry;
pub mod stack;
pub mod tries;

use std::sync::Arc;

use torchmesh_discovery::consul::{self, Life};
use torchmesh_layers::{observe::CallMetrics, shed::Capacity};
use torchmesh_relay::{Endpoints, Groups, Relay, RelayMetrics};
use torchmesh_runtime::{
    grpc,
    process::{Context, StartError},
};

use crate::{
    config::PipelinesConfig,
    handlers::{Inference, Serves},
    keeper::Keeper,
    mesh::Mesh,
    metrics::StepMetrics,
    registry::Registry,
    stack::{Doors, Stack},
};

/// Joins the parts: gives what makes each data thread's service.
pub fn build(config: PipelinesConfig, context: &Context) -> Result<impl Fn(usize) -> Stack + Send + Sync + use<>, StartError> {
    let threads = config.server.thread_count();
    let watched = config.discovery.watch("router")?;
    if let Some(settings) = config.discovery.consul() {
        let life =
            Life { ready: context.readiness.subscribe(), leaving: context.drain.subscribe(), until_gone: context.farewell.wait_for() };
        // Routers ask workers what they serve, and nothing more is to be known of this one.
        consul::announce(settings, "worker", context.addr, config.server.tls.is_some(), None, life)?;
    }
    if let Some(tls) = &config.mesh_tls {
        tls.config()?;
    }
    let relay_metrics = context.metrics.register(|registry| RelayMetrics::register(registry, "pipelines"));
    // One lane more than there are data threads, for the questions that the keeper asks.
    let relays = Relay::for_threads(threads + 1, &config.relay);
    let (routers, following) =
        mesh::follow(watched, Endpoints::over(threads + 1, config.mesh_tls), Groups::new(config.relay, relay_metrics));
    context.control.spawn(following);
    let registry = Arc::new(Registry::default());
    let keeper = Keeper::open(config.folder.clone(), Arc::clone(&registry), Mesh::new(relays[threads].clone(), Arc::clone(&routers)));
    let keeper = keeper.map_err(|error| {
        format!("the pipelines in {} cannot be read: {error}; make the folder, or set pipelines_dir", config.folder.display())
    })?;
    let (readiness, drain) = (context.readiness.clone(), context.drain.clone());
    // A pipeline that waits for its models holds nobody up: routers see its state.
    context.control.spawn(keeper.run(config.poll, move || readiness.set(!drain.is_draining())));

    let metrics = context.metrics.register(|registry| CallMetrics::register(registry, "pipelines"));
    let steps = context.metrics.register(StepMetrics::register);
    let capacity = Capacity::new(config.max_in_flight);
    let routes = grpc::standard_routes(context, &[]);
    Ok(move |thread: usize| {
        let mesh = Mesh::new(relays[thread].clone(), Arc::clone(&routers));
        let (max_depth, tell_steps) = (config.max_depth, config.tell_steps);
        let serves = Serves { registry: Arc::clone(&registry), mesh, steps: steps.clone(), max_depth, tell_steps };
        let doors = Doors::new(Inference::new(serves), routes.clone(), config.server.max_message.0);
        stack::assemble(doors, &metrics, &capacity, config.allowance)
    })
}
