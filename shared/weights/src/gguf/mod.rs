//! One GGUF file: the network, its tensors, its tokenizer and its chat template, in the form that llama.cpp keeps them in.

mod blocks;
mod config;
mod header;
mod metadata;
mod names;
mod reader;
mod rope;
mod tokenizer;

use std::{collections::BTreeMap, path::Path};

use self::{
    config::Seen,
    header::{Header, Stored},
    names::{Architecture, Change},
};
use crate::{
    Element, PublishedModel, TensorData, TensorLayout, WeightsError,
    file::Source,
    rows::{can_split_pairs, split_pairs, transpose},
    special::Special,
};

/// A table of divisors for the rotation; it is read into the config and is no tensor of the network.
const ROPE_DIVISORS: &str = "rope_freqs.weight";
/// What its program keeps beside a network and Hugging Face's implementations reckon themselves.
const RECKONED: &str = ".attn_rot_embd";
/// The longest table of divisors, in elements.
const MOST_DIVISORS: usize = 1 << 16;

#[derive(Debug)]
struct Place {
    stored: Stored,
    change: Change,
}

/// A GGUF file, opened.
#[derive(Debug)]
pub(crate) struct Gguf {
    source: Source,
    config: String,
    tokenizer: Result<String, String>,
    places: BTreeMap<String, Place>,
    heads: (usize, usize),
    special: Special,
}

impl Gguf {
    pub(crate) fn open(path: &Path) -> Result<Self, WeightsError> {
        let source = Source::open(path)?;
        let Header { metadata, mut tensors } = Header::read(path, &source)?;
        if let Some(parts) = metadata.count("split.count").filter(|parts| *parts > 1) {
            return Err(source.wrong(format!("is one of {parts} parts; join them with `llama-gguf-split --merge`")));
        }
        let wrong = |problem| source.wrong(problem);
        let name = metadata.text("general.architecture").ok_or_else(|| wrong("general.architecture is missing".to_owned()))?;
        let architecture = Architecture::of(name).map_err(wrong)?;
        let rope_divisors = tensors.remove(ROPE_DIVISORS).map(|stored| floats(&source, &stored)).transpose()?;
        let places = places(&source, architecture, tensors)?;
        let config = config::config(&metadata, architecture, &seen(&source, &places, rope_divisors)?).map_err(wrong)?;
        let heads = config::heads(&metadata, architecture).map_err(wrong)?;
        check(&source, &places, heads)?;
        let tokenizer = tokenizer::tokenizer(&metadata);
        Ok(Self { config, tokenizer, places, heads, special: tokenizer::special(&metadata), source })
    }
}

impl PublishedModel for Gguf {
    fn config(&self) -> &str {
        &self.config
    }

    fn names(&self) -> Vec<String> {
        self.places.keys().cloned().collect()
    }

    fn layout(&self, name: &str) -> Result<Option<TensorLayout>, WeightsError> {
        Ok(self.places.get(name).map(Place::layout))
    }

    fn tensor(&self, name: &str) -> Result<Option<TensorData>, WeightsError> {
        let Some(place) = self.places.get(name) else { return Ok(None) };
        let bytes = place.stored.read(&self.source)?;
        let (rows, columns) = place.sides();
        let TensorLayout { element, shape } = place.layout();
        let bytes = match place.change {
            Change::Nothing => bytes,
            Change::QueryRows => split_pairs(&bytes, rows, self.heads.0),
            Change::KeyRows => split_pairs(&bytes, rows, self.heads.1),
            Change::MinusOne => bytes.chunks_exact(4).flat_map(|one| (float(one) - 1.0).to_le_bytes()).collect(),
            Change::Turn => transpose(&bytes, rows, columns, element.size()),
        };
        Ok(Some(TensorData { element, shape, bytes }))
    }

    fn tokenizer(&self) -> Result<String, WeightsError> {
        self.tokenizer.clone().map_err(|problem| self.source.wrong(problem))
    }

    fn special(&self) -> &Special {
        &self.special
    }
}

impl Place {
    fn layout(&self) -> TensorLayout {
        let mut layout = self.stored.layout();
        if self.change == Change::Turn {
            layout.shape.reverse();
        }
        layout
    }

    /// Rows and columns as the file has them; a vector has rows of one element.
    fn sides(&self) -> (usize, usize) {
        let rows = self.stored.shape.first().copied().unwrap_or(1);
        (rows, self.stored.shape[1..].iter().product())
    }
}

/// The tensors under their published names. One that the network has no place for is refused: without it, the answers would be wrong.
fn places(
    source: &Source,
    architecture: &Architecture,
    tensors: BTreeMap<String, Stored>,
) -> Result<BTreeMap<String, Place>, WeightsError> {
    let mut places = BTreeMap::new();
    for (name, stored) in tensors.into_iter().filter(|(name, _)| !name.contains(RECKONED)) {
        let unknown = || source.wrong(format!("tensor {name} is none that the architecture {} has here", architecture.name));
        let (published, change) = architecture.translate(&name).ok_or_else(unknown)?;
        places.insert(published, Place { stored, change });
    }
    Ok(places)
}

fn seen(source: &Source, places: &BTreeMap<String, Place>, rope_divisors: Option<Vec<f32>>) -> Result<Seen, WeightsError> {
    let embedding = places.get("model.embed_tokens.weight").or_else(|| places.get("transformer.wte.weight"));
    let embedding = embedding.ok_or_else(|| source.wrong("tensor token_embd.weight is missing"))?;
    Ok(Seen {
        vocabulary: embedding.stored.shape[0],
        tied: !places.contains_key("lm_head.weight"),
        attention_bias: places.contains_key("model.layers.0.self_attn.q_proj.bias"),
        mlp_bias: places.contains_key("model.layers.0.mlp.up_proj.bias"),
        rope_divisors,
    })
}

/// Whether what has to be done with each tensor can be done.
fn check(source: &Source, places: &BTreeMap<String, Place>, heads: (usize, usize)) -> Result<(), WeightsError> {
    for (name, place) in places {
        let (rows, _) = place.sides();
        let fits = match place.change {
            Change::Nothing => true,
            Change::QueryRows => can_split_pairs(rows, heads.0),
            Change::KeyRows => can_split_pairs(rows, heads.1),
            Change::MinusOne => place.stored.format.element() == Element::F32,
            Change::Turn => place.stored.shape.len() == 2,
        };
        if !fits {
            let (format, shape) = (place.stored.format, &place.stored.shape);
            return Err(source.wrong(format!("tensor {name}: {shape:?} in the form {format:?} does not go with {heads:?} heads")));
        }
    }
    Ok(())
}

fn floats(source: &Source, stored: &Stored) -> Result<Vec<f32>, WeightsError> {
    if stored.format.element() != Element::F32 || stored.shape.iter().product::<usize>() > MOST_DIVISORS {
        return Err(source.wrong(format!("{ROPE_DIVISORS} is no table of divisors")));
    }
    Ok(stored.read(source)?.chunks_exact(4).map(float).collect())
}

fn float(bytes: &[u8]) -> f32 {
    f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
