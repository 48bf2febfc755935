//! `torchmesh-accounts`: who the callers are, and what they have used.

use std::process::ExitCode;

use clap::Parser;
use torchmesh_accounts::{build, config::AccountsConfig};
use torchmesh_runtime::{config::ConfigArgs, process};

/// Keeps tenants, their members and credentials, tells the gateways whom to let in, and adds up what was used.
///
/// Settings come from --config, TORCHMESH_ACCOUNTS_* and --set, in rising order. SIGTERM drains.
#[derive(Parser)]
#[command(version, name = "torchmesh-accounts")]
struct Cli {
    #[command(flatten)]
    config: ConfigArgs,
}

fn main() -> ExitCode {
    process::run("accounts", &Cli::parse().config, AccountsConfig::read, build)
}
