//! The portal: the web pages of the mesh, made on the server.
//!
//! It keeps nothing itself, but what the router has counted in the last hour ([`traffic`]). People, keys and usage are the accounts', asked with the session of whoever looks; models are the gateway's; routes and rollouts are a router's
//! ([`upstream`]). Every request first becomes a [`visit`], which knows who asks and in which language, and whose forms are checked ([`guard`]) before a page ([`pages`]) sees them.

pub mod app;
pub mod assets;
pub mod catalogue;
pub mod chart;
pub mod config;
pub mod csv;
pub mod fail;
pub mod figures;
pub mod guard;
pub mod notices;
pub mod pages;
pub mod playground;
pub mod routes;
pub mod stack;
pub mod text;
pub mod traffic;
pub mod upstream;
pub mod visit;

use std::{sync::Arc, time::Duration};

use torchmesh_layers::observe::CallMetrics;
use torchmesh_runtime::{
    lifecycle::Readiness,
    process::{Context, StartError},
};

use crate::{app::App, config::PortalConfig, stack::Stack};

/// How often it is looked whether the accounts answer.
const LOOKED_AT: Duration = Duration::from_secs(1);

/// Joins the parts: gives what makes each data thread's service.
pub fn build(config: PortalConfig, context: &Context) -> Result<impl Fn(usize) -> Stack + Send + Sync + use<>, StartError> {
    let app = Arc::new(App::new(config)?);
    context.control.spawn(attend(Arc::clone(&app), context.readiness.clone()));
    context.control.spawn(traffic::attend(Arc::clone(&app), context.drain.clone()));
    let metrics = context.metrics.register(|registry| CallMetrics::register(registry, "portal"));
    let router = routes::all(&app);
    Ok(move |_: usize| stack::assemble(router.clone(), &metrics))
}

/// Ready while the accounts answer: without them there is nothing to show but the front page.
async fn attend(app: Arc<App>, readiness: Readiness) {
    loop {
        readiness.set(app.accounts.answers().await);
        tokio::time::sleep(LOOKED_AT).await;
    }
}
