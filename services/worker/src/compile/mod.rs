//! `torchmesh-worker compile`: from a model of the repository to a package that AOTInductor compiled, checked and put beside it.
//!
//! A Python with torch exports and compiles ([`python`]); whether the result answers as the original does, and how fast, is found out here,
//! with the engines that serve ([`check`]). What happens is told in JSON lines on standard output, for `meshctl compile` or a script.

mod check;
mod install;
mod plan;
mod python;
#[cfg(test)]
mod tests;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use serde::Serialize;
use torchmesh_api::ids::{ModelName, ModelVersion};

use self::{plan::Plan, python::Made};
use crate::engine::aoti::{FORMAT, PACKAGE, Sidecar, Source, sha256};

/// Compiles a model of the repository ahead of time; needs a Python with torch
#[derive(Clone, Debug, clap::Args)]
pub struct CompileArgs {
    /// The model's name in the repository
    pub model: String,
    /// The model repository
    #[arg(long, value_name = "DIR", default_value = ".torchmesh/models")]
    pub models_dir: PathBuf,
    /// The version (default: the highest)
    #[arg(long, value_name = "N")]
    pub version: Option<String>,
    /// The Python to use (default: the first with the right torch of TORCHMESH_PYTHON, the cache's compile-venv, python3)
    #[arg(long, value_name = "FILE")]
    pub python: Option<PathBuf>,
    /// The least processor that has to run it: x86-64-v2, x86-64-v3 (AVX2) or x86-64-v4 (AVX-512) (default: this machine's)
    #[arg(long, value_name = "LEVEL", value_parser = ["x86-64-v2", "x86-64-v3", "x86-64-v4"])]
    pub cpu: Option<String>,
    /// A program that torch.export saved, to compile in place of the version's own file
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
    /// The largest difference from the original's answers, against the largest value (default: 0.0001; 0.05 for bf16 and fp16)
    #[arg(long, value_name = "X")]
    pub tolerance: Option<f32>,
}

/// What the command tells, one JSON line each.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Event {
    Progress(String),
    Report(Report),
    Failed { problem: String, help: Option<String> },
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The model.
    pub model: String,
    /// Its version.
    pub version: String,
    /// The file that was written.
    pub package: PathBuf,
    /// The file that it was made from.
    pub source: String,
    /// The version of torch.
    pub torch: String,
    /// `cpu` or `cuda`.
    pub device: String,
    /// The instructions that the processor has to have.
    pub instructions: Vec<String>,
    /// The largest difference from the original's answers, against the largest value.
    pub largest_difference: f32,
    /// What was allowed.
    pub tolerance: f32,
    /// How long one forward takes, for both.
    pub speed: Vec<Speed>,
}

/// One shape's times.
#[derive(Debug, Serialize)]
pub struct Speed {
    /// Rows.
    pub rows: usize,
    /// What every open dimension was.
    pub length: usize,
    /// The original's best of several, in milliseconds.
    pub original_ms: f64,
    /// The package's.
    pub package_ms: f64,
}

/// Why there is no package.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{problem}")]
pub struct CompileError {
    /// What is wrong.
    pub problem: String,
    /// What to do about it, where that is known.
    pub help: Option<String>,
}

impl CompileError {
    fn new(problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), help: None }
    }

    fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    fn file(path: &Path, error: &std::io::Error) -> Self {
        Self::new(format!("{}: {error}", path.display()))
    }
}

impl CompileArgs {
    /// Does it. What comes of it, an error too, is told on standard output.
    pub fn run(&self) -> Result<(), CompileError> {
        match self.compile() {
            Ok(report) => {
                tell(&Event::Report(report));
                Ok(())
            }
            Err(error) => {
                tell(&Event::Failed { problem: error.problem.clone(), help: error.help.clone() });
                Err(error)
            }
        }
    }

    fn compile(&self) -> Result<Report, CompileError> {
        let name = ModelName::parse(&self.model).map_err(|error| CompileError::new(error.to_string()))?;
        let version = self.version.as_deref().map(|text| {
            ModelVersion::parse(text).ok_or_else(|| CompileError::new(format!("\"{text}\" is not a version: a whole number from 1")))
        });
        let plan = Plan::make(&self.models_dir, &name, version.transpose()?, self)?;
        let work = tempfile::tempdir().map_err(|error| CompileError::file(&std::env::temp_dir(), &error))?;
        let python = python::find(self.python.as_deref())?;
        progress(format!("using {}", python.display()));
        let made = python::compile(&python, &plan, work.path())?;
        let draft = work.path().join(PACKAGE);
        let source = plan.source().to_owned();
        let mut sidecar = sidecar(&plan, made, &source, &draft).map_err(|error| CompileError::file(&source, &error))?;
        install::write_sidecar(&sidecar, &draft)?;
        progress("comparing its answers with the original's");
        let checked = check::check(&plan, &draft)?;
        sidecar.largest_difference = checked.largest_difference;
        let tolerance = self.tolerance.unwrap_or(plan.default_tolerance());
        if checked.largest_difference.is_nan() || checked.largest_difference > tolerance {
            let problem = format!(
                "the compiled model's answers differ from the original's by {:e}; {tolerance:e} is allowed",
                checked.largest_difference
            );
            return Err(CompileError::new(problem).help("--tolerance allows more; the model is served as it is"));
        }
        let package = install::install(&sidecar, &draft, &plan.folder)?;
        Ok(Report {
            model: self.model.clone(),
            version: plan.version.to_string(),
            package,
            source: sidecar.source.file,
            torch: sidecar.torch,
            device: sidecar.device,
            instructions: sidecar.instructions.into_iter().collect(),
            largest_difference: checked.largest_difference,
            tolerance,
            speed: checked.speed,
        })
    }
}

fn sidecar(plan: &Plan, made: Made, source: &Path, draft: &Path) -> std::io::Result<Sidecar> {
    let file = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Sidecar {
        format: FORMAT,
        torch: made.torch,
        machine: made.machine,
        instructions: made.instructions.into_iter().collect(),
        device: plan.device.to_owned(),
        dtype: plan.spec.dtype.name().to_owned(),
        source: Source { file, sha256: sha256(source)? },
        package: sha256(draft)?,
        inputs: made.inputs,
        // Until it is measured; JSON has no word for what is no number.
        largest_difference: f32::MAX,
    })
}

fn progress(text: impl Into<String>) {
    tell(&Event::Progress(text.into()));
}

fn tell(event: &Event) {
    let Ok(line) = serde_json::to_string(event) else { return };
    // Whoever listened may have gone; the package is worth making all the same.
    let _ = writeln!(std::io::stdout(), "{line}");
}
