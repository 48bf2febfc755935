//! Encoders of the BERT family, run from a Hugging Face directory as it is published: `config.json` and `model.safetensors`.
//!
//! A batch is packed before it is run: the real tokens of all rows form one matrix, and padding is neither multiplied nor stored.

mod attribute;
pub(crate) mod config;
mod cpu;
mod distances;
mod head;
mod linear;
mod names;
mod network;
mod pack;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod weights;

use std::{
    io,
    path::{Path, PathBuf},
};

use tch::Kind;

use self::{
    config::EncoderConfig,
    cpu::CpuNetwork,
    head::Head,
    network::{Network, Texts, Tokens},
    pack::{Group, Ids, Packing},
    weights::Weights,
};
use super::{Attribution, Dtype, Engine, EngineError, EngineSpec, Readout, cuda, kernels, tensors};
use crate::tensor::{Datatype, Tensor};

/// What describes the network, beside its weights.
const CONFIG: &str = "config.json";

/// Why a network could not be built or run. File names are in full: whoever shows this to a caller cuts them.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `config.json` describes a network that is not built here.
    #[error("{}: {problem}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the field's name.
        problem: String,
    },
    /// The weights lack a tensor, or have it in another shape.
    #[error("the weights do not fit config.json: {0}")]
    Weights(String),
    /// An input that the network cannot take.
    #[error("{0}")]
    Input(String),
    /// libtorch failed.
    #[error("libtorch failed: {0}")]
    Torch(#[from] tch::TchError),
}

/// A loaded encoder.
///
/// Inputs: `input_ids` and `attention_mask`, and if there is a third, `token_type_ids`, all `INT64` [rows, sequence]. Output: `FP32`, the last
/// hidden state [rows, sequence, hidden], or the scores of the head that `architectures` names: [rows, labels], [rows, sequence, labels] or
/// [rows, sequence, vocabulary].
/// Values at padded places are zero.
pub(super) struct Encoder {
    config: EncoderConfig,
    body: Body,
    head: Head,
    device: tch::Device,
    /// What weights are held in.
    kind: Kind,
    intra_op_threads: i32,
    /// What to read again for explanations.
    source: PathBuf,
    /// Whether the published head is left out.
    hidden: bool,
    plain: Option<attribute::Plain>,
}

/// Whether an encoder runs on [`CpuNetwork`] there.
fn has_own_kernels(spec: &EngineSpec, device: tch::Device) -> bool {
    device == tch::Device::Cpu && spec.intra_op_threads <= 1
}

/// The network, in the form that is fastest where it runs.
enum Body {
    /// On a CPU, one thread a forward: our own kernels.
    Cpu(Box<CpuNetwork>),
    /// On a GPU, and on a CPU with several threads a forward: libtorch's.
    Plain(Network),
}

impl Encoder {
    /// Reads the directory in which the artefact lies.
    pub(super) fn load(spec: &EngineSpec) -> Result<Self, EngineError> {
        let folder = spec.artefact.parent().unwrap_or(Path::new("."));
        let file = spec.artefact.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let device = cuda::resolve(spec.device)?;
        let holds = match spec.dtype {
            Dtype::Auto | Dtype::Fp32 => true,
            Dtype::Bf16 => has_own_kernels(spec, device) || device != tch::Device::Cpu,
            Dtype::Fp16 => device != tch::Device::Cpu,
            Dtype::Int8 | Dtype::Int4 => false,
        };
        if !holds {
            return Err(EngineError::UnsupportedDtype { dtype: spec.dtype });
        }
        tensors::use_threads(i32::try_from(spec.intra_op_threads.max(1)).unwrap_or(i32::MAX));
        Self::read(folder, &file, device, spec).map_err(|error| {
            let folder = format!("{}/", folder.display());
            EngineError::load(file, error.to_string().replace(&folder, ""))
        })
    }

    fn read(folder: &Path, file: &str, device: tch::Device, spec: &EngineSpec) -> Result<Self, NetworkError> {
        let _no_grad = tch::no_grad_guard();
        let config = EncoderConfig::read(&folder.join(CONFIG))?;
        let kind = if device == tch::Device::Cpu { Kind::Float } else { tensors::kind_of_weights(spec.dtype).unwrap_or(Kind::Float) };
        let weights = Weights::read_as(&folder.join(file), device, kind)?;
        let family = config.family().map_err(NetworkError::Weights)?;
        let own = has_own_kernels(spec, device);
        let packs = !own && device == tch::Device::Cpu && kernels::packing_pays(config.hidden_size, config.intermediate_size)?;
        let body = if own {
            Body::Cpu(Box::new(CpuNetwork::new(&config, family, &weights, spec.dtype == Dtype::Bf16)?))
        } else {
            tracing::info!(kernel = if packs { "onednn packed" } else { "libtorch linear" }, "chose the faster matrix kernel");
            Body::Plain(Network::new(&config, family, &weights, packs)?)
        };
        let head = Head::new(&config, family, &weights, packs, spec.hidden)?;
        let intra_op_threads = i32::try_from(spec.intra_op_threads.max(1)).unwrap_or(i32::MAX);
        let (source, hidden) = (folder.join(file), spec.hidden);
        Ok(Self { config, body, head, device, kind, intra_op_threads, source, hidden, plain: None })
    }

    fn run(&self, inputs: &[Tensor]) -> Result<Tensor, NetworkError> {
        let batch = Batch::read(inputs)?;
        let tokens = batch.packing.places.len();
        if tokens == 0 {
            return self.answer(tch::Tensor::f_zeros([0, self.config.hidden_size], (self.kind, self.device))?, &batch);
        }
        let hidden = match &self.body {
            Body::Cpu(network) => network.forward(&self.ids(&batch)?, &batch.packing.groups)?,
            Body::Plain(network) => network.forward(&self.tokens(&batch)?, &batch.packing.groups)?,
        };
        self.answer(hidden, &batch)
    }

    fn ids(&self, batch: &Batch) -> Result<Ids, NetworkError> {
        let longest = self.config.longest();
        if let Some(column) = batch.packing.columns.iter().find(|&&column| column >= longest) {
            return Err(NetworkError::Input(format!("a row has {} tokens or more; this model reads {longest}", column + 1)));
        }
        let first = self.config.first_position();
        let packing = &batch.packing;
        let types = match &batch.types {
            Some(types) => packing.pick(types, "token_type_ids", self.config.type_vocab_size.max(1))?,
            None => vec![0; packing.places.len()],
        };
        Ok(Ids {
            words: packing.pick(&batch.ids, "input_ids", self.config.vocab_size)?,
            positions: packing.columns.iter().map(|column| column + first).collect(),
            types,
        })
    }

    fn tokens(&self, batch: &Batch) -> Result<Tokens, NetworkError> {
        let ids = self.ids(batch)?;
        let place = |values: &[i64]| tch::Tensor::f_from_slice(values)?.f_to(self.device);
        let texts = self.texts(&batch.packing.groups)?;
        Ok(Tokens { ids: place(&ids.words)?, positions: place(&ids.positions)?, types: place(&ids.types)?, texts })
    }

    /// Where texts of several lengths lie. On a CPU it is faster to go through the lengths one by one; the GPU's kernel wants rows of 16 bytes.
    fn texts(&self, groups: &[Group]) -> Result<Option<Texts>, NetworkError> {
        let (Some(last), true) = (
            groups.last(),
            groups.len() > 1 && self.device != tch::Device::Cpu && self.config.hidden_size / self.config.num_attention_heads % 8 == 0,
        ) else {
            return Ok(None);
        };
        let lengths = groups.iter().flat_map(|group| (0..group.rows).map(|_| group.length));
        let ends = lengths.scan(0_i32, |end, length| {
            *end += i32::try_from(length).unwrap_or(i32::MAX);
            Some(*end)
        });
        let begins: Vec<i32> = std::iter::once(0).chain(ends).collect();
        Ok(Some(Texts { begins: tch::Tensor::f_from_slice(&begins)?.f_to(self.device)?, longest: last.length }))
    }

    /// The head's answer, unpacked.
    fn answer(&self, hidden: tch::Tensor, batch: &Batch) -> Result<Tensor, NetworkError> {
        let (rows, sequence) = (batch.rows, batch.sequence);
        if self.head.is_by_token() {
            let packed = self.head.forward(hidden)?.f_to_kind(Kind::Float)?;
            let width = packed.size()[1];
            let whole = if batch.packing.is_whole(batch.ids.len()) {
                packed
            } else {
                self.scatter(&packed, &batch.packing.places, rows * sequence)?
            };
            return tensors::from_torch(&whole.f_view([rows, sequence, width])?).map_err(|error| unpackable(&error));
        }
        let (places, firsts): (Vec<i64>, Vec<i64>) =
            batch.packing.firsts.iter().zip(0..).filter_map(|(first, row)| Some((row, (*first)?))).unzip();
        let firsts = tch::Tensor::f_from_slice(&firsts)?.f_to(self.device)?;
        let scores = self.head.forward(hidden.f_index_select(0, &firsts)?)?.f_to_kind(Kind::Float)?;
        tensors::from_torch(&self.scatter(&scores, &places, rows)?).map_err(|error| unpackable(&error))
    }

    /// `rows` at `places` of `count` rows that are zero otherwise.
    fn scatter(&self, rows: &tch::Tensor, places: &[i64], count: i64) -> Result<tch::Tensor, NetworkError> {
        let mut whole = tch::Tensor::f_zeros([count, rows.size()[1]], (Kind::Float, self.device))?;
        let places = tch::Tensor::f_from_slice(places)?.f_to(self.device)?;
        Ok(whole.f_index_copy_(0, &places, rows)?)
    }
}

fn unpackable(error: &EngineError) -> NetworkError {
    NetworkError::Input(error.to_string())
}

impl Engine for Encoder {
    fn forward(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        check(inputs)?;
        tensors::use_threads(self.intra_op_threads);
        let _no_grad = tch::no_grad_guard();
        self.run(inputs).map(|output| vec![output]).map_err(|error| EngineError::forward(error.to_string()))
    }

    fn attribute(&mut self, inputs: &[Tensor], along: &Attribution, readout: Readout<'_>) -> Result<Tensor, EngineError> {
        check(inputs)?;
        tensors::use_threads(self.intra_op_threads);
        let folder = self.source.parent().map(|folder| format!("{}/", folder.display())).unwrap_or_default();
        self.walk(inputs, along, readout).map_err(|error| EngineError::forward(error.to_string().replace(&folder, "")))
    }

    fn differentiates(&self) -> bool {
        true
    }

    fn padding_costs(&self) -> bool {
        false
    }

    fn platform(&self) -> &'static str {
        "torchmesh_encoder"
    }
}

fn check(inputs: &[Tensor]) -> Result<(), EngineError> {
    if let Some((index, input)) = inputs.iter().enumerate().find(|(_, input)| !input.is_consistent()) {
        return Err(EngineError::InconsistentInput { index, actual: input.data.len() });
    }
    match inputs.iter().find(|input| input.datatype != Datatype::Int64) {
        Some(input) => Err(EngineError::UnsupportedDatatype { datatype: input.datatype }),
        None => Ok(()),
    }
}

/// The inputs, read.
struct Batch {
    rows: i64,
    sequence: i64,
    ids: Vec<i64>,
    types: Option<Vec<i64>>,
    packing: Packing,
}

impl Batch {
    fn read(inputs: &[Tensor]) -> Result<Self, NetworkError> {
        let (ids, mask, types) = match inputs {
            [ids, mask] => (ids, mask, None),
            [ids, mask, types] => (ids, mask, Some(types)),
            _ => {
                let message = format!("{} inputs; an encoder takes input_ids, attention_mask and perhaps token_type_ids", inputs.len());
                return Err(NetworkError::Input(message));
            }
        };
        let &[rows, sequence] = ids.shape.as_slice() else {
            return Err(NetworkError::Input(format!("input_ids has the shape {:?}, not [rows, sequence]", ids.shape)));
        };
        if let Some(other) = std::iter::once(mask).chain(types).find(|other| other.shape != ids.shape) {
            return Err(NetworkError::Input(format!("an input has the shape {:?} where input_ids has {:?}", other.shape, ids.shape)));
        }
        let values = |tensor: &Tensor| tensor.to_i64s().unwrap_or_default();
        let packing = Packing::of(&values(mask), usize::try_from(sequence).unwrap_or(0));
        Ok(Self { rows, sequence, ids: values(ids), types: types.map(values), packing })
    }
}
