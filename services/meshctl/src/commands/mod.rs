//! The commands, one file each.

mod accounts;
mod audit;
mod chat;
mod compile;
mod down;
mod embed;
mod endpoints;
mod gate;
mod import;
mod keys;
mod models;
mod operator;
mod pipeline;
mod pull;
mod rollout;
mod route;
mod senses;
mod status;
mod summary;
mod texts;
mod top;
mod up;
mod usage;

use clap::CommandFactory as _;
use clap_complete::Shell;

pub(crate) use self::{
    accounts::accounts,
    audit::audit,
    chat::chat,
    compile::compile,
    down::down,
    embed::embed,
    endpoints::endpoints,
    import::import,
    keys::keys,
    models::models,
    pipeline::pipeline,
    pull::pull,
    rollout::rollout,
    route::route,
    senses::{listen, see},
    status::status,
    texts::{classify, entities, explain, fill, rerank},
    top::top,
    up::up,
    usage::usage,
};
use crate::cli::Cli;

/// `meshctl completions`.
pub(crate) fn completions(shell: Shell) {
    clap_complete::generate(shell, &mut Cli::command(), "meshctl", &mut std::io::stdout());
}
