//! Sends unary gRPC calls over and over and prints what came of it, as JSON.
//!
//! Ends with 0 when the run took place, however its calls ended; with 64 when the command line makes no sense.

use std::process::ExitCode;

use clap::Parser;
use torchmesh_benches::loader::{self, Options};

/// A lean load generator for unary gRPC calls.
#[derive(Parser)]
#[command(name = "torchmesh-loader", version)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match loader::run(&Arguments::parse().options).await {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("torchmesh-loader: {error}");
            ExitCode::from(64)
        }
    }
}
