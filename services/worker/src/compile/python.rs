//! The Python that exports and compiles.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;

use super::{CompileError, plan::Plan, progress};
use crate::engine::aoti::{Host, Input, PACKAGE};

const SCRIPT: &str = include_str!("compile.py");
/// Says which torch a Python has, without the seconds that importing it takes.
const VERSION: &str = "import importlib.metadata as m\ntry: print(m.version('torch'))\nexcept m.PackageNotFoundError: pass";
/// How many of the last lines of Python's own output are shown when it fails.
const SHOWN: usize = 12;

/// What `compile.py` found out.
#[derive(Debug, Deserialize)]
pub(super) struct Made {
    pub(super) torch: String,
    pub(super) machine: String,
    pub(super) instructions: Vec<String>,
    pub(super) inputs: Vec<Input>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Progress(String),
    Result(Made),
    #[serde(untagged)]
    Failed {
        failed: String,
        help: Option<String>,
    },
}

/// The first Python that has the torch of this worker, or the one that was named; the error says where was looked and how to get one.
pub(super) fn find(named: Option<&Path>) -> Result<PathBuf, CompileError> {
    let wanted = Host::here().torch;
    let mut seen = Vec::new();
    for python in named.map_or_else(candidates, |named| vec![named.to_owned()]) {
        match torch_of(&python) {
            Some(found) if found.split('+').next() == Some(wanted.as_str()) => return Ok(python),
            Some(found) if found.is_empty() => seen.push(format!("{} has no torch", python.display())),
            Some(found) => seen.push(format!("{} has torch {found}", python.display())),
            None => seen.push(format!("{} does not run", python.display())),
        }
    }
    let venv = venv();
    let venv = venv.display();
    Err(CompileError::new(format!("compiling needs a Python with torch {wanted}, and none is here: {}", seen.join(", "))).help(format!(
        "python3 -m venv {venv} && {venv}/bin/pip install torch=={wanted} transformers numpy   (2 to 3 GB; serving needs none of it)"
    )))
}

fn candidates() -> Vec<PathBuf> {
    let named = std::env::var_os("TORCHMESH_PYTHON").filter(|value| !value.is_empty()).map(PathBuf::from);
    let own = Some(venv().join("bin/python")).filter(|python| python.exists());
    named.into_iter().chain(own).chain([PathBuf::from("python3")]).collect()
}

/// Where the advice puts an environment.
fn venv() -> PathBuf {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let user = || var("XDG_CACHE_HOME").or_else(|| Some(var("HOME")?.join(".cache"))).unwrap_or_default().join("torchmesh");
    var("TORCHMESH_CACHE").unwrap_or_else(user).join("compile-venv")
}

/// The version of torch; empty when there is none, `None` when it is no Python.
fn torch_of(python: &Path) -> Option<String> {
    let output = Command::new(python).args(["-I", "-c", VERSION]).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Exports and compiles into `work`.
pub(super) fn compile(python: &Path, plan: &Plan, work: &Path) -> Result<Made, CompileError> {
    let (script, settings, log) = (work.join("compile.py"), work.join("plan.json"), work.join("log"));
    fs::write(&script, SCRIPT).map_err(named(&script))?;
    fs::write(&settings, plan.script(&work.join(PACKAGE))?).map_err(named(&settings))?;
    let mut child = Command::new(python)
        .arg(&script)
        .arg(&settings)
        .env("TORCHINDUCTOR_CACHE_DIR", work.join("cache"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&log).map_err(named(&log))?)
        .spawn()
        .map_err(named(python))?;
    let mut made = None;
    for line in child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
        match line.ok().and_then(|line| serde_json::from_str(&line).ok()) {
            Some(Line::Progress(text)) => progress(text),
            Some(Line::Result(result)) => made = Some(Ok(result)),
            Some(Line::Failed { failed, help }) => made = Some(Err(CompileError { problem: failed, help })),
            None => {}
        }
    }
    let status = child.wait().map_err(named(python))?;
    match made {
        Some(Ok(made)) if status.success() => Ok(made),
        Some(Err(error)) => Err(error),
        _ => Err(CompileError::new(format!("Python ended with {status}:\n{}", last_lines(&log)))),
    }
}

fn named(path: &Path) -> impl FnOnce(std::io::Error) -> CompileError + '_ {
    move |error| CompileError::file(path, &error)
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}
