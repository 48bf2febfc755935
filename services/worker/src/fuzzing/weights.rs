use std::{fs, path::Path};

use serde::de::IgnoredAny;
use serde_json::Value;
use torchmesh_weights::{PublishedModel, open};

use crate::engine;

/// The files of a Hugging Face directory, in this order, with a zero byte between them; the last one is all the rest.
const FILES: [&str; 7] = [
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "model.safetensors.index.json",
    "model.safetensors",
];
/// What is in front of a checkpoint of llama2.c, and the length of the tokenizer that comes first, in two bytes.
const CHECKPOINT: &[u8] = b"llama2.c";
/// Larger tensors are looked at, and not read.
const READ: usize = 1 << 20;

/// A language model's files: what is opened is described in JSON, has no more than its files, and each of its tensors as many bytes as it says.
pub fn weights(files: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder for the files");
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).expect("a file in it");
    if files.starts_with(b"GGUF") {
        write("model.gguf", files);
    } else if let Some(([high, low], rest)) = files.strip_prefix(CHECKPOINT).and_then(<[u8]>::split_first_chunk) {
        let (tokenizer, network) = rest.split_at(rest.len().min(usize::from(u16::from_be_bytes([*high, *low]))));
        write("tokenizer.bin", tokenizer);
        write("model.bin", network);
    } else {
        let mut parts = files.splitn(FILES.len(), |&byte| byte == 0);
        for (name, part) in FILES.iter().zip(&mut parts).filter(|(_, part)| !part.is_empty()) {
            write(name, part);
        }
    }
    read(folder.path());
}

fn read(folder: &Path) {
    match open(folder) {
        Ok(model) => hold(&*model),
        Err(error) => assert!(error.to_string().starts_with(&folder.display().to_string()), "{error} does not say which file"),
    }
}

fn hold(model: &dyn PublishedModel) {
    // Whatever it says: no more memory is taken than for a network that there can be.
    let _ = engine::is_built(model);
    assert!(serde_json::from_str::<Value>(model.config()).is_ok(), "{}", model.config());
    if let Ok(tokenizer) = model.tokenizer() {
        assert!(serde_json::from_str::<IgnoredAny>(&tokenizer).is_ok(), "{tokenizer}");
    }
    let names = model.names();
    assert!(names.is_sorted(), "{names:?}");
    for name in names.iter().take(16) {
        let Ok(layout) = model.layout(name) else { continue };
        let layout = layout.expect("it is among the names");
        if layout.bytes() > READ {
            continue;
        }
        let tensor = model.tensor(name).expect("it is within the file").expect("it is among the names");
        assert_eq!((tensor.element, &tensor.shape, tensor.bytes.len()), (layout.element, &layout.shape, layout.bytes()), "{name}");
    }
    assert!(model.layout("there is no such tensor").is_ok_and(|none| none.is_none()));
}
