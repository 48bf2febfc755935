//! Writing a model as a Hugging Face directory.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
};

use serde_json::{Map, Value, json};

use crate::{Element, PublishedModel, TensorLayout, WeightsError};

/// Writes `config.json`, `model.safetensors`, `tokenizer.json`, `tokenizer_config.json` and `generation_config.json` into `folder`, which is made where it
/// is not there. Files of these names are replaced; the tensors come last and whole, so that a model may be written over itself. One tensor is in memory at
/// a time; elements stay what they are, quantised ones become F32.
pub fn write_directory(model: &dyn PublishedModel, folder: &Path) -> Result<(), WeightsError> {
    fs::create_dir_all(folder).map_err(|source| WeightsError::file(folder, source))?;
    let tokenizer = model.tokenizer()?;
    write_text(folder, "config.json", model.config())?;
    write_text(folder, "tokenizer.json", &tokenizer)?;
    write_text(folder, "tokenizer_config.json", &tokenizer_config(model).to_string())?;
    write_text(folder, "generation_config.json", &generation_config(model).to_string())?;
    let (draft, path) = (folder.join("model.safetensors.draft"), folder.join("model.safetensors"));
    write_tensors(model, &draft)?;
    fs::rename(&draft, &path).map_err(|source| WeightsError::file(&path, source))
}

fn write_text(folder: &Path, name: &str, text: &str) -> Result<(), WeightsError> {
    let path = folder.join(name);
    fs::write(&path, text).map_err(|source| WeightsError::file(&path, source))
}

fn tokenizer_config(model: &dyn PublishedModel) -> Value {
    let mut fields: Map<String, Value> = model.special().texts.iter().map(|(name, text)| (name.clone(), text.as_str().into())).collect();
    fields.insert("tokenizer_class".to_owned(), "PreTrainedTokenizerFast".into());
    fields.insert("clean_up_tokenization_spaces".to_owned(), false.into());
    fields.insert("add_bos_token".to_owned(), model.special().begin.is_some().into());
    if let Some(template) = &model.special().chat_template {
        fields.insert("chat_template".to_owned(), template.as_str().into());
    }
    Value::Object(fields)
}

fn generation_config(model: &dyn PublishedModel) -> Value {
    json!({"eos_token_id": model.special().end})
}

fn write_tensors(model: &dyn PublishedModel, path: &Path) -> Result<(), WeightsError> {
    let wrong = |source| WeightsError::file(path, source);
    let (names, header) = header(model, path)?;
    let mut out = BufWriter::new(File::create(path).map_err(wrong)?);
    out.write_all(&(header.len() as u64).to_le_bytes()).map_err(wrong)?;
    out.write_all(&header).map_err(wrong)?;
    for (name, layout) in names {
        let tensor = model.tensor(&name)?.filter(|tensor| tensor.bytes.len() == layout.bytes());
        let tensor =
            tensor.ok_or_else(|| WeightsError::form(path, format!("tensor {name} has other elements than its description says")))?;
        out.write_all(&tensor.bytes).map_err(wrong)?;
    }
    out.flush().map_err(wrong)
}

type Layouts = Vec<(String, TensorLayout)>;

/// The header, filled up with blanks so that the elements begin at a multiple of eight bytes.
fn header(model: &dyn PublishedModel, path: &Path) -> Result<(Layouts, Vec<u8>), WeightsError> {
    let mut fields = Map::from_iter([("__metadata__".to_owned(), json!({"format": "pt"}))]);
    let (mut layouts, mut at) = (Vec::new(), 0_u64);
    for name in model.names() {
        let layout = model.layout(&name)?.ok_or_else(|| WeightsError::form(path, format!("tensor {name} is named, and not there")))?;
        let kind = match layout.element {
            Element::F32 => "F32",
            Element::F16 => "F16",
            Element::Bf16 => "BF16",
        };
        let end = at + layout.bytes() as u64;
        fields.insert(name.clone(), json!({"dtype": kind, "shape": layout.shape, "data_offsets": [at, end]}));
        layouts.push((name, layout));
        at = end;
    }
    let mut header = Value::Object(fields).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok((layouts, header))
}
