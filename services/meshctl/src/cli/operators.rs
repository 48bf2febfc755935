//! The arguments of the commands that ask the routers, as their operator.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use super::{duration, tls::TlsArgs};

/// Which router to ask.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The router: --router, else TORCHMESH_ROUTER_ADDR, else one of the mesh that runs from the home folder. Any of them will do: they agree.
Routers trust whoever reaches them, so these commands need no key; keep their port inside.")]
pub(crate) struct RouterArgs {
    /// A router, as HOST:PORT, or https://HOST:PORT
    #[arg(long, value_name = "ADDR", env = "TORCHMESH_ROUTER_ADDR", global = true)]
    pub(crate) router: Option<String>,
    /// How long to wait for the answer
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration, global = true)]
    pub(crate) timeout: Duration,
    /// By TLS
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
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

/// `meshctl rollout`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  meshctl rollout start sentiment --to 4                        with the defaults: 1, 5, 25, 50, 100 % of the calls
  meshctl rollout start sentiment --to 4 --steps 10,50,100 --every 5m --max-error-rate 1% --max-p99 1.2x --max-disagreement 2%
  meshctl rollout start spam --to 2 --gate labelled.jsonl --min-accuracy 90%
  meshctl rollout status sentiment --watch                      how it stands, until it ends
  meshctl rollout abort sentiment                               all calls back to the old version

docs/rollouts.md says what is measured and how it is judged.")]
pub(crate) struct RolloutArgs {
    /// What to do
    #[command(subcommand)]
    pub(crate) what: RolloutCommand,
    /// Whom to ask
    #[command(flatten)]
    pub(crate) router: RouterArgs,
}

/// What to do with a rollout.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum RolloutCommand {
    /// Move a model's calls to another version, step by step, for as long as it does well
    Start(Box<StartArgs>),
    /// Show how rollouts stand, what is missing for the next step, and what has happened
    Status {
        /// The model (default: all that have had a rollout)
        model: Option<String>,
        /// Show it again every second until the rollout ends; exit code 1 when the new version did not take over
        #[arg(long, requires = "model")]
        watch: bool,
    },
    /// Stay at this step; a version that turns out bad is still taken back
    Pause {
        /// The model
        model: String,
    },
    /// Go on after a pause
    Resume {
        /// The model
        model: String,
    },
    /// All calls back to the old version
    Abort {
        /// The model
        model: String,
    },
}

/// `meshctl rollout start`. What is not given is as docs/rollouts.md has it.
#[derive(Debug, Clone, Args)]
pub(crate) struct StartArgs {
    /// The model, by the name that callers use
    pub(crate) model: String,
    /// The version that is to take over
    #[arg(long, value_name = "VERSION")]
    pub(crate) to: String,
    /// The version to go back to (default: the one that has all calls now)
    #[arg(long, value_name = "VERSION")]
    pub(crate) from: Option<String>,
    /// Its shares of the calls in percent, rising to 100 (default: 1,5,25,50,100)
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) steps: Vec<f64>,
    /// How long each step takes at least (default: 2m)
    #[arg(long, value_name = "TIME")]
    pub(crate) every: Option<String>,
    /// How long a step waits for evidence before all calls go back (default: 24h)
    #[arg(long, value_name = "TIME")]
    pub(crate) patience: Option<String>,
    /// Calls that each step must see (default: 100)
    #[arg(long, value_name = "N")]
    pub(crate) min_calls: Option<u32>,
    /// Calls that may fail by the version's fault (default: 1%)
    #[arg(long, value_name = "SHARE")]
    pub(crate) max_error_rate: Option<String>,
    /// How many times as long as the old version's its 99th percentile may be (default: 1.2x)
    #[arg(long, value_name = "RATIO")]
    pub(crate) max_p99: Option<String>,
    /// Answers that may differ from the old version's; compared on copies of calls, which nobody waits for (default: not compared)
    #[arg(long, value_name = "SHARE")]
    pub(crate) max_disagreement: Option<String>,
    /// Calls that are copied to compare answers (default: 10%)
    #[arg(long, value_name = "PERCENT")]
    pub(crate) shadow_percent: Option<f64>,
    /// Texts with their labels, one {"text": "…", "label": "…"} a line: before anything else, the new version must give enough of them theirs
    #[arg(long, value_name = "FILE", requires = "min_accuracy")]
    pub(crate) gate: Option<PathBuf>,
    /// How many of the gate's texts must get their label, such as 90%
    #[arg(long, value_name = "SHARE", requires = "gate")]
    pub(crate) min_accuracy: Option<String>,
    /// The gateway that the gate's texts go through (default: that of the mesh that runs from the home folder)
    #[arg(long, value_name = "ADDR", env = "TORCHMESH_GATEWAY_ADDR")]
    pub(crate) gateway: Option<String>,
    /// File that holds the API key for the gate's texts
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

/// `meshctl top`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  meshctl top                       each version's calls, latency, errors and share; Ctrl-C ends it
  meshctl top --once                of the next second, once
  meshctl top --router 10.0.0.7:8081,10.0.0.8:8081  what these two see, added up
  meshctl top --output json --once  for a script")]
pub(crate) struct TopArgs {
    /// Show one interval and end; so it is also where nobody looks at a terminal
    #[arg(long)]
    pub(crate) once: bool,
    /// How long an interval is
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub(crate) every: Duration,
    /// Whom to ask, several with commas between them (default: all routers of the mesh that runs from the home folder)
    #[command(flatten)]
    pub(crate) router: RouterArgs,
}
