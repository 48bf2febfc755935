//! `torchmesh-pipelines`: serves models that are chained into one call.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use torchmesh_pipelines::{build, config::PipelinesConfig};
use torchmesh_runtime::{config::ConfigArgs, process};

// A call makes a few dozen small allocations on one thread and frees them there.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Serves pipelines: models that are chained into one call.
///
/// Settings come from --config, TORCHMESH_PIPELINES_* and --set, in rising order. SIGTERM drains.
#[derive(Parser)]
#[command(version, name = "torchmesh-pipelines")]
struct Cli {
    #[command(flatten)]
    config: ConfigArgs,
}

fn main() -> ExitCode {
    process::run("pipelines", &Cli::parse().config, PipelinesConfig::read, build)
}
