//! A child that ends when its parent does, however the parent ended.
//!
//! The kernel can signal a process when its parent dies, but only the process itself can ask for that. So `meshctl` starts itself as
//! `meshctl __child`, asks, and then becomes the service: same process, same pid, and the request outlives the change of program.

use std::{
    ffi::OsString,
    io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use clap::Args;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal, setsid};

use crate::error::{FAILED, Failure};

/// The hidden command's name.
pub(crate) const COMMAND: &str = "__child";

/// This very program.
fn this_program() -> PathBuf {
    // Its file, by which `ps` shows it well; where a build has replaced that meanwhile, what the kernel still holds.
    std::env::current_exe().ok().filter(|path| path.exists()).unwrap_or_else(|| PathBuf::from("/proc/self/exe"))
}

/// `meshctl __child`.
#[derive(Debug, Args)]
pub(crate) struct ChildArgs {
    /// The pid of the parent that is expected
    #[arg(long)]
    parent: i32,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    program: Vec<OsString>,
}

/// A command that runs `program` as a child of this process: it gets SIGTERM when this process dies, its own process group (so that
/// Ctrl-C reaches only `meshctl`, which stops the services in order), and no standard input.
pub(crate) fn command(program: &Path, arguments: &[OsString]) -> Command {
    let mut command = Command::new(this_program());
    command.arg0("meshctl").args([COMMAND, "--parent", &std::process::id().to_string(), "--"]).arg(program).args(arguments);
    command.stdin(Stdio::null()).process_group(0);
    command
}

/// A command that runs `meshctl` again with `arguments`, for the background.
pub(crate) fn again(arguments: &[OsString]) -> Command {
    let mut command = Command::new(this_program());
    command.arg0("meshctl").args(arguments).stdin(Stdio::null());
    command
}

/// Becomes the program; returns only when that failed.
pub(crate) fn become_program(args: &ChildArgs) -> Failure {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        return Failure::new(FAILED, format!("cannot ask for a signal at the parent's death: {error}"));
    }
    // The parent may have died before the request was made; then nobody would ever stop this process.
    if getppid() != Pid::from_raw(args.parent) {
        return Failure::new(FAILED, "the meshctl that started this process is gone");
    }
    let Some((program, arguments)) = args.program.split_first() else {
        return Failure::new(FAILED, "no program was given");
    };
    let error = Command::new(program).args(arguments).exec();
    Failure::new(FAILED, format!("cannot run {}: {error}", program.display()))
}

/// Leaves the terminal's session, so that closing the terminal does not end this process.
pub(crate) fn leave_session() -> io::Result<()> {
    setsid().map(|_| ()).map_err(Into::into)
}
