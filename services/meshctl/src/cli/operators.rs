//! The arguments of the commands that ask the routers, as their operator.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use super::duration;

/// Which router to ask.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The router: --router, else TORCHMESH_ROUTER_ADDR, else one of the mesh that runs from the home folder. Any of them will do: they agree.
Routers trust whoever reaches them, so these commands need no key; keep their port inside.")]
pub(crate) struct RouterArgs {
    /// A router, as HOST:PORT or http://HOST:PORT
    #[arg(long, value_name = "ADDR", env = "TORCHMESH_ROUTER_ADDR", global = true)]
    pub(crate) router: Option<String>,
    /// How long to wait for the answer
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration, global = true)]
    pub(crate) timeout: Duration,
}

/// `meshctl route`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  meshctl route get > routes.toml         the routes as they are
  meshctl route diff routes.toml          what would change, and what is wrong with it
  meshctl route set routes.toml           replace them, all of them
  meshctl route history                   the routes that were
  meshctl route undo                      those before the last change again

docs/routes.md says what can be in them.")]
pub(crate) struct RouteArgs {
    /// What to do
    #[command(subcommand)]
    pub(crate) what: RouteCommand,
    /// Whom to ask
    #[command(flatten)]
    pub(crate) router: RouterArgs,
}

/// What to do with the routes.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum RouteCommand {
    /// Print the routes, as TOML
    Get,
    /// Replace the routes; with a mistake nothing changes, and every mistake is reported
    Set {
        /// The new routes, as TOML; - reads standard input
        file: PathBuf,
        /// Only if the routes are still of this version (of `route get --output json`)
        #[arg(long, value_name = "N")]
        if_version: Option<u64>,
    },
    /// Show what `route set` would change, line by line
    Diff {
        /// The new routes, as TOML; - reads standard input
        file: PathBuf,
    },
    /// List the routes that were, the newest first
    History {
        /// Print the routes of this place in the list, 1 being those in use
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        show: Option<u32>,
    },
    /// Put the routes back to what they were before the last change
    Undo,
}
