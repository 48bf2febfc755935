//! What keeps a Hugging Face directory from being served as it was published, and what to do about it.

use std::{fs, path::Path};

use serde_json::Value;

use super::published::{CONFIG, SHARDS, WEIGHTS};

/// Makes `model.safetensors` of whatever weights transformers reads, for the class that the directory names.
const CONVERT: &str = "python3 -c \"import transformers as t; \
    getattr(t, t.AutoConfig.from_pretrained('.').architectures[0]).from_pretrained('.').save_pretrained('.', max_shard_size='1TB')\"";
/// Weights in forms that are not read: a file that shows them, and why not.
const OTHERS: [(&str, &str); 4] = [
    (SHARDS, "has its weights in several files, which only language models may have"),
    ("pytorch_model.bin", "has its weights in pytorch_model.bin, which can hold programs and is not read"),
    ("pytorch_model.bin.index.json", "has its weights in pickles, which can hold programs and are not read"),
    ("tf_model.h5", "has its weights in tf_model.h5, which is not read"),
];

/// Why the directory needs more than it has; `None` of a folder that is no such directory, or lacks nothing.
pub(crate) fn lacking(folder: &Path) -> Option<String> {
    let config: Value = serde_json::from_slice(&fs::read(folder.join(CONFIG)).ok()?).ok()?;
    config.get("model_type").or_else(|| config.get("architectures"))?;
    let architecture = config.get("architectures").and_then(|names| names.get(0)).and_then(Value::as_str).unwrap_or_default();
    let writes = architecture.ends_with("ForCausalLM") || architecture == "GPT2LMHeadModel";
    if writes && folder.join(SHARDS).is_file() {
        return None;
    }
    if !folder.join(WEIGHTS).is_file() {
        let other = OTHERS.iter().find(|(file, _)| folder.join(file).is_file());
        return Some(match other {
            Some((_, why)) => format!("the directory {why}; this makes {WEIGHTS}, run in the directory: {CONVERT}"),
            None => format!("the directory has {CONFIG} and no {WEIGHTS}; is it still being copied?"),
        });
    }
    let (_, head) = architecture.split_once("For")?;
    let known = ["CausalLM", "MaskedLM", "SequenceClassification", "TokenClassification"];
    (!known.contains(&head)).then(|| {
        format!("{CONFIG} names the architecture {architecture}, which no task serves as it is; export it to TorchScript and say in model.toml what it takes")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_other_weights_or_another_architecture_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let says = |part: &str| {
            let reason = lacking(folder.path()).unwrap();
            assert!(reason.contains(part), "{part:?} is missing in {reason}");
        };
        assert_eq!(lacking(folder.path()), None, "a folder of something else");
        write(CONFIG, r#"{"model_type": "bert", "architectures": ["BertForQuestionAnswering"]}"#);
        says("no model.safetensors; is it still being copied?");
        write("pytorch_model.bin", "");
        says("has its weights in pytorch_model.bin");
        says("save_pretrained('.'");
        write(WEIGHTS, "");
        says("the architecture BertForQuestionAnswering");
        write(CONFIG, r#"{"architectures": ["BertForMaskedLM"]}"#);
        assert_eq!(lacking(folder.path()), None);
    }
}
