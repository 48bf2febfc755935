//! `meshctl compile`: a model compiled ahead of time. The worker's program does it, since it knows the model's files and its engines.

use std::{io::Write as _, path::Path, process::Stdio, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use crate::{
    cli::CompileArgs,
    error::{FAILED, Failure, Result},
    home::Home,
    mesh::preflight,
    output::{Screen, table},
};

/// The program that compiles.
const PROGRAM: &str = "torchmesh-worker";

/// A line of the worker's program.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Event {
    Progress(String),
    Report(Report),
    Failed { problem: String, help: Option<String> },
}

/// What came of it.
#[derive(Debug, Deserialize, Serialize)]
struct Report {
    model: String,
    version: String,
    package: String,
    source: String,
    torch: String,
    device: String,
    instructions: Vec<String>,
    largest_difference: f64,
    tolerance: f64,
    speed: Vec<Speed>,
}

/// How long one forward takes.
#[derive(Debug, Deserialize, Serialize)]
struct Speed {
    rows: usize,
    length: usize,
    original_ms: f64,
    package_ms: f64,
}

/// Compiles the model and shows what came of it.
pub(crate) async fn compile(args: &CompileArgs, home: &Home, screen: &Screen) -> Result<()> {
    let program = preflight::bin_dir(args.bin_dir.as_deref())?.join(PROGRAM);
    let mut child = command(args, &program, &home.models()).spawn().map_err(|error| Failure::file("run", &program, &error))?;
    let mut lines = child.stdout.take().map(|stdout| BufReader::new(stdout).lines());
    let waiting = Waiting::new();
    let mut outcome = None;
    while let Some(lines) = &mut lines {
        let Ok(Some(line)) = lines.next_line().await else { break };
        match serde_json::from_str(&line) {
            Ok(Event::Progress(text)) => waiting.say(&text),
            Ok(Event::Report(report)) => outcome = Some(Ok(report)),
            Ok(Event::Failed { problem, help }) => outcome = Some(Err(Failure { help, ..Failure::new(FAILED, problem) })),
            // A line of a library.
            Err(_) => {}
        }
    }
    waiting.end();
    let status = child.wait().await.map_err(|error| Failure::file("run", &program, &error))?;
    let report = outcome.unwrap_or_else(|| Err(Failure::new(FAILED, format!("{PROGRAM} ended with {status} before it was done"))))?;
    screen.show(&report, || text(&report))
}

fn command(args: &CompileArgs, program: &Path, models: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("compile").arg(&args.model).arg("--models-dir").arg(args.models_dir.as_deref().unwrap_or(models));
    let options = [
        ("--version", args.version.as_ref().map(Into::into)),
        ("--python", args.python.as_ref().map(|path| path.as_os_str().to_owned())),
        ("--program", args.program.as_ref().map(|path| path.as_os_str().to_owned())),
        ("--cpu", args.cpu.as_ref().map(Into::into)),
        ("--tolerance", args.tolerance.map(|tolerance| tolerance.to_string().into())),
    ];
    for (option, value) in options {
        command.args(value.map(|value| [option.into(), value]).into_iter().flatten());
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    command
}

/// What is going on: a spinner on a terminal, lines elsewhere.
struct Waiting(ProgressBar);

impl Waiting {
    fn new() -> Self {
        // The template is a constant; were it wrong, the default style would do.
        let style = ProgressStyle::with_template("  {spinner} {msg} ({elapsed})").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::new_spinner().with_style(style);
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    fn say(&self, text: &str) {
        if self.0.is_hidden() {
            let _ = writeln!(std::io::stderr(), "{text}");
        } else {
            self.0.set_message(text.to_owned());
        }
    }

    fn end(&self) {
        self.0.finish_and_clear();
    }
}

fn text(report: &Report) -> String {
    let row = |speed: &Speed| {
        let faster = speed.original_ms / speed.package_ms;
        [
            speed.rows.to_string(),
            speed.length.to_string(),
            format!("{:.2} ms", speed.original_ms),
            format!("{:.2} ms", speed.package_ms),
            format!("{faster:.2} ×"),
        ]
    };
    let Report { model, version, package, source, torch, device, largest_difference, tolerance, .. } = report;
    let needs = if report.instructions.is_empty() { "-".to_owned() } else { report.instructions.join(" ") };
    let speed = table(["rows", "length", source, "model.pt2", "gain"], report.speed.iter().map(row));
    format!(
        "model {model} {version}: {package}\n\ntorch        {torch} on {device}\nneeds        {needs}\n\
         difference   {largest_difference:.1e} of the largest value; {tolerance:.0e} is allowed\n\n{speed}\n\n\
         A worker that has the model loads it again within seconds and runs whichever is faster there."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_shows_what_the_package_needs_and_what_it_gains() {
        let line = r#"{"report": {"model": "m", "version": "2", "package": "m/2/model.pt2", "source": "model.pt", "torch": "2.11.0",
            "device": "cpu", "instructions": ["avx2", "fma"], "largest_difference": 3e-7, "tolerance": 1e-4,
            "speed": [{"rows": 8, "length": 16, "original_ms": 10.0, "package_ms": 5.0}]}}"#;
        let Ok(Event::Report(report)) = serde_json::from_str(line) else { panic!("not read") };
        let shown = text(&report);
        for part in ["model m 2: m/2/model.pt2", "needs        avx2 fma", "3.0e-7 of the largest value; 1e-4 is allowed", "2.00 ×"] {
            assert!(shown.contains(part), "{part:?} is missing in\n{shown}");
        }
    }

    #[test]
    fn a_failure_keeps_its_advice() {
        let Ok(Event::Failed { problem, help }) = serde_json::from_str(r#"{"failed": {"problem": "no torch", "help": "get it"}}"#) else {
            panic!("not read")
        };
        assert_eq!((problem.as_str(), help.as_deref()), ("no torch", Some("get it")));
    }
}
