//! `torchmesh-portal`: the web pages of the mesh.

use std::process::ExitCode;

use clap::Parser;
use torchmesh_portal::{build, config::PortalConfig};
use torchmesh_runtime::{config::ConfigArgs, process};

/// Shows people their keys, their usage and the models, and operators the mesh.
///
/// Settings come from --config, TORCHMESH_PORTAL_* and --set, in rising order. SIGTERM drains.
#[derive(Parser)]
#[command(version, name = "torchmesh-portal")]
struct Cli {
    #[command(flatten)]
    config: ConfigArgs,
}

fn main() -> ExitCode {
    process::run("portal", &Cli::parse().config, PortalConfig::read, build)
}
