//! A Hugging Face directory: `config.json`, tensors in one or several safetensors files, and what belongs to the tokenizer.

mod safetensors;
mod words;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::Value;

use self::safetensors::Shard;
use crate::{
    PublishedModel, TensorData, TensorLayout, WeightsError,
    file::{read_text, read_text_if_there},
    special::Special,
};

const CONFIG: &str = "config.json";
const WHOLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// What an index says: which file a tensor is in.
#[derive(Debug, Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Where a tensor is, and what its file calls it.
#[derive(Debug)]
struct Place {
    shard: usize,
    name: String,
}

/// A Hugging Face directory, opened.
#[derive(Debug)]
pub(crate) struct Directory {
    folder: PathBuf,
    config: String,
    shards: Vec<Shard>,
    places: BTreeMap<String, Place>,
    special: Special,
}

impl Directory {
    /// Whether a folder looks like one.
    pub(crate) fn is_one(folder: &Path) -> bool {
        folder.join(CONFIG).is_file() && (folder.join(WHOLE).is_file() || folder.join(INDEX).is_file())
    }

    pub(crate) fn open(folder: &Path) -> Result<Self, WeightsError> {
        let path = folder.join(CONFIG);
        let config = read_text(&path)?;
        let fields: Value = serde_json::from_str(&config).map_err(|error| WeightsError::form(&path, format!("is not JSON: {error}")))?;
        let (shards, mut places) =
            if let Some(text) = read_text_if_there(&folder.join(INDEX))? { sharded(folder, &text)? } else { whole(folder)? };
        if fields["model_type"] == "gpt2" {
            places = with_prefix_of_gpt2(places);
        }
        let special = words::read(folder, &fields)?;
        Ok(Self { folder: folder.to_owned(), config, shards, places, special })
    }
}

impl PublishedModel for Directory {
    fn config(&self) -> &str {
        &self.config
    }

    fn names(&self) -> Vec<String> {
        self.places.keys().cloned().collect()
    }

    fn layout(&self, name: &str) -> Result<Option<TensorLayout>, WeightsError> {
        let Some(place) = self.places.get(name) else { return Ok(None) };
        self.shards[place.shard].layout(&place.name)
    }

    fn tensor(&self, name: &str) -> Result<Option<TensorData>, WeightsError> {
        let (Some(layout), Some(place)) = (self.layout(name)?, self.places.get(name)) else { return Ok(None) };
        let bytes = self.shards[place.shard].bytes(&place.name)?;
        Ok(Some(TensorData { element: layout.element, shape: layout.shape, bytes }))
    }

    fn tokenizer(&self) -> Result<String, WeightsError> {
        let path = self.folder.join("tokenizer.json");
        read_text_if_there(&path)?.ok_or_else(|| {
            WeightsError::form(
                &path,
                "is missing; save the tokenizer with transformers' `AutoTokenizer.from_pretrained(...).save_pretrained(...)`",
            )
        })
    }

    fn special(&self) -> &Special {
        &self.special
    }
}

type Shards = (Vec<Shard>, BTreeMap<String, Place>);

fn whole(folder: &Path) -> Result<Shards, WeightsError> {
    let shard = Shard::open(&folder.join(WHOLE))?;
    let places = shard.names().map(|name| (name.to_owned(), Place { shard: 0, name: name.to_owned() })).collect();
    Ok((vec![shard], places))
}

fn sharded(folder: &Path, text: &str) -> Result<Shards, WeightsError> {
    let path = folder.join(INDEX);
    let index: Index = serde_json::from_str(text).map_err(|error| WeightsError::form(&path, format!("is not an index: {error}")))?;
    let (mut shards, mut numbers, mut places): (Vec<Shard>, BTreeMap<&str, usize>, _) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for (name, file) in &index.weight_map {
        let number = if let Some(number) = numbers.get(file.as_str()) {
            *number
        } else {
            shards.push(open_shard(folder, &path, file, name)?);
            numbers.insert(file, shards.len() - 1);
            shards.len() - 1
        };
        if !shards[number].has(name) {
            return Err(WeightsError::form(shards[number].path(), format!("lacks the tensor {name}, which {INDEX} places in it")));
        }
        places.insert(name.clone(), Place { shard: number, name: name.clone() });
    }
    Ok((shards, places))
}

fn open_shard(folder: &Path, index: &Path, file: &str, tensor: &str) -> Result<Shard, WeightsError> {
    if file.is_empty() || file.starts_with('.') || file.contains(['/', '\\', '\0']) {
        return Err(WeightsError::form(index, format!("tensor {tensor}: {file:?} is not the name of a file beside it")));
    }
    if !folder.join(file).exists() {
        return Err(WeightsError::form(index, format!("tensor {tensor} is in {file}, which is missing: was the download complete?")));
    }
    Shard::open(&folder.join(file))
}

/// Files of the first GPT-2 name its parts without the prefix that today's implementation gives them, and keep the masks of attention as tensors.
fn with_prefix_of_gpt2(places: BTreeMap<String, Place>) -> BTreeMap<String, Place> {
    let is_mask = |name: &str| name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias");
    let full =
        |name: String| if name.starts_with("transformer.") || name == "lm_head.weight" { name } else { format!("transformer.{name}") };
    places.into_iter().filter(|(name, _)| !is_mask(name)).map(|(name, place)| (full(name), place)).collect()
}
