//! `meshctl up`: in the foreground until Ctrl-C, or in the background until `meshctl down`.

use std::{ffi::OsString, fs::File, path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStdout, Command},
    signal::ctrl_c,
    sync::oneshot,
    time::sleep,
};

use super::summary;
use crate::{
    cli::UpArgs,
    error::{FAILED, Failure, Result},
    home::Home,
    key, launch,
    mesh::{Kind, Mesh, preflight},
    output::{JsonLines, Progress, Screen},
    run_file::{MeshLock, RunFile, State},
    supervise::{
        self,
        event::{Event, Listener},
        instance, last_lines,
    },
};

/// How a mesh in the background is stopped.
const IN_BACKGROUND: &str = "make stop, or meshctl down";

/// Starts the mesh.
pub(crate) async fn up(args: &UpArgs, home: &Home, screen: &Screen) -> Result<()> {
    if args.in_background {
        return in_background(args, home).await;
    }
    let mesh = Mesh::load(args, home)?;
    home.create()?;
    if args.detach {
        if MeshLock::is_taken(home)? {
            return already_up(home, screen).await;
        }
        return detach(home, screen).await;
    }
    let (up, when_up) = oneshot::channel();
    let mut progress = Foreground { progress: Progress::new(screen), up: Some(up) };
    let summary = async {
        // Without a word there is nothing to sum up: the mesh did not come up, and `run` says why.
        if when_up.await.is_ok() { summary::show(home, screen, "Ctrl-C").await } else { Ok(()) }
    };
    let run = start(args, &mesh, home, &mut progress);
    tokio::pin!(summary, run);
    tokio::select! {
        outcome = &mut run => outcome,
        shown = &mut summary => run.await.and(shown),
    }
}

/// The part that is the same in the foreground and in the background: everything up to the end of the mesh.
async fn start(args: &UpArgs, mesh: &Mesh, home: &Home, listener: &mut dyn Listener) -> Result<()> {
    let Some(_lock) = take_lock(home).await? else { return Err(already_running(home)?) };
    let bin_dir = preflight::bin_dir(args.bin_dir.as_deref())?;
    key::ensure(home)?;
    if mesh.services.iter().any(|plan| plan.kind == Kind::Accounts) {
        key::ensure_tokens(home)?;
    }
    if mesh.services.iter().any(|plan| plan.kind == Kind::Pipelines) {
        let folder = home.pipelines();
        std::fs::create_dir_all(&folder).map_err(|error| Failure::file("create", &folder, &error))?;
    }
    preflight::check(mesh, home, &bin_dir).await?;
    supervise::run(mesh, home, &bin_dir, args.timeout, listener).await
}

/// Takes the home's lock. A `status` or `down` that looks at the lock holds it for an instant, so one refusal is not believed.
async fn take_lock(home: &Home) -> Result<Option<MeshLock>> {
    for _ in 0..5 {
        if let Some(lock) = MeshLock::take(home)? {
            return Ok(Some(lock));
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(None)
}

fn already_running(home: &Home) -> Result<Failure> {
    let who = RunFile::read(home)?.map_or_else(String::new, |run| format!(" (meshctl has pid {})", run.meshctl.pid));
    let problem = format!("a mesh is already running from {}{who}", home.shown().display());
    Ok(Failure::new(FAILED, problem).help("`meshctl status` shows it, `meshctl down` stops it"))
}

/// `up --detach` asks for a mesh in the background, and there is one.
async fn already_up(home: &Home, screen: &Screen) -> Result<()> {
    let run = RunFile::read(home)?.filter(|run| run.meshctl.state == State::Ready);
    let Some(run) = run else { return Err(already_running(home)?) };
    if !screen.is_json() {
        eprintln!(
            "already running (meshctl has pid {}); `meshctl down` first, to start with other settings or a new build",
            run.meshctl.pid
        );
    }
    summary::show(home, screen, IN_BACKGROUND).await
}

/// The process in the background: tells the one in the foreground how it goes.
async fn in_background(args: &UpArgs, home: &Home) -> Result<()> {
    launch::leave_session().map_err(|error| Failure::new(FAILED, format!("cannot leave the terminal: {error}")))?;
    let mut listener = JsonLines::new();
    let outcome = match Mesh::load(args, home) {
        Ok(mesh) => start(args, &mesh, home, &mut listener).await,
        Err(failure) => Err(failure),
    };
    if let Err(failure) = &outcome {
        listener.hear(&Event::from(failure.clone()));
    }
    outcome
}

/// Starts this command again in a session of its own, and follows it until the mesh is ready.
async fn detach(home: &Home, screen: &Screen) -> Result<()> {
    let log = home.log("meshctl");
    let failed = |error: &std::io::Error| Failure::new(FAILED, format!("cannot start meshctl in the background: {error}"));
    let output = File::create(&log).map_err(|error| Failure::file("write", &log, &error))?;
    let mut command = launch::again(&background_arguments(std::env::args_os().skip(1)));
    command.stdout(Stdio::piped()).stderr(output);
    let mut child = Command::from(command).spawn().map_err(|error| failed(&error))?;
    let events = child.stdout.take().ok_or_else(|| failed(&std::io::ErrorKind::BrokenPipe.into()))?;
    let mut progress = Progress::new(screen);
    tokio::select! {
        outcome = follow(events, &log, &mut progress) => outcome?,
        _ = ctrl_c() => return Err(interrupted(child).await),
    }
    summary::show(home, screen, IN_BACKGROUND).await
}

/// The same arguments, for the process in the background.
fn background_arguments(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    arguments.map(|word| if word == "--detach" || word == "-d" { "--in-background".into() } else { word }).collect()
}

async fn follow(events: ChildStdout, log: &Path, progress: &mut Progress<'_>) -> Result<()> {
    let mut lines = BufReader::new(events).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(event) = serde_json::from_str::<Event>(&line) else { continue };
        progress.hear(&event);
        match event {
            Event::Up => return Ok(()),
            Event::Failed { problem, help, code } => return Err(Failure { problem, help, code }),
            _ => {}
        }
    }
    let problem = "the meshctl in the background ended without a word";
    Err(Failure::new(FAILED, problem).help(format!("the end of {}:\n{}", log.display(), last_lines(log))))
}

async fn interrupted(mut child: Child) -> Failure {
    if let Some(pid) = child.id() {
        instance::terminate(pid);
    }
    let _ = child.wait().await;
    Failure::new(FAILED, "interrupted; nothing is left running")
}

/// Shows progress, and says once that the mesh is up.
struct Foreground<'a> {
    progress: Progress<'a>,
    up: Option<oneshot::Sender<()>>,
}

impl Listener for Foreground<'_> {
    fn hear(&mut self, event: &Event) {
        self.progress.hear(event);
        if let Some(up) = self.up.take_if(|_| *event == Event::Up) {
            // Nobody waits any more when the mesh is being stopped at this very moment.
            let _ = up.send(());
        }
    }
}
