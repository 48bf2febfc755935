//! The part of a Hugging Face `config.json` that shapes the network.

use std::path::Path;

use serde::Deserialize;

use super::ExportError;

/// The shape of a BERT encoder. Field names are the file's.
#[derive(Debug, Deserialize)]
pub(super) struct BertConfig {
    model_type: String,
    hidden_act: String,
    #[serde(default = "absolute")]
    position_embedding_type: String,
    pub(super) hidden_size: i64,
    pub(super) intermediate_size: i64,
    pub(super) layer_norm_eps: f64,
    pub(super) max_position_embeddings: i64,
    pub(super) num_attention_heads: i64,
    pub(super) num_hidden_layers: usize,
    pub(super) type_vocab_size: i64,
    pub(super) vocab_size: i64,
}

fn absolute() -> String {
    "absolute".to_owned()
}

impl BertConfig {
    /// Reads the file and refuses networks that would be built wrong.
    pub(super) fn read(path: &Path) -> Result<Self, ExportError> {
        let text = std::fs::read_to_string(path).map_err(|source| ExportError::File { path: path.to_owned(), source })?;
        let problem = |problem: String| ExportError::Config { path: path.to_owned(), problem };
        let config: Self = serde_json::from_str(&text).map_err(|error| problem(error.to_string()))?;
        config.check().map_err(problem)?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let fixed = [("model_type", &self.model_type, "bert"), ("position_embedding_type", &self.position_embedding_type, "absolute")];
        for (field, found, supported) in fixed {
            if found != supported {
                return Err(format!("{field} is \"{found}\"; only \"{supported}\" can be exported"));
            }
        }
        self.activation()?;
        if self.num_attention_heads < 1 || self.hidden_size < 1 || self.hidden_size % self.num_attention_heads != 0 {
            return Err(format!("hidden_size {} is not a multiple of num_attention_heads {}", self.hidden_size, self.num_attention_heads));
        }
        Ok(())
    }

    /// What libtorch's GELU calls the activation.
    pub(super) fn activation(&self) -> Result<&'static str, String> {
        match self.hidden_act.as_str() {
            "gelu" => Ok("none"),
            "gelu_new" | "gelu_pytorch_tanh" => Ok("tanh"),
            other => Err(format!("hidden_act is \"{other}\"; use gelu, gelu_new or gelu_pytorch_tanh")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(change: impl Fn(&mut serde_json::Value)) -> Result<BertConfig, ExportError> {
        let folder = tempfile::tempdir().unwrap();
        let mut config = serde_json::json!({
            "model_type": "bert", "hidden_act": "gelu", "hidden_size": 384, "intermediate_size": 1536, "layer_norm_eps": 1e-12,
            "max_position_embeddings": 512, "num_attention_heads": 12, "num_hidden_layers": 6, "type_vocab_size": 2, "vocab_size": 30522
        });
        change(&mut config);
        let path = folder.path().join("config.json");
        std::fs::write(&path, config.to_string()).unwrap();
        BertConfig::read(&path)
    }

    #[test]
    fn a_network_that_would_be_built_wrong_is_refused_by_the_name_of_the_field() {
        assert!(read(|_| ()).is_ok());
        for (field, value) in [
            ("model_type", "roberta".into()),
            ("hidden_act", "relu".into()),
            ("position_embedding_type", "relative_key".into()),
            ("num_attention_heads", 7.into()),
            ("num_attention_heads", 0.into()),
            ("hidden_size", serde_json::Value::Null),
        ] {
            let error = read(|config| config[field] = serde_json::Value::clone(&value)).unwrap_err().to_string();
            assert!(error.contains(field) || value.is_null(), "{field}: {error}");
        }
    }
}
