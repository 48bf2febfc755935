//! What a version's folder says about itself in the files that Hugging Face and sentence-transformers publish, so that a manifest need not.

use std::{fs, path::Path};

use serde_json::Value;

use super::{Pooling, words::Task};

/// The weights of a Hugging Face directory.
pub(super) const WEIGHTS: &str = "model.safetensors";
/// What describes them.
const CONFIG: &str = "config.json";

/// Facts that stand in for settings that the manifest leaves out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Published {
    /// Whether there are weights that need no export.
    pub(super) weights: bool,
    /// What the model is for.
    pub(super) task: Option<Task>,
    /// The longest text, in tokens.
    pub(super) max_tokens: Option<usize>,
    /// How token vectors become one.
    pub(super) pooling: Option<Pooling>,
    /// Whether vectors are scaled to length 1.
    pub(super) normalize: Option<bool>,
}

impl Published {
    /// Reads what is there. A file that is missing or makes no sense says nothing; the engine names it if it needs it.
    pub fn read(folder: &Path) -> Self {
        let Some(config) = json(&folder.join(CONFIG)) else { return Self::default() };
        let weights = folder.join(WEIGHTS).is_file();
        Self {
            weights,
            task: (weights && is_encoder(&config)).then_some(Task::Embed),
            max_tokens: json(&folder.join("sentence_bert_config.json"))
                .and_then(|sentence| whole(&sentence, "max_seq_length"))
                .or_else(|| positions(&config)),
            pooling: json(&folder.join("1_Pooling/config.json")).and_then(|pooling| pooling_mode(&pooling)),
            normalize: json(&folder.join("modules.json")).and_then(|modules| normalizes(&modules)),
        }
    }

    /// Whether a model needs no manifest at all.
    pub(crate) fn says_all(&self) -> bool {
        self.task.is_some()
    }
}

fn json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn whole(value: &Value, key: &str) -> Option<usize> {
    usize::try_from(value.get(key)?.as_u64()?).ok()
}

/// A model that gives a vector for each token, and not one with a task's head.
fn is_encoder(config: &Value) -> bool {
    let architecture = config.get("architectures").and_then(|names| names.get(0)).and_then(Value::as_str).unwrap_or_default();
    !architecture.contains("For") || architecture.ends_with("ForMaskedLM")
}

/// Positions of RoBERTa's kind begin behind the padding token's.
fn positions(config: &Value) -> Option<usize> {
    let all = whole(config, "max_position_embeddings")?;
    let kind = config.get("model_type").and_then(Value::as_str).unwrap_or_default();
    let skipped = if kind.contains("roberta") || kind == "camembert" { whole(config, "pad_token_id").unwrap_or(0) + 1 } else { 0 };
    all.checked_sub(skipped)
}

fn pooling_mode(config: &Value) -> Option<Pooling> {
    let is = |key: &str| config.get(key).and_then(Value::as_bool) == Some(true);
    match (is("pooling_mode_mean_tokens"), is("pooling_mode_cls_token")) {
        (true, false) => Some(Pooling::Mean),
        (false, true) => Some(Pooling::Cls),
        _ => None,
    }
}

fn normalizes(modules: &Value) -> Option<bool> {
    let kind = |module: &Value| module.get("type").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("Normalize"));
    Some(modules.as_array()?.iter().any(kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("1_Pooling")).unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn a_published_sentence_encoder_needs_no_settings() {
        let folder = folder(&[
            ("config.json", r#"{"model_type": "bert", "architectures": ["BertModel"], "max_position_embeddings": 512}"#),
            ("model.safetensors", ""),
            ("sentence_bert_config.json", r#"{"max_seq_length": 256}"#),
            ("1_Pooling/config.json", r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#),
            ("modules.json", r#"[{"type": "sentence_transformers.models.Transformer"}, {"type": "sentence_transformers.models.Pooling"}]"#),
        ]);
        let published = Published::read(folder.path());
        assert!(published.says_all());
        let manifest = Manifest::parse("", &published).unwrap();
        let text = manifest.text.unwrap();
        assert_eq!((text.max_tokens, text.pooling, text.normalize), (256, Pooling::Cls, false));
        assert_eq!(manifest.artefact, WEIGHTS);
    }

    #[test]
    fn the_manifest_has_the_last_word() {
        let folder = folder(&[
            ("config.json", r#"{"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}"#),
            ("model.safetensors", ""),
        ]);
        let published = Published::read(folder.path());
        assert_eq!(Manifest::parse("", &published).unwrap().text.unwrap().max_tokens, 512);
        let manifest = Manifest::parse("engine = 'torchscript'\nmax_tokens = 64\npooling = 'cls'", &published).unwrap();
        assert_eq!(manifest.artefact, "model.pt");
        let text = manifest.text.unwrap();
        assert_eq!((text.max_tokens, text.pooling), (64, Pooling::Cls));
    }

    #[test]
    fn files_that_make_no_sense_say_nothing() {
        let folder = folder(&[("config.json", "["), ("model.safetensors", "")]);
        assert_eq!(Published::read(folder.path()), Published::default());
        let folder = self::folder(&[("config.json", r#"{"architectures": ["BertForSequenceClassification"]}"#), ("model.safetensors", "")]);
        assert!(!Published::read(folder.path()).says_all());
    }
}
