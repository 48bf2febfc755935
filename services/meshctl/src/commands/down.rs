//! `meshctl down`: stops the mesh, and makes sure of it.

use std::{path::Path, time::Duration};

use rustix::process::Signal;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    cli::DownArgs,
    error::{FAILED, Failure, Result},
    home::Home,
    output::Screen,
    run_file::{MeshLock, RunFile},
    supervise::instance::send,
};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// How long processes that lost their `meshctl` may take to end before they are killed.
const ORPHANS: Duration = Duration::from_secs(5);

/// Stops the mesh that runs from the home. One that does not run is fine.
pub(crate) async fn down(args: &DownArgs, home: &Home, screen: &Screen) -> Result<()> {
    let was_running = MeshLock::is_taken(home)?;
    let last = RunFile::read(home)?;
    if was_running {
        stop_supervisor(args, home, last.as_ref()).await?;
    }
    // The `meshctl` that ran them may have been killed; its services then got a signal of their own, and end after their last call.
    let left = last.map(|run| leftovers(home, &run)).unwrap_or_default();
    stop_orphans(&left, args.now).await?;
    remove_stale(home);
    let said = match (was_running, left.is_empty()) {
        // Also of a `meshctl` that was killed this very moment, whose lock the system had not let go of at the first look.
        (_, false) => format!("stopped {} processes that an earlier meshctl had left behind", left.len()),
        (true, true) => "stopped; nothing is left running".to_owned(),
        (false, true) => format!("no mesh is running from {}", home.shown().display()),
    };
    screen.show(&json!({ "was_running": was_running, "leftovers": left.len() }), || said)
}

/// Asks the `meshctl` that runs the mesh to stop it, and waits until that process is gone. Each service is bounded by its own grace
/// period there, so there is no limit here.
async fn stop_supervisor(args: &DownArgs, home: &Home, run: Option<&RunFile>) -> Result<()> {
    let mut run = run.cloned();
    let unknown = Instant::now() + ORPHANS;
    while run.is_none() && MeshLock::is_taken(home)? {
        if Instant::now() > unknown {
            let problem = format!("a mesh runs from {}, but run.json does not say which process runs it", home.shown().display());
            return Err(Failure::new(FAILED, problem).help("end the `meshctl up` by its pid"));
        }
        sleep(PAUSE).await;
        run = RunFile::read(home)?;
    }
    let Some(run) = run else { return Ok(()) };
    send(run.meshctl.pid, if args.now { Signal::QUIT } else { Signal::TERM });
    while MeshLock::is_taken(home)? {
        sleep(PAUSE).await;
    }
    Ok(())
}

/// The services of `run` that still run. A pid may belong to another program by now, so the command line must name our announce file.
fn leftovers(home: &Home, run: &RunFile) -> Vec<u32> {
    let services = run.services.iter().filter_map(|(name, service)| Some((service.pid?, home.announce(name))));
    services.filter(|(pid, announce)| is_ours(*pid, announce)).map(|(pid, _)| pid).collect()
}

fn is_ours(pid: u32, announce: &Path) -> bool {
    let command_line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    command_line.split(|byte| *byte == 0).any(|word| word == announce.as_os_str().as_encoded_bytes())
}

async fn stop_orphans(pids: &[u32], now: bool) -> Result<()> {
    let gone = |pid: u32| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default().is_empty();
    for (signal, limit) in [(Signal::TERM, if now { Duration::ZERO } else { ORPHANS }), (Signal::KILL, ORPHANS)] {
        let deadline = Instant::now() + limit;
        for pid in pids.iter().filter(|pid| !gone(**pid)) {
            send(*pid, signal);
        }
        while pids.iter().any(|pid| !gone(*pid)) && Instant::now() < deadline {
            sleep(PAUSE).await;
        }
    }
    match pids.iter().find(|pid| !gone(**pid)) {
        Some(pid) => Err(Failure::new(FAILED, format!("process {pid} does not end, even when killed"))),
        None => Ok(()),
    }
}

/// Removes what a `meshctl` that was killed could not.
fn remove_stale(home: &Home) {
    for path in [home.run_file(), home.discovery()] {
        // Absent after a proper end.
        let _ = std::fs::remove_file(path);
    }
}
