//! `torchmesh-router`: chooses the version and the instance that answers.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use torchmesh_router::{build, config::RouterConfig};
use torchmesh_runtime::{config::ConfigArgs, process};

// A call makes a few dozen small allocations on one thread and frees them there: measured, a tenth of a hop's cost.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Chooses which version and which instance answers a call, and passes the call on.
///
/// Settings come from --config, TORCHMESH_ROUTER_* and --set, in rising order. SIGTERM drains.
#[derive(Parser)]
#[command(version, name = "torchmesh-router")]
struct Cli {
    #[command(flatten)]
    config: ConfigArgs,
}

fn main() -> ExitCode {
    process::keep_pages_small();
    process::run("router", &Cli::parse().config, RouterConfig::read, build)
}
