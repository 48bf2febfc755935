//! The commands, one file each.

mod compile;
mod down;
mod embed;
mod endpoints;
mod import;
mod models;
mod operator;
mod pull;
mod route;
mod senses;
mod status;
mod summary;
mod texts;
mod up;

use clap::CommandFactory as _;
use clap_complete::Shell;

pub(crate) use self::{
    compile::compile,
    down::down,
    embed::embed,
    endpoints::endpoints,
    import::import,
    models::models,
    pull::pull,
    route::route,
    senses::{listen, see},
    status::status,
    texts::{classify, entities, explain, fill, rerank},
    up::up,
};
use crate::cli::Cli;

/// `meshctl completions`.
pub(crate) fn completions(shell: Shell) {
    clap_complete::generate(shell, &mut Cli::command(), "meshctl", &mut std::io::stdout());
}
