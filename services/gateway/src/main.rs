//! `torchmesh-gateway`: decides who may call, over gRPC and HTTP.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use torchmesh_gateway::{build, config::GatewayConfig};
use torchmesh_runtime::{config::ConfigArgs, process};

// A call makes a few dozen small allocations on one thread and frees them there: measured, a tenth of a hop's cost.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The front door: checks API keys and passes calls on to the router, gRPC and HTTP on one port.
///
/// Settings come from --config, TORCHMESH_GATEWAY_* and --set, in rising order. SIGTERM drains.
#[derive(Parser)]
#[command(version, name = "torchmesh-gateway")]
struct Cli {
    #[command(flatten)]
    config: ConfigArgs,
}

fn main() -> ExitCode {
    process::keep_pages_small();
    process::run("gateway", &Cli::parse().config, GatewayConfig::read, build)
}
