//! `torchmesh-accounts`: who the callers are, and what they have used.

use std::process::ExitCode;

use clap::Parser;
use torchmesh_accounts::{
    backup::{self, Task},
    build,
    config::AccountsConfig,
};
use torchmesh_runtime::{config::ConfigArgs, process};

/// Keeps tenants, their members and credentials, tells the gateways whom to let in, and adds up what was used.
///
/// Settings come from --config, TORCHMESH_ACCOUNTS_* and --set, in rising order. SIGTERM drains.
#[derive(Parser)]
#[command(version, name = "torchmesh-accounts")]
struct Cli {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    task: Option<Task>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match &cli.task {
        None => process::run("accounts", &cli.config, AccountsConfig::read, build),
        Some(task) => backup::run(&cli.config, task),
    }
}
