//! The part of a Hugging Face `config.json` that shapes the network.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::NetworkError;
use crate::engine::kernels::Activation;

/// How a family of encoders names its weights and counts its positions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Family {
    /// BERT.
    Bert,
    /// RoBERTa, XLM-RoBERTa and CamemBERT: BERT whose positions begin behind the padding token's.
    Roberta,
    /// DistilBERT: BERT without token types and with other names.
    DistilBert,
    /// MPNet: RoBERTa without token types, whose tokens attend to each other by their distance too.
    MpNet,
    /// ELECTRA: BERT whose embeddings may be narrower than what its layers work on.
    Electra,
    /// ALBERT: as ELECTRA, and all layers have the same weights.
    Albert,
}

/// What stands on top of the encoder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Head {
    /// Nothing: the last hidden state is the answer.
    None,
    /// One score for each label, for the whole text.
    Sequence,
    /// One score for each label, for each token.
    Token,
    /// One score for each word of the vocabulary, for each token.
    Vocabulary,
}

/// The shape of an encoder. Field names are the file's; the second name is DistilBERT's.
#[derive(Debug, Deserialize)]
pub(crate) struct EncoderConfig {
    model_type: String,
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(alias = "activation")]
    hidden_act: String,
    #[serde(default = "absolute")]
    position_embedding_type: String,
    #[serde(alias = "dim")]
    pub(crate) hidden_size: i64,
    #[serde(alias = "hidden_dim")]
    pub(crate) intermediate_size: i64,
    #[serde(default = "smallest")]
    pub(crate) layer_norm_eps: f64,
    pub(crate) max_position_embeddings: i64,
    #[serde(alias = "n_heads")]
    pub(crate) num_attention_heads: i64,
    #[serde(alias = "n_layers")]
    pub(crate) num_hidden_layers: usize,
    #[serde(default)]
    pub(crate) type_vocab_size: i64,
    #[serde(default)]
    embedding_size: Option<i64>,
    #[serde(default = "one")]
    num_hidden_groups: usize,
    #[serde(default = "one")]
    inner_group_num: usize,
    #[serde(default = "buckets")]
    pub(crate) relative_attention_num_buckets: i64,
    pub(crate) vocab_size: i64,
    #[serde(default)]
    pub(crate) pad_token_id: i64,
    #[serde(default)]
    id2label: BTreeMap<String, String>,
}

fn absolute() -> String {
    "absolute".to_owned()
}

fn smallest() -> f64 {
    1e-12
}

fn one() -> usize {
    1
}

fn buckets() -> i64 {
    32
}

impl EncoderConfig {
    /// Reads the file and refuses networks that would be built wrong.
    pub(crate) fn read(path: &Path) -> Result<Self, NetworkError> {
        let text = std::fs::read_to_string(path).map_err(|source| NetworkError::File { path: path.to_owned(), source })?;
        let problem = |problem: String| NetworkError::Config { path: path.to_owned(), problem };
        let config: Self = serde_json::from_str(&text).map_err(|error| problem(error.to_string()))?;
        config.check().map_err(problem)?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        self.family()?;
        self.head()?;
        self.activation()?;
        if self.position_embedding_type != "absolute" {
            return Err(format!("position_embedding_type is \"{}\"; only \"absolute\" is built", self.position_embedding_type));
        }
        if self.family()? == Family::Albert && (self.num_hidden_groups, self.inner_group_num) != (1, 1) {
            return Err("num_hidden_groups and inner_group_num must be 1; layers of several kinds are not built".to_owned());
        }
        let positive = [
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("num_attention_heads", self.num_attention_heads),
            ("vocab_size", self.vocab_size),
            ("embedding_size", self.embedding_size()),
            ("relative_attention_num_buckets", self.relative_attention_num_buckets),
        ];
        if let Some((field, value)) = positive.iter().find(|(_, value)| !(1..=1 << 24).contains(value)) {
            return Err(format!("{field} is {value}; it must be from 1 to {}", 1 << 24));
        }
        if !(0..self.max_position_embeddings).contains(&self.first_position()) {
            let (first, all) = (self.first_position(), self.max_position_embeddings);
            return Err(format!("pad_token_id makes {first} the first of {all} positions; it must leave room for a text"));
        }
        if self.num_hidden_layers > 1024 {
            return Err(format!("num_hidden_layers is {}; at most 1024 are built", self.num_hidden_layers));
        }
        if self.hidden_size % self.num_attention_heads != 0 {
            return Err(format!("hidden_size {} is not a multiple of num_attention_heads {}", self.hidden_size, self.num_attention_heads));
        }
        Ok(())
    }

    pub(crate) fn family(&self) -> Result<Family, String> {
        match self.model_type.as_str() {
            "bert" => Ok(Family::Bert),
            "roberta" | "xlm-roberta" | "camembert" => Ok(Family::Roberta),
            "distilbert" => Ok(Family::DistilBert),
            "mpnet" => Ok(Family::MpNet),
            "electra" => Ok(Family::Electra),
            "albert" => Ok(Family::Albert),
            other => {
                let known = "bert, roberta, xlm-roberta, camembert, distilbert, mpnet, electra or albert";
                Err(format!("model_type is \"{other}\"; use {known}, or export the model to TorchScript"))
            }
        }
    }

    /// What the first of `architectures` puts on top.
    pub(crate) fn head(&self) -> Result<Head, String> {
        let Some(architecture) = self.architectures.first() else { return Ok(Head::None) };
        match architecture.split_once("For").map(|(_, head)| head) {
            None => Ok(Head::None),
            Some("MaskedLM") => Ok(Head::Vocabulary),
            Some("SequenceClassification") => Ok(Head::Sequence),
            Some("TokenClassification") => Ok(Head::Token),
            Some(_) => {
                let known = "an encoder, …ForSequenceClassification, …ForTokenClassification or …ForMaskedLM";
                Err(format!("architectures names {architecture}; use {known}"))
            }
        }
    }

    pub(crate) fn activation(&self) -> Result<Activation, String> {
        match self.hidden_act.as_str() {
            "gelu" => Ok(Activation::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
            other => Err(format!("hidden_act is \"{other}\"; use gelu, gelu_new or gelu_pytorch_tanh")),
        }
    }

    /// Labels of the head; two where the file names none, as transformers has it.
    pub(crate) fn labels(&self) -> i64 {
        if self.id2label.is_empty() { 2 } else { i64::try_from(self.id2label.len()).unwrap_or(i64::MAX) }
    }

    /// How wide the embeddings are.
    pub(crate) fn embedding_size(&self) -> i64 {
        let narrow = matches!(self.family(), Ok(Family::Electra | Family::Albert));
        self.embedding_size.filter(|_| narrow).unwrap_or(self.hidden_size)
    }

    /// Whether embeddings go through a layer that makes them as wide as the others are.
    pub(crate) fn projects(&self) -> bool {
        self.family() == Ok(Family::Albert) || self.embedding_size() != self.hidden_size
    }

    /// How many layers have weights of their own; all are gone through in turn until there were `num_hidden_layers`.
    pub(crate) fn own_layers(&self) -> usize {
        if self.family() == Ok(Family::Albert) { self.num_hidden_layers.min(1) } else { self.num_hidden_layers }
    }

    /// Whether there are embeddings that tell the texts of a pair apart.
    pub(crate) fn has_types(&self) -> bool {
        self.type_vocab_size > 0 && !matches!(self.family(), Ok(Family::DistilBert | Family::MpNet))
    }

    /// What the first token's position is.
    pub(crate) fn first_position(&self) -> i64 {
        if matches!(self.family(), Ok(Family::Roberta | Family::MpNet)) { self.pad_token_id.saturating_add(1) } else { 0 }
    }

    /// The longest text, in tokens.
    pub(crate) fn longest(&self) -> i64 {
        self.max_position_embeddings - self.first_position()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(in super::super) fn minilm() -> Value {
        json!({
            "model_type": "bert", "hidden_act": "gelu", "hidden_size": 384, "intermediate_size": 1536, "layer_norm_eps": 1e-12,
            "max_position_embeddings": 512, "num_attention_heads": 12, "num_hidden_layers": 6, "type_vocab_size": 2, "vocab_size": 30522
        })
    }

    fn read(change: impl Fn(&mut Value)) -> Result<EncoderConfig, NetworkError> {
        let folder = tempfile::tempdir().unwrap();
        let mut config = minilm();
        change(&mut config);
        let path = folder.path().join("config.json");
        std::fs::write(&path, config.to_string()).unwrap();
        EncoderConfig::read(&path)
    }

    #[test]
    fn a_network_that_would_be_built_wrong_is_refused_by_the_name_of_the_field() {
        assert!(read(|_| ()).is_ok());
        for (field, value) in [
            ("model_type", json!("t5")),
            ("hidden_act", json!("relu")),
            ("architectures", json!(["BertForQuestionAnswering"])),
            ("position_embedding_type", json!("relative_key")),
            ("num_attention_heads", json!(7)),
            ("num_attention_heads", json!(0)),
            ("num_hidden_layers", json!(1025)),
            ("vocab_size", json!(-1)),
            ("hidden_size", Value::Null),
        ] {
            let error = read(|config| config[field] = Value::clone(&value)).unwrap_err().to_string();
            assert!(error.contains(field) || value.is_null(), "{field}: {error}");
        }
    }

    #[test]
    fn the_architecture_says_which_head_there_is() {
        let head = |name: &str| read(|config| config["architectures"] = json!([name])).unwrap().head();
        assert_eq!(head("BertModel"), Ok(Head::None));
        assert_eq!(head("RobertaForMaskedLM"), Ok(Head::Vocabulary));
        assert_eq!(head("BertForSequenceClassification"), Ok(Head::Sequence));
        assert_eq!(head("DistilBertForTokenClassification"), Ok(Head::Token));
    }

    #[test]
    fn positions_of_roberta_begin_behind_the_padding() {
        let config = read(|config| {
            config["model_type"] = json!("xlm-roberta");
            config["pad_token_id"] = json!(1);
            config["max_position_embeddings"] = json!(514);
        });
        let config = config.unwrap();
        assert_eq!((config.first_position(), config.longest()), (2, 512));
        for padding in [i64::MAX, 513, -2] {
            let refused = read(|config| {
                config["model_type"] = json!("roberta");
                config["pad_token_id"] = json!(padding);
            });
            assert!(refused.unwrap_err().to_string().contains("pad_token_id"), "{padding}");
        }
    }
}
