//! `torchmesh-gateway`: decides who may call, over gRPC and HTTP.

use std::process::ExitCode;

use clap::Parser;
use torchmesh_gateway::{build, config::GatewayConfig};
use torchmesh_runtime::{config::ConfigArgs, process};

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
    process::run("gateway", &Cli::parse().config, GatewayConfig::read, build)
}
