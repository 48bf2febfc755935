//! The commands, one file each.

mod compile;
mod down;
mod embed;
mod import;
mod models;
mod pull;
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
    import::import,
    models::models,
    pull::pull,
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
