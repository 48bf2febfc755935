//! `meshctl`: starts and stops a local mesh, and asks it things.
//!
//! A local mesh is a handful of child processes with one home folder. [`mesh`] says which, [`supervise`] keeps them up and stops them in
//! order, [`run_file`] is how everybody else finds them. The commands that ask ([`commands`]) go through the gateway as any caller would.

mod channel;
mod cli;
mod client;
mod commands;
mod error;
mod home;
pub mod import;
mod key;
mod keys_file;
mod launch;
mod mesh;
mod output;
mod run_file;
mod supervise;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{
    cli::{Cli, Command},
    error::{FAILED, Failure, Result, USAGE},
    home::Home,
    output::Screen,
};

/// Runs the command line of this process; the exit code tells a script how it went.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(answer) => {
            let code = if answer.use_stderr() { USAGE } else { 0 };
            // Nowhere is left to report that the terminal is gone.
            let _ = answer.print();
            return ExitCode::from(code);
        }
    };
    let screen = Screen::new(cli.output);
    match run(cli, &screen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            screen.failure(&failure);
            ExitCode::from(failure.code)
        }
    }
}

fn run(cli: Cli, screen: &Screen) -> Result<()> {
    let home = Home::at(&cli.home)?;
    match cli.command {
        Command::Child(args) => Err(launch::become_program(&args)),
        Command::Completions { shell } => {
            commands::completions(shell);
            Ok(())
        }
        Command::Up(args) => on_one_thread(commands::up(&args, &home, screen)),
        Command::Down(args) => on_one_thread(commands::down(&args, &home, screen)),
        Command::Status => on_one_thread(commands::status(&home, screen)),
        Command::Models(args) => on_one_thread(commands::models(&args, &home, screen)),
        Command::Route(args) => on_one_thread(commands::route(&args, &home, screen)),
        Command::Rollout(args) => on_one_thread(commands::rollout(&args, &home, screen)),
        Command::Pipeline(args) => on_one_thread(commands::pipeline(&args, &home, screen)),
        Command::Top(args) => on_one_thread(commands::top(&args, &home, screen)),
        Command::Endpoints(args) => on_one_thread(commands::endpoints(&args, &home, screen)),
        Command::Keys(args) => commands::keys(&args, &home, screen),
        Command::Accounts(args) => on_one_thread(commands::accounts(&args, &home, screen)),
        Command::Usage(args) => commands::usage(&args, &home, screen),
        Command::Audit(args) => commands::audit(&args, &home, screen),
        Command::Import(args) => commands::import(&args, &home, screen),
        Command::Pull(args) => on_one_thread(commands::pull(&args, &home, screen)),
        Command::Compile(args) => on_one_thread(commands::compile(&args, &home, screen)),
        Command::Chat(args) => on_one_thread(commands::chat(&args, &home, screen)),
        Command::Embed(args) => on_one_thread(commands::embed(&args, &home, screen)),
        Command::Classify(args) => on_one_thread(commands::classify(&args, &home, screen)),
        Command::Entities(args) => on_one_thread(commands::entities(&args, &home, screen)),
        Command::Rerank(args) => on_one_thread(commands::rerank(&args, &home, screen)),
        Command::Fill(args) => on_one_thread(commands::fill(&args, &home, screen)),
        Command::Explain(args) => on_one_thread(commands::explain(&args, &home, screen)),
        Command::See(args) => on_one_thread(commands::see(&args, &home, screen)),
        Command::Listen(args) => on_one_thread(commands::listen(&args, &home, screen)),
    }
}

/// Runs a command on this thread only: the signal at a parent's death comes when the *thread* that started the child ends, and the main
/// thread lives as long as the process.
fn on_one_thread<T>(command: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::new(FAILED, format!("cannot start: {error}")))?.block_on(command)
}
