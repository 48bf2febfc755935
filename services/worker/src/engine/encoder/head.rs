//! What a task puts on top of the encoder.

use tch::{TchError, Tensor};

use super::{
    NetworkError,
    config::{self, EncoderConfig, Family},
    linear::{Linear, Parts},
    names::{self, Squash},
    network::Norm,
    weights::Weights,
};
use crate::engine::kernels::Activation;

#[derive(Debug)]
pub(super) enum Head {
    /// The hidden state itself, for each token.
    None,
    /// Scores for a text, from its first token.
    Sequence { dense: Linear, squash: Squash, score: Linear },
    /// Scores for each token.
    Token(Linear),
    /// Scores of the vocabulary for each token. The last layer multiplies by the word embeddings, which most checkpoints store once.
    Vocabulary { dense: Linear, norm: Norm, score: Linear },
}

impl Head {
    /// What `config` names; the hidden state where that is `wanted`.
    pub(super) fn new(config: &EncoderConfig, family: Family, weights: &Weights, packs: bool, wanted: bool) -> Result<Self, NetworkError> {
        if wanted {
            return Ok(Self::None);
        }
        let (hidden, labels, narrow) = (config.hidden_size, config.labels(), config.embedding_size());
        let layer = |name: &str, to: i64| -> Result<Linear, NetworkError> {
            Ok(Parts::read(weights, name, hidden, to)?.layer(Activation::None, packs)?)
        };
        Ok(match config.head().map_err(NetworkError::Weights)? {
            config::Head::None => Self::None,
            config::Head::Token => Self::Token(layer("classifier", labels)?),
            config::Head::Vocabulary => {
                let names = names::of_vocabulary_head(family);
                let activation = config.activation().map_err(NetworkError::Weights)?;
                let words = [names.score, names::WORDS];
                let weight = weights.first(&words.map(|name| format!("{name}.weight")), &[config.vocab_size, narrow])?;
                let bias = weights.first(&names.biases.map(str::to_owned), &[config.vocab_size])?;
                Self::Vocabulary {
                    dense: Parts::read(weights, names.dense, hidden, narrow)?.layer(activation, packs)?,
                    norm: Norm::new(config, weights, names.norm, narrow)?,
                    score: Parts::of(weight, bias).layer(Activation::None, packs)?,
                }
            }
            config::Head::Sequence => {
                let (dense, squash, score) = names::of_sequence_head(family);
                Self::Sequence { dense: layer(dense, hidden)?, squash, score: layer(score, labels)? }
            }
        })
    }

    /// Whether the answer has a value for each token, or only one for each row.
    pub(super) fn is_by_token(&self) -> bool {
        !matches!(self, Self::Sequence { .. })
    }

    /// The answer of [tokens, hidden]; for a head by row, of the first tokens alone.
    pub(super) fn forward(&self, hidden: Tensor) -> Result<Tensor, TchError> {
        match self {
            Self::None => Ok(hidden),
            Self::Token(score) => score.forward(&hidden),
            Self::Vocabulary { dense, norm, score } => score.forward(&norm.forward(&dense.forward(&hidden)?)?),
            Self::Sequence { dense, squash, score } => {
                let pooled = dense.forward(&hidden)?;
                score.forward(&match squash {
                    Squash::Tanh => pooled.f_tanh()?,
                    Squash::Relu => pooled.f_relu()?,
                    Squash::Gelu => pooled.f_gelu("none")?,
                })
            }
        }
    }
}
