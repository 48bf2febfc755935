//! The router: model → version → endpoint.
//!
//! It learns of workers from discovery and of their models by asking them ([`probe`]), keeps both in a [`table`] that calls read without
//! a lock, decides by the [`routes`] which version answers ([`decide`]), and passes calls on as the bytes that arrived ([`forward`]).

pub mod config;
pub mod decide;
pub mod forward;
pub mod front;
pub mod mirror;
pub mod probe;
pub mod rollout;
pub mod routes;
pub mod stack;
pub mod table;
pub mod watching;
pub mod witnessed;

use std::sync::Arc;

use torchmesh_discovery::{Discovery as _, StaticFile};
use torchmesh_layers::{observe::CallMetrics, shed::Capacity};
use torchmesh_relay::{Endpoints, Groups, Relay, RelayMetrics};
use torchmesh_runtime::{
    grpc,
    process::{Context, StartError},
    server::Incoming,
};

use crate::{
    config::RouterConfig, forward::Forward, front::Front, mirror::Mirror, probe::Prober, routes::file::RoutesInUse, stack::Stack,
    table::SharedTable, watching::Watching,
};

/// Joins the parts: gives what makes each data thread's service.
#[expect(clippy::needless_pass_by_value, reason = "the process hands its settings over")]
pub fn build(config: RouterConfig, context: &Context) -> Result<impl Fn(usize) -> Stack<Incoming> + Send + Sync + use<>, StartError> {
    let threads = config.server.thread_count();
    let workers = StaticFile::open(&config.discovery_file)?.watch("worker");
    let table = Arc::new(SharedTable::default());
    // Two lanes more than there are data threads: probes must not wait behind calls, nor calls behind their copies.
    let relays = Relay::for_threads(threads + 1, &config.relay);
    let groups = Groups::new(config.relay, context.metrics.register(|registry| RelayMetrics::register(registry, "router")));
    let watching = Arc::new(Watching::new(threads));
    let (endpoints, probes) = (Endpoints::new(threads + 2), relays[threads].clone());
    let mirror = Mirror::new(probes.once(threads + 1), context.control.clone(), config.shadow);
    context.metrics.register(|registry| mirror.register(registry));
    let prober = Prober::new(endpoints, probes, groups, watching, Arc::clone(&table), config.probe_interval);
    context.control.spawn(prober.run(workers, context.readiness.clone()));

    let routes = match &config.routes_file {
        None => RoutesInUse::default(),
        Some(path) => {
            let routes = RoutesInUse::open(path)?;
            context.control.spawn(routes.clone().follow(path.clone()));
            routes
        }
    };

    let front = grpc::standard_routes(context).add_service(Front::service(Arc::clone(&table), config.server.max_message.0));
    let metrics = context.metrics.register(|registry| CallMetrics::register(registry, "router"));
    let capacity = Capacity::new(config.max_in_flight);
    Ok(move |thread: usize| {
        let (table, max_message) = (Arc::clone(&table), config.server.max_message.0);
        let forward = Forward::new(relays[thread].clone(), table, routes.clone(), max_message, front.clone(), mirror.clone());
        stack::assemble(forward, &metrics, &capacity, config.allowance)
    })
}
