//! The router: model → version → endpoint.
//!
//! It learns of workers from discovery and of their models by asking them ([`probe`]), keeps both in a [`table`] that calls read without
//! a lock, lets calls of models that come when they are called wait ([`hold`]), decides by the [`routes`] which version answers ([`decide`]), answers what it has kept of earlier calls ([`cache`]), looks how a [`prompt`] begins where that decides who answers, and passes calls on as the bytes that arrived ([`forward`]). Operators speak to
//! [`admin`]; what all routers agree on is in the [`store`].

pub mod admin;
pub mod cache;
pub mod conduct;
pub mod config;
pub mod decide;
pub mod forward;
pub mod front;
pub mod hold;
pub mod mirror;
pub mod probe;
pub mod prompt;
pub mod resume;
pub mod rollout;
pub mod routes;
pub mod stack;
pub mod store;
pub mod table;
pub mod watching;
pub mod witnessed;

use std::sync::Arc;

use torchmesh_discovery::consul::{self, Life};
use torchmesh_layers::{observe::CallMetrics, shed::Capacity};
use torchmesh_relay::{Endpoints, Groups, Relay, RelayMetrics};
use torchmesh_runtime::{
    grpc,
    process::{Context, StartError},
    server::Incoming,
};

use crate::{
    admin::Admin,
    cache::Cache,
    conduct::{Book, Gather, Standing, conduct},
    config::{RouterConfig, RoutesFrom},
    forward::Forward,
    front::Front,
    hold::Hold,
    mirror::Mirror,
    probe::Prober,
    resume::Resumes,
    routes::in_use::RoutesInUse,
    stack::Stack,
    store::Store,
    table::{SharedTable, TableBuilder},
    watching::Watching,
};

/// Joins the parts: gives what makes each data thread's service.
pub fn build(config: RouterConfig, context: &Context) -> Result<impl Fn(usize) -> Stack<Incoming> + Send + Sync + use<>, StartError> {
    let threads = config.server.thread_count();
    let workers = config.discovery.watch("worker")?;
    if let Some(settings) = config.discovery.consul() {
        let life =
            Life { ready: context.readiness.subscribe(), leaving: context.drain.subscribe(), until_gone: context.farewell.wait_for() };
        consul::announce(settings, "router", context.addr, config.server.tls.is_some(), config.zone.as_ref(), life)?;
    }
    let (routes, store) = open_routes(&config.routes, context)?;
    let table = Arc::new(SharedTable::default());
    // Two lanes more than there are data threads: probes must not wait behind calls, nor calls behind their copies.
    let relays = Relay::for_threads(threads + 1, &config.relay);
    let groups = Groups::new(config.relay, context.metrics.register(|registry| RelayMetrics::register(registry, "router")));
    let watching = Arc::new(Watching::new(threads));
    if let Some(tls) = &config.mesh_tls {
        tls.config()?;
    }
    let known_endpoints = || Endpoints::over(threads + 2, config.mesh_tls.clone());
    let (endpoints, probes) = (known_endpoints(), relays[threads].clone());
    let mirror = Mirror::new(probes.once(threads + 1), context.control.clone(), config.shadow);
    context.metrics.register(|registry| mirror.register(registry));
    let cache = Cache::new(config.cache, &context.control);
    context.metrics.register(|registry| cache.register(registry));
    let resumes = Resumes::default();
    context.metrics.register(|registry| resumes.register(registry));
    let hold = Hold::new(config.hold);
    context.metrics.register(|registry| hold.register(registry));
    let process = format!("{:016x}", fastrand::u64(..));
    let standing = Standing { watching: Arc::clone(&watching), table: Arc::clone(&table), routes: routes.clone() };
    let gather = Arc::new(Gather::new(process, context.addr, standing, probes.clone(), known_endpoints()));
    if let Some(store) = &store {
        let (book, lead) = (Book::new(store.clone()), store.lead(&context.addr.to_string(), context.farewell.wait_for()));
        let (conducting, drain) =
            (conduct(book, lead, Arc::clone(&gather), config.discovery.watch_peers("router")?), context.drain.clone());
        // Who goes leaves it to the others, and says so before the process ends.
        context.control.spawn(async move {
            tokio::select! {
                () = conducting => {}
                () = drain.draining() => {}
            }
        });
    }
    let builder = TableBuilder::new(groups, watching);
    let prober = Prober::new(endpoints, probes, builder, Arc::clone(&table), config.probe_interval).in_zone(config.zone);
    let (readiness, known, holds) = (context.readiness.clone(), routes.clone(), hold.is_on());
    context.control.spawn(prober.run(workers, move |callable| readiness.set((callable || holds) && known.are_known())));

    let front = grpc::standard_routes(context, &["torchmesh.admin.v1.RouterAdmin"])
        .add_service(Front::service(Arc::clone(&table), config.server.max_message.0))
        .add_service(Admin::service(Arc::clone(&table), config.routes, store, gather));
    let metrics = context.metrics.register(|registry| CallMetrics::register(registry, "router"));
    let capacity = Capacity::new(config.max_in_flight).by_priority(config.low_share);
    Ok(move |thread: usize| {
        let (table, max_message) = (Arc::clone(&table), config.server.max_message.0);
        let (routes, front, mirror, cache, resumes) = (routes.clone(), front.clone(), mirror.clone(), cache.clone(), resumes.clone());
        let hold = hold.clone();
        let forward = Forward { relay: relays[thread].clone(), table, routes, max_message, front, mirror, cache, resumes, hold };
        stack::assemble(forward, &metrics, &capacity, config.allowance)
    })
}

/// The routes, followed from now on, and where they are kept if that is for the routers to change.
fn open_routes(from: &RoutesFrom, context: &Context) -> Result<(RoutesInUse, Option<Store>), StartError> {
    Ok(match from {
        RoutesFrom::Nowhere => (RoutesInUse::default(), None),
        RoutesFrom::File(path) => {
            let routes = RoutesInUse::open(path)?;
            context.control.spawn(routes.clone().follow_file(path.clone()));
            (routes, None)
        }
        RoutesFrom::Store(settings) => {
            let (routes, store) = (RoutesInUse::awaited(), settings.open()?);
            context.control.spawn(routes.clone().follow(store.watch(admin::ROUTES)));
            (routes, Some(store))
        }
    })
}
