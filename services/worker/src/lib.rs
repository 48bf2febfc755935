//! The worker: runs models.
//!
//! A call's way: [`stack`] (trace, deadline) → [`handlers`] → [`admission`] (a bounded queue) → [`batching`] (which rows run together) →
//! [`executor`] (an OS thread) → [`engine`] (libtorch), and back.

pub mod admission;
pub mod audio;
pub mod batching;
pub mod bench_decode;
pub mod bench_floor;
pub mod compile;
pub mod config;
pub mod decoding;
pub mod engine;
pub mod executor;
pub mod export;
pub mod handlers;
pub mod image;
pub mod infer;
pub mod language;
pub mod manifest;
pub mod metrics;
pub mod models;
pub mod stack;
pub mod stats;
pub mod text;
pub mod train;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod golden_senses;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock, Weak};

pub use torchmesh_api::tensor;

use torchmesh_discovery::consul::{self, ConsulSettings, Life};
use torchmesh_runtime::{
    grpc,
    process::{Context, StartError},
};

use crate::{
    config::WorkerConfig,
    decoding::DecodingPool,
    executor::EngineLoader,
    handlers::Front,
    metrics::WorkerMetrics,
    models::{LoadContext, Registry},
    stack::Stack,
    text::TokeniserPool,
};

/// Builds the worker: begins to load the models, and gives what makes a data thread's service.
///
/// Readiness follows the models (see [`Registry::is_ready`]). The error says which setting to change.
pub fn build(config: &WorkerConfig, context: &Context) -> Result<impl Fn(usize) -> Stack + Send + Sync + use<>, StartError> {
    let instance = config.instance.as_ref().map_or_else(|| context.addr.to_string(), ToString::to_string);
    tracing::info!(instance, models_dir = %config.models_dir.display(), "loading the model repository");
    if let Some(settings) = &config.consul {
        let settings = ConsulSettings { id: settings.id.clone().or_else(|| config.instance.clone()), ..settings.clone() };
        let life =
            Life { ready: context.readiness.subscribe(), leaving: context.drain.subscribe(), until_gone: context.farewell.wait_for() };
        consul::announce(&settings, "worker", context.addr, config.server.tls.is_some(), config.zone.as_ref(), life)?;
    }
    let front = open(config, context, Arc::new(engine::load))?;
    let routes = grpc::standard_routes(context, &[]);
    let max_message = config.server.max_message.0;
    Ok(move |_| {
        admission::bell::install();
        Stack::new(&front, routes.clone(), max_message)
    })
}

/// Everything behind the handlers, with any engine.
fn open(config: &WorkerConfig, context: &Context, load: EngineLoader) -> Result<Arc<Front>, StartError> {
    let metrics = context.metrics.register(WorkerMetrics::register);
    let dir = &config.models_dir;
    let registry: Arc<OnceLock<Weak<Registry>>> = Arc::default();
    let settled = {
        let (registry, context) = (Arc::clone(&registry), context.clone());
        move || {
            let ready = registry.get().and_then(Weak::upgrade).is_some_and(|registry| registry.is_ready());
            context.readiness.set(ready && !context.drain.is_draining());
        }
    };
    let settled = Arc::new(settled);
    let load = LoadContext { load, fetch: models::fetcher(config.fetch_files), settled: settled.clone() };
    let loaded = Registry::open(dir, &config.models_cache, config.models_linger, metrics, load)
        .map_err(|error| format!("the model repository {} cannot be read: {error}; make it, or set models_dir", dir.display()))?;
    if loaded.index().is_empty() {
        tracing::warn!(models_dir = %dir.display(), "the model repository is empty; the worker is ready once there is a model");
    }
    // A model that settled before this line found no registry, so the question is asked once more.
    let _ = registry.set(Arc::downgrade(&loaded));
    settled();
    if !config.models_poll.is_zero() {
        models::watch(&loaded, config.models_poll, &context.control);
    }
    Ok(Arc::new(Front {
        registry: loaded,
        tokenisers: TokeniserPool::start(config.tokenizer_threads)?,
        decoders: DecodingPool::start(config.decoding_threads)?,
    }))
}
