//! What can be typed about the model repository.

use std::path::PathBuf;

use clap::Args;

use crate::import::Tensor;

const PULL_EXAMPLES: &str = "\
Examples:
  meshctl pull sentences --from hf://sentence-transformers/all-MiniLM-L6-v2
  meshctl pull sentences                       what its model.toml says, at the commit in its model.lock
  meshctl pull ranker --from s3://models/ranker/3 --version 3

A worker fetches by itself what a model.toml has a [[source]] for; pulling it before spares it the wait.
What is interrupted goes on where it stopped. Credentials come from the environment: HF_TOKEN and
HF_ENDPOINT; AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT, AWS_ALLOW_HTTP;
GOOGLE_SERVICE_ACCOUNT; AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY.";

/// `meshctl pull`.
#[derive(Debug, Clone, Args)]
#[command(after_help = PULL_EXAMPLES)]
pub(crate) struct PullArgs {
    /// The model, by its name in the repository
    pub(crate) model: String,
    /// Where it comes from: writes a model.toml with this source, for a model that has none yet
    #[arg(long, value_name = "URL")]
    pub(crate) from: Option<String>,
    /// The version: the one that --from gives (default 1), or the only one to fetch (default: all)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) version: Option<u64>,
    /// The model repository (default: models in the home folder)
    #[arg(long, value_name = "DIR", env = "TORCHMESH_WORKER_MODELS_DIR")]
    pub(crate) models: Option<PathBuf>,
    /// Where fetched versions are kept, as models_cache of the worker (default: .cache in the model repository)
    #[arg(long, value_name = "DIR", env = "TORCHMESH_WORKER_MODELS_CACHE")]
    pub(crate) cache: Option<PathBuf>,
    /// How many files to fetch at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) parallel: u8,
}

const IMPORT_EXAMPLES: &str = "\
Examples:
  meshctl import /models/triton --dry-run          what would become of a whole Triton repository
  meshctl import /models/triton/resnet50           one model of it
  meshctl import resnet-18.mar                     a TorchServe archive
  meshctl import custom.mar --input x:FP32:-1,16 --output-tensor y:FP32:-1,2

Only TorchScript models can be taken over. Whatever a configuration says that has no counterpart here is
listed, and kept as comments in the model.toml that is written.";

/// `meshctl import`.
#[derive(Debug, Clone, Args)]
#[command(after_help = IMPORT_EXAMPLES)]
pub(crate) struct ImportArgs {
    /// A Triton repository or one model's folder of it (pytorch_libtorch), or a TorchServe archive (.mar)
    #[arg(value_name = "SOURCE")]
    pub(crate) source: PathBuf,
    /// Name of the model here (default: as there); for one model only
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Version of an archive's model here (default: the whole part of its own)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) version: Option<u64>,
    /// The model repository that it is written to (default: models in the home folder)
    #[arg(long, value_name = "DIR", env = "TORCHMESH_WORKER_MODELS_DIR")]
    pub(crate) models: Option<PathBuf>,
    /// Link to a Triton repository's files instead of copying them
    #[arg(long)]
    pub(crate) link: bool,
    /// What an archive's model takes, once for each input in order
    #[arg(long = "input", value_name = "NAME:DATATYPE:SHAPE", value_parser = Tensor::parse)]
    pub(crate) inputs: Vec<Tensor>,
    /// What an archive's model returns, once for each output in order
    #[arg(long = "output-tensor", value_name = "NAME:DATATYPE:SHAPE", value_parser = Tensor::parse)]
    pub(crate) outputs: Vec<Tensor>,
    /// Say what would be written, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}
