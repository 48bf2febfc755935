//! What can be typed about pipelines.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ClientArgs;

/// `meshctl pipeline`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  meshctl pipeline lint .torchmesh/pipelines           every mistake of every pipeline, against the models of the mesh
  meshctl pipeline lint judge/2.toml --offline         what can be seen without the models
  meshctl pipeline draw judge/2.toml                   a picture for a README, in Mermaid
  meshctl pipeline draw judge/2.toml --svg > judge.svg
  meshctl pipeline run judge text=\"You have won!\"      calls it, as anybody would
  meshctl pipeline run caption image=@cat.png --stream   a file, and the answer as it comes
  meshctl pipeline trace judge text=\"You have won!\"    which step took how long

docs/pipelines.md says what can be in them.")]
pub(crate) struct PipelineArgs {
    /// What to do
    #[command(subcommand)]
    pub(crate) what: PipelineCommand,
}

/// What to do with pipelines.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum PipelineCommand {
    /// Check pipelines, and report every mistake
    Lint(LintArgs),
    /// Draw a pipeline
    Draw {
        /// Its file
        file: PathBuf,
        /// As SVG rather than Mermaid
        #[arg(long)]
        svg: bool,
    },
    /// Call a pipeline, or any other model
    Run(RunArgs),
    /// Call a pipeline, and show where the time went
    Trace(TraceArgs),
}

/// `meshctl pipeline lint`.
#[derive(Debug, Clone, Args)]
pub(crate) struct LintArgs {
    /// Files NAME/VERSION.toml, or folders of them; those that are given together may call each other
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Ask no mesh: types and shapes are not checked, nor whether the models are there
    #[arg(long)]
    pub(crate) offline: bool,
    /// Where and who
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// `meshctl pipeline run`.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunArgs {
    /// What is called, and with what
    #[command(flatten)]
    pub(crate) call: CallArgs,
    /// Show what its last step writes as it comes
    #[arg(long)]
    pub(crate) stream: bool,
}

/// `meshctl pipeline trace`.
#[derive(Debug, Clone, Args)]
pub(crate) struct TraceArgs {
    /// What is called, and with what
    #[command(flatten)]
    pub(crate) call: CallArgs,
}

/// One call.
#[derive(Debug, Clone, Args)]
pub(crate) struct CallArgs {
    /// The pipeline
    pub(crate) name: String,
    /// What it is sent: JSON, with lists in lists for more than one dimension; what is no JSON is a text, and @FILE what is in a file
    #[arg(value_name = "INPUT=VALUE")]
    pub(crate) inputs: Vec<String>,
    /// The version (default: the one that the mesh chooses)
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) version: String,
    /// Where and who
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}
