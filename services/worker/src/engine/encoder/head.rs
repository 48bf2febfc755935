//! What a task puts on top of the encoder.

use tch::{TchError, Tensor};

use super::{
    NetworkError,
    config::{self, EncoderConfig, Family},
    linear::{Linear, Parts},
    names,
    weights::Weights,
};
use crate::engine::kernels::Activation;

#[derive(Debug)]
pub(super) enum Head {
    /// The hidden state itself, for each token.
    None,
    /// Scores for a text, from its first token.
    Sequence { dense: Linear, tanh: bool, score: Linear },
    /// Scores for each token.
    Token(Linear),
}

impl Head {
    pub(super) fn new(config: &EncoderConfig, family: Family, weights: &Weights, packs: bool) -> Result<Self, NetworkError> {
        let (hidden, labels) = (config.hidden_size, config.labels());
        let layer = |name: &str, to: i64| -> Result<Linear, NetworkError> {
            Ok(Parts::read(weights, name, hidden, to)?.layer(Activation::None, packs)?)
        };
        Ok(match config.head().map_err(NetworkError::Weights)? {
            config::Head::None => Self::None,
            config::Head::Token => Self::Token(layer("classifier", labels)?),
            config::Head::Sequence => {
                let (dense, tanh, score) = names::of_sequence_head(family);
                Self::Sequence { dense: layer(dense, hidden)?, tanh, score: layer(score, labels)? }
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
            Self::Sequence { dense, tanh, score } => {
                let pooled = dense.forward(&hidden)?;
                score.forward(&if *tanh { pooled.f_tanh()? } else { pooled.f_relu()? })
            }
        }
    }
}
