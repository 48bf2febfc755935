//! The export subcommands.

use std::path::PathBuf;

use torchmesh_weights::WeightsError;

use super::{ExportError, Fixture, efficientnet, encoder, fixture};

/// Turns a Hugging Face directory of a BERT encoder into `TorchScript`.
#[derive(Clone, Debug, clap::Args)]
pub struct ExportArgs {
    /// The directory with config.json and model.safetensors.
    pub model: PathBuf,
    /// The file to write, for example model.pt.
    #[arg(long)]
    pub out: PathBuf,
}

/// Turns a language model (a GGUF file, or a checkpoint of llama2.c) into a Hugging Face directory.
#[derive(Clone, Debug, clap::Args)]
pub struct ExportLanguageArgs {
    /// The file, or the folder that it is in.
    pub model: PathBuf,
    /// The folder to write, which is made where it is not there.
    #[arg(long)]
    pub out: PathBuf,
}

/// Turns the weights of a network that the worker knows by name into `TorchScript`.
#[derive(Clone, Debug, clap::Args)]
pub struct ExportNetworkArgs {
    /// Which network.
    pub network: Network,
    /// Its weights, a safetensors file.
    pub weights: PathBuf,
    /// The file to write, for example model.pt.
    #[arg(long)]
    pub out: PathBuf,
}

/// A network that is no Hugging Face directory.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Network {
    /// Images to ImageNet's classes.
    #[value(name = "efficientnet-lite0")]
    EfficientNetLite0,
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

impl ExportLanguageArgs {
    /// Does it.
    pub fn run(&self) -> Result<(), WeightsError> {
        torchmesh_weights::write_directory(torchmesh_weights::open(&self.model)?.as_ref(), &self.out)
    }
}

impl ExportNetworkArgs {
    /// Does it.
    pub fn run(&self) -> Result<(), ExportError> {
        match self.network {
            Network::EfficientNetLite0 => efficientnet(&self.weights, &self.out),
        }
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
