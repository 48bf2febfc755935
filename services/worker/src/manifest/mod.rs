//! What a model's folder says about it: `model.toml`.
//!
//! An embedding model in `TorchScript` needs three lines, since everything else has a default:
//!
//! ```toml
//! task = "embed"
//! max_tokens = 256
//! pooling = "mean"
//! ```
//!
//! A sentence encoder as it was published needs none: what its own files say stands in for what the manifest does not ([`Published`]).

mod generate;
mod label_file;
mod lacking;
mod published;
mod published_image;
mod read;
mod read_generate;
mod read_image;
mod read_task;
mod read_voice;
mod sources;
mod task;
mod tensors;
mod versions;
mod words;

use std::{fmt, time::Duration};

use crate::{
    admission::Priority,
    engine::{Device, Dtype},
    tensor::Datatype,
};

pub use generate::{GenerateSettings, SamplingDefaults};
pub(crate) use lacking::lacking;
pub use published::Published;
pub use published_image::PublishedImage;
pub use sources::Sources;
pub use task::{
    ClassifyImageSettings, ClassifySettings, DetectObjectsSettings, EmbedSettings, HeadSettings, PoolSettings, RerankSettings, Task,
    TextSettings, TokenClassifySettings,
};
pub use torchmesh_runtime::config::Problems;
pub use versions::Versions;
pub use words::{Aggregation, EngineChoice, NonFinite, Pooling, ScoreFunction, Truncation};

/// The name of the manifest in a model's folder.
pub const FILE_NAME: &str = "model.toml";

/// The input that holds token ids in a model of text.
pub const INPUT_IDS: &str = "input_ids";
/// The input that is 1 for a token and 0 for padding.
pub const ATTENTION_MASK: &str = "attention_mask";
/// The input that tells the first text of a pair (0) from the second (1).
pub const TOKEN_TYPE_IDS: &str = "token_type_ids";

/// A model's manifest, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// `versions`: which version folders are loaded. Default `all`.
    pub versions: Versions,
    /// `engine`: `auto`, `torchscript`, `native` or `aoti`. Default `auto`.
    pub engine: EngineChoice,
    /// `artefact`: the model file in each version's folder. Default: `model.safetensors` where that lies beside a `config.json` and `engine` does
    /// not say otherwise, `model.pt` where not; of a language model the only `.gguf` file, `model.safetensors` or `model.safetensors.index.json`.
    pub artefact: String,
    /// `device`: `auto`, `cpu` or `cuda:N`. Default `auto`.
    pub device: Device,
    /// `dtype`: what the weights are held in: `auto`, `fp32`, `bf16` or `fp16`. Default `auto`.
    pub dtype: Dtype,
    /// `instances`: executors, each a thread with its own copy of the model. Default 1, 1 to 64.
    pub instances: usize,
    /// `intra_op_threads`: threads that one forward may use. Default 1, of a language model as many as the machine has; 1 to 256.
    pub intra_op_threads: usize,
    /// `task`, with its settings.
    pub task: Task,
    /// `nan`: what becomes of an answer that holds NaN or infinity. Default `reject` for a task of text, `pass` for `tensor`.
    pub non_finite: NonFinite,
    /// Whether the first dimension of every input and output is the batch. False for `batching.max_batch = 0`.
    pub batched: bool,
    /// `[[inputs]]`, in the order in which the model takes them.
    pub inputs: Vec<TensorSpec>,
    /// `[[outputs]]`, in the order in which the model returns them.
    pub outputs: Vec<TensorSpec>,
    /// `[batching]`.
    pub batching: Batching,
    /// `[queue]`.
    pub queue: QueueLimits,
    /// `[warmup]`.
    pub warmup: Warmup,
}

/// One input or output.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSpec {
    /// `name`.
    pub name: String,
    /// `datatype`, in the protocol's words, such as `FP32`.
    pub datatype: Datatype,
    /// `shape`: -1 for a dimension that the caller chooses. The first is the batch and always -1.
    pub shape: Vec<i64>,
    /// `pad`: one element that fills the second dimension (the sequence) of shorter requests, so that requests of different
    /// length can share a batch. Absent: only requests of the same shape share one. Inputs only.
    pub pad: Option<Vec<u8>>,
}

/// Which requests run together.
#[derive(Clone, Debug, PartialEq)]
pub struct Batching {
    /// `max_batch`: rows in one forward; a larger request is run in parts. Default 32, 1 to 4096; 0 in the manifest is 1 here, and
    /// [`Manifest::batched`] is false.
    pub max_batch: usize,
    /// `max_queue_delay`: how long a request waits for company while an executor is free. Default 0s, at most 1s.
    pub max_queue_delay: Duration,
    /// `max_padded_tokens`: rows times the longest sequence of one forward; a single longer row still runs, alone. Default 16384, at least 1.
    pub max_padded_tokens: usize,
    /// `length_ratio`: the longest sequence of a batch is at most this many times the shortest. Default 1.5, at least 1.
    pub length_ratio: f64,
}

/// How much may wait.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueLimits {
    /// `max_requests`: requests waiting; one more is refused. Default 1024, 1 to 100000.
    pub max_requests: usize,
    /// `max_bytes`: the tensors of the waiting requests together; what would exceed it is refused. Default 256MiB, at least 1KiB.
    pub max_bytes: usize,
    /// `max_rows`: rows (texts, images) in one request. Default 2048, of images 64; 1 to 1000000.
    pub max_rows: usize,
    /// `priority`: the class of a request that names none: `high`, `normal` or `low`. Default `normal`.
    pub priority: Priority,
}

/// What a model runs before it is ready, so that no caller meets a cold model.
#[derive(Clone, Debug, PartialEq)]
pub struct Warmup {
    /// `batch_sizes`: rows. Default 1 and `max_batch`; each 1 to `max_batch`. Empty: no warm-up but one forward of one row.
    pub batch_sizes: Vec<usize>,
    /// `lengths`: what a dimension of -1 becomes. Default 16 and 64, cut to `max_tokens`.
    pub lengths: Vec<usize>,
}

impl Manifest {
    /// Reads a manifest for a version whose own files say `published`, or tells every mistake in it.
    pub fn parse(text: &str, published: &Published) -> Result<Self, Problems> {
        read::parse(text, published)
    }

    /// Whether the second dimension of an output is the sequence, so that it is cut to a request's own length.
    pub fn follows_sequence(&self, output: &TensorSpec) -> bool {
        let open = output.shape.get(1) == Some(&-1);
        // The second dimension of a text's scores or vector is the model's, though the manifest leaves it open.
        open && (self.task.text().is_none() || output.shape.len() > 2)
    }

    /// What is wrong with a manifest for a version whose files are not there yet, as far as that can be known.
    pub(crate) fn problems_now(text: &str) -> Option<Problems> {
        sources::problems_now(text)
    }

    /// The bytes of one row of all inputs, their open dimensions `length` long; `None` where they cannot be counted.
    pub(crate) fn row_bytes(&self, length: usize) -> Option<usize> {
        self.inputs.iter().try_fold(0_usize, |sum, input| sum.checked_add(input.row_bytes(length, self.batched)?))
    }

    /// Whether requests of different sequence lengths may share a batch.
    pub fn pads(&self) -> bool {
        self.inputs.iter().any(|input| input.pad.is_some())
    }
}

impl TensorSpec {
    fn row_bytes(&self, length: usize, batched: bool) -> Option<usize> {
        // A text takes its length at the least.
        let element = self.datatype.element_size().unwrap_or(4);
        let mut dims = self.shape.iter().skip(usize::from(batched));
        dims.try_fold(element, |product, &dim| product.checked_mul(if dim == -1 { length } else { usize::try_from(dim).ok()? }))
    }
}

impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" {} {:?}", self.name, self.datatype, self.shape)
    }
}
