//! The export subcommands.

use std::path::PathBuf;

use super::{ExportError, Fixture, encoder, fixture};

/// Turns a Hugging Face directory of a BERT encoder into `TorchScript`.
#[derive(Clone, Debug, clap::Args)]
pub struct ExportArgs {
    /// The directory with config.json and model.safetensors.
    pub model: PathBuf,
    /// The file to write, for example model.pt.
    #[arg(long)]
    pub out: PathBuf,
}

/// Writes a model that returns its input.
#[derive(Clone, Debug, clap::Args)]
pub struct ExportNoopArgs {
    /// The file to write.
    #[arg(long)]
    pub out: PathBuf,
}

/// Writes one of the small models that tests use.
#[derive(Clone, Debug, clap::Args)]
pub struct ExportFixtureArgs {
    /// Which model.
    pub fixture: Fixture,
    /// The file to write.
    #[arg(long)]
    pub out: PathBuf,
}

impl ExportArgs {
    /// Does it.
    pub fn run(&self) -> Result<(), ExportError> {
        encoder(&self.model, &self.out)
    }
}

impl ExportNoopArgs {
    /// Does it.
    pub fn run(&self) -> Result<(), ExportError> {
        fixture(Fixture::Noop, &self.out)
    }
}

impl ExportFixtureArgs {
    /// Does it.
    pub fn run(&self) -> Result<(), ExportError> {
        fixture(self.fixture, &self.out)
    }
}
