//! Which kind of published model a path holds.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    PublishedModel, WeightsError,
    checkpoint::{self, Checkpoint},
    directory::Directory,
    gguf::Gguf,
};

/// Opens the model at `path`: the folder of a version, or a file in it.
///
/// A folder with `config.json` and `model.safetensors` (or its index) is a Hugging Face directory; one with a single `.gguf` file is that file; one with
/// a single `.bin` file beside `tokenizer.bin` is a checkpoint of llama2.c. Of a file, its name decides: `.gguf`, `.bin`, and everything else means the
/// directory that it is in. Headers are read and checked here, elements of tensors are not.
pub fn open(path: &Path) -> Result<Box<dyn PublishedModel>, WeightsError> {
    if path.is_dir() { open_folder(path) } else { open_file(path) }
}

fn open_file(path: &Path) -> Result<Box<dyn PublishedModel>, WeightsError> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("gguf") => Ok(Box::new(Gguf::open(path)?)),
        Some(checkpoint::ENDING) => Ok(Box::new(Checkpoint::open(path)?)),
        _ => {
            fs::metadata(path).map_err(|source| WeightsError::file(path, source))?;
            Ok(Box::new(Directory::open(path.parent().unwrap_or(Path::new(".")))?))
        }
    }
}

fn open_folder(folder: &Path) -> Result<Box<dyn PublishedModel>, WeightsError> {
    if Directory::is_one(folder) {
        return Ok(Box::new(Directory::open(folder)?));
    }
    if let Some(file) = only(folder, "gguf")? {
        return open_file(&file);
    }
    match only(folder, checkpoint::ENDING)? {
        Some(file) if folder.join(checkpoint::TOKENIZER).is_file() => open_file(&file),
        _ => Err(WeightsError::form(
            folder,
            "holds no language model: neither config.json with model.safetensors, nor a .gguf file, nor a .bin file of llama2.c with its tokenizer.bin",
        )),
    }
}

/// The one file with this ending. Two of them are an error that names both: nothing says which one is meant.
fn only(folder: &Path, ending: &str) -> Result<Option<PathBuf>, WeightsError> {
    let wrong = |source| WeightsError::file(folder, source);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        let is_tokenizer = path.file_name().is_some_and(|name| name == checkpoint::TOKENIZER);
        if path.extension().is_some_and(|one| one == ending) && !is_tokenizer {
            found.push(path);
        }
    }
    found.sort();
    if let [first, second, ..] = found.as_slice() {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Err(WeightsError::form(folder, format!("holds {} and {}: name the one that is meant", name(first), name(second))));
    }
    Ok(found.pop())
}
