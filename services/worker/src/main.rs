//! The worker's program: serves models, and makes the files that it serves.

use std::{error::Error, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;
use torchmesh_runtime::{config::ConfigArgs, process};
use torchmesh_worker::{bench_decode, bench_floor, compile, config::WorkerConfig, engine, export, train};

// A call makes a few dozen small allocations and frees them, some of them on another thread. libtorch's tensors are not its concern.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How long models get to end when everything else has.
const LAST_MODEL: Duration = Duration::from_secs(5);

/// Runs PyTorch models and answers for them over gRPC.
#[derive(Parser)]
#[command(name = "torchmesh-worker", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(flatten)]
    serve: ConfigArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the model repository (what happens without a subcommand, too)
    Serve(ConfigArgs),
    Export(export::ExportArgs),
    ExportLanguage(export::ExportLanguageArgs),
    ExportNetwork(export::ExportNetworkArgs),
    ExportNoop(export::ExportNoopArgs),
    ExportFixture(export::ExportFixtureArgs),
    Compile(compile::CompileArgs),
    BenchFloor(bench_floor::BenchFloorArgs),
    BenchDecode(bench_decode::BenchDecodeArgs),
    TrainHead(train::TrainHeadArgs),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command.unwrap_or(Command::Serve(arguments.serve)) {
        Command::Serve(args) => {
            let code = process::run("worker", &args, WorkerConfig::read, |config, context| torchmesh_worker::build(&config, context));
            engine::let_models_end(LAST_MODEL, i32::from(code != ExitCode::SUCCESS));
            code
        }
        Command::Export(args) => finish(args.run()),
        Command::ExportLanguage(args) => finish(args.run()),
        Command::ExportNetwork(args) => finish(args.run()),
        Command::ExportNoop(args) => finish(args.run()),
        Command::ExportFixture(args) => finish(args.run()),
        Command::Compile(args) => finish(args.run()),
        Command::BenchFloor(args) => finish(bench_floor::run(&args)),
        Command::BenchDecode(args) => finish(bench_decode::run(&args)),
        Command::TrainHead(args) => finish(args.run()),
    }
}

fn finish(outcome: Result<(), impl Error>) -> ExitCode {
    outcome.map_or_else(
        |error| {
            eprintln!("torchmesh-worker: {error}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}
