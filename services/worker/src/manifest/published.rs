//! What a version's folder says about itself in the files that Hugging Face and sentence-transformers publish, so that a manifest need not.

use std::{fs, path::Path};

use serde_json::Value;

use super::{Pooling, PublishedImage, ScoreFunction, label_file, words::TaskWord};
use crate::text::LinearHead;

/// The weights of a Hugging Face directory.
pub(super) const WEIGHTS: &str = "model.safetensors";
/// The list of the files that they are in, where those are several.
pub(super) const SHARDS: &str = "model.safetensors.index.json";
/// What describes them.
pub(super) const CONFIG: &str = "config.json";
/// What lies beside a checkpoint of llama2.c.
const TOKENIZER_OF_CHECKPOINT: &str = "tokenizer.bin";
/// A linear layer on top of a sentence encoder; `torchmesh-worker train-head` writes it.
const HEAD: &str = "head.safetensors";

/// Facts that stand in for settings that the manifest leaves out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Published {
    /// Whether there are weights that need no export.
    pub(super) weights: bool,
    /// What the model is for.
    pub(super) task: Option<TaskWord>,
    /// The longest text, in tokens.
    pub(super) max_tokens: Option<usize>,
    /// How token vectors become one.
    pub(super) pooling: Option<Pooling>,
    /// Whether vectors are scaled to length 1.
    pub(super) normalize: Option<bool>,
    /// The names of the scores.
    pub(super) labels: Vec<String>,
    /// What the scores are.
    pub(super) function: Option<ScoreFunction>,
    /// Whether the texts of a pair are told apart.
    pub(super) token_types: bool,
    /// The file of a head beside an encoder.
    pub(super) head: Option<String>,
    /// How the model sees.
    pub(super) image: PublishedImage,
    /// The file that a language model is in: one GGUF file, weights, or the list of their files.
    pub(super) language: Option<String>,
}

impl Published {
    /// Reads what is there. A file that is missing or makes no sense says nothing; the engine names it if it needs it.
    pub fn read(folder: &Path) -> Self {
        let image =
            json(&folder.join("preprocessor_config.json")).map_or_else(PublishedImage::default, |file| PublishedImage::parse(&file));
        let named = label_file::read(folder);
        let Some(config) = json(&folder.join(CONFIG)) else {
            let language = one_file(folder);
            let task = language.as_ref().map(|_| TaskWord::Generate);
            return Self { labels: named.unwrap_or_default(), image, task, language, ..Self::default() };
        };
        let weights = folder.join(WEIGHTS).is_file();
        let language = [WEIGHTS, SHARDS].into_iter().find(|file| folder.join(file).is_file()).map(str::to_owned);
        let head = LinearHead::labels_in(&folder.join(HEAD));
        let labels = head.clone().or(named).unwrap_or_else(|| labels(&config));
        let of_sentences = folder.join("modules.json").is_file();
        let task = if head.is_some() { Some(TaskWord::Classify) } else { task(&config, of_sentences) };
        Self {
            weights,
            task: task.filter(|task| weights || (*task == TaskWord::Generate && language.is_some())),
            max_tokens: json(&folder.join("sentence_bert_config.json"))
                .and_then(|sentence| whole(&sentence, "max_seq_length"))
                .or_else(|| longest(folder, &config)),
            pooling: json(&folder.join("1_Pooling/config.json")).and_then(|pooling| pooling_mode(&pooling)),
            normalize: json(&folder.join("modules.json")).and_then(|modules| normalizes(&modules)),
            function: if head.is_some() { None } else { function(&config, labels.len()) },
            labels,
            token_types: whole(&config, "type_vocab_size").is_some_and(|types| types > 1),
            head: head.map(|_| HEAD.to_owned()),
            image,
            language,
        }
    }

    /// Whether a model needs no manifest at all.
    pub(crate) fn says_all(&self) -> bool {
        self.task.is_some()
    }
}

/// The file that a language model is in by itself: the folder's only GGUF file, or its only checkpoint of llama2.c, which has its tokenizer beside it.
fn one_file(folder: &Path) -> Option<String> {
    let names: Vec<String> = fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let only = |ending: &str| {
        let mut files = names.iter().filter(|name| *name != TOKENIZER_OF_CHECKPOINT && name.ends_with(ending));
        files.next().filter(|_| files.next().is_none()).cloned()
    };
    let checkpoint = || only(".bin").filter(|_| names.iter().any(|name| name == TOKENIZER_OF_CHECKPOINT));
    only(".gguf").or_else(checkpoint)
}

fn json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn whole(value: &Value, key: &str) -> Option<usize> {
    usize::try_from(value.get(key)?.as_u64()?).ok()
}

/// What the first of `architectures` is made for; an encoder is there for its vectors, and so is whatever lies in a sentence encoder's directory.
fn task(config: &Value, of_sentences: bool) -> Option<TaskWord> {
    let architecture = config.get("architectures").and_then(|names| names.get(0)).and_then(Value::as_str).unwrap_or_default();
    match architecture.split_once("For").map(|(_, head)| head) {
        Some("CausalLM") => Some(TaskWord::Generate),
        None if architecture == "GPT2LMHeadModel" => Some(TaskWord::Generate),
        None => Some(TaskWord::Embed),
        Some("MaskedLM") if of_sentences => Some(TaskWord::Embed),
        Some("MaskedLM") => Some(TaskWord::Fill),
        Some("SequenceClassification") => Some(if is_cross_encoder(config) { TaskWord::Rerank } else { TaskWord::Classify }),
        Some("TokenClassification") => Some(TaskWord::TokenClassify),
        Some(_) => None,
    }
}

/// One score for a pair of texts is a reranker's, unless the file calls it a regression.
fn is_cross_encoder(config: &Value) -> bool {
    labels(config).len() == 1 && problem_type(config) != Some("regression")
}

fn problem_type(config: &Value) -> Option<&str> {
    config.get("problem_type").and_then(Value::as_str)
}

/// As transformers' pipeline chooses it.
fn function(config: &Value, labels: usize) -> Option<ScoreFunction> {
    match problem_type(config) {
        Some("regression") => Some(ScoreFunction::None),
        Some("multi_label_classification") => Some(ScoreFunction::Sigmoid),
        Some("single_label_classification") => Some(ScoreFunction::Softmax),
        _ if labels == 1 => Some(ScoreFunction::Sigmoid),
        _ => None,
    }
}

/// `id2label`, in the order of the ids.
fn labels(config: &Value) -> Vec<String> {
    let named = config.get("id2label").and_then(Value::as_object).into_iter().flatten();
    let mut named: Vec<(usize, String)> = named.filter_map(|(id, label)| Some((id.parse().ok()?, label.as_str()?.to_owned()))).collect();
    named.sort();
    named.into_iter().map(|(_, label)| label).collect()
}

/// What the tokenizer is said to be cut to, or the places that there are, whichever is less.
fn longest(folder: &Path, config: &Value) -> Option<usize> {
    let said = json(&folder.join("tokenizer_config.json")).and_then(|tokenizer| whole(&tokenizer, "model_max_length"));
    match (said, positions(config)) {
        (Some(said), Some(places)) => Some(said.min(places)),
        (said, places) => said.or(places),
    }
}

/// Positions of RoBERTa's kind begin behind the padding token's.
fn positions(config: &Value) -> Option<usize> {
    let all = whole(config, "max_position_embeddings")?;
    let kind = config.get("model_type").and_then(Value::as_str).unwrap_or_default();
    let skipped =
        if kind.contains("roberta") || matches!(kind, "camembert" | "mpnet") { whole(config, "pad_token_id").unwrap_or(0) + 1 } else { 0 };
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
    use crate::manifest::{Manifest, Task};

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
        let Task::Embed(embed) = manifest.task else { panic!("{:?}", manifest.task) };
        assert_eq!((embed.text.max_tokens, embed.pool.pooling, embed.pool.normalize), (256, Pooling::Cls, false));
        assert_eq!(manifest.artefact, WEIGHTS);
    }

    #[test]
    fn the_manifest_has_the_last_word() {
        let folder = folder(&[
            ("config.json", r#"{"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}"#),
            ("model.safetensors", ""),
        ]);
        let published = Published::read(folder.path());
        assert_eq!(Manifest::parse("", &published).unwrap().task.text().unwrap().max_tokens, 512);
        let manifest = Manifest::parse("engine = 'torchscript'\nmax_tokens = 64\npooling = 'cls'", &published).unwrap();
        assert_eq!(manifest.artefact, "model.pt");
        let Task::Embed(embed) = manifest.task else { panic!("{:?}", manifest.task) };
        assert_eq!((embed.text.max_tokens, embed.pool.pooling), (64, Pooling::Cls));
    }

    #[test]
    fn a_language_model_needs_no_settings_whatever_form_it_comes_in() {
        let config = r#"{"architectures": ["LlamaForCausalLM"]}"#;
        for (files, artefact) in [
            (vec![("config.json", config), (WEIGHTS, "")], WEIGHTS),
            (vec![("config.json", config), (SHARDS, "{}")], SHARDS),
            (vec![("config.json", r#"{"architectures": ["GPT2LMHeadModel"]}"#), (WEIGHTS, "")], WEIGHTS),
            (vec![("tiny.Q4_0.gguf", "")], "tiny.Q4_0.gguf"),
            (vec![("stories.bin", ""), ("tokenizer.bin", "")], "stories.bin"),
        ] {
            let manifest = Manifest::parse("", &Published::read(folder(&files).path())).unwrap();
            assert_eq!((manifest.task.word(), manifest.artefact.as_str()), ("generate", artefact));
        }
        assert!(!Published::read(folder(&[("a.gguf", ""), ("b.gguf", "")]).path()).says_all(), "which of the two?");
    }

    #[test]
    fn files_that_make_no_sense_say_nothing() {
        let folder = folder(&[("config.json", "["), ("model.safetensors", "")]);
        assert_eq!(Published::read(folder.path()), Published::default());
        let folder = self::folder(&[("config.json", r#"{"architectures": ["BertForQuestionAnswering"]}"#), ("model.safetensors", "")]);
        assert!(!Published::read(folder.path()).says_all());
    }

    fn of_config(config: &str) -> Manifest {
        let folder =
            folder(&[("config.json", config), ("model.safetensors", ""), ("tokenizer_config.json", r#"{"model_max_length": 128}"#)]);
        Manifest::parse("", &Published::read(folder.path())).unwrap()
    }

    #[test]
    fn the_architecture_says_what_a_published_model_is_for() {
        let manifest = of_config(
            r#"{"architectures": ["BertForSequenceClassification"], "problem_type": "multi_label_classification",
                "id2label": {"10": "k", "2": "c", "0": "a"}, "max_position_embeddings": 512}"#,
        );
        let Task::Classify(classify) = &manifest.task else { panic!("{:?}", manifest.task) };
        assert_eq!((classify.labels.join(""), classify.function), ("ack".to_owned(), ScoreFunction::Sigmoid));
        assert_eq!(classify.text.max_tokens, 128, "the tokenizer's limit");
        let one = of_config(r#"{"architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}, "type_vocab_size": 2}"#);
        assert_eq!((one.task.word(), one.inputs.len()), ("rerank", 3));
        let regression = r#"{"architectures": ["BertForSequenceClassification"], "id2label": {"0": "x"}, "problem_type": "regression"}"#;
        let Task::Classify(classify) = of_config(regression).task else { panic!() };
        assert_eq!(classify.function, ScoreFunction::None);
        assert_eq!(of_config(r#"{"architectures": ["BertForTokenClassification"]}"#).task.word(), "token-classify");
        assert_eq!(of_config(r#"{"architectures": ["RobertaForMaskedLM"]}"#).task.word(), "fill");
    }
}
