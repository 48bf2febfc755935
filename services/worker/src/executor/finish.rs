//! What is made of an engine's outputs before they leave the executor.

use std::{path::Path, sync::Arc};

use crate::{
    engine::Readout,
    manifest::{PoolSettings, Task},
    tensor::Tensor,
    text::{LinearHead, pooling},
};

/// The last step of a forward.
#[derive(Clone, Debug, Default)]
pub enum Finish {
    /// Nothing: the outputs are the answer.
    #[default]
    AsReturned,
    /// The first output is the answer; what follows (hidden states, attentions) is not used.
    First,
    /// Token vectors become one.
    Pool(PoolSettings),
    /// Token vectors become one, and that the logits of a linear head.
    Head(PoolSettings, Arc<LinearHead>),
}

impl Finish {
    /// What the task asks for; a head is read from the version's `folder`. The error is for the repository index.
    pub fn of(task: &Task, folder: &Path) -> Result<Self, String> {
        Ok(match task {
            Task::Tensor | Task::DetectObjects(_) | Task::DetectVoice(_) | Task::Generate(_) => Self::AsReturned,
            Task::Embed(embed) => Self::Pool(embed.pool),
            Task::Classify(classify) => match &classify.head {
                Some(head) => Self::Head(head.pool, Arc::new(LinearHead::load(&folder.join(&head.file))?)),
                None => Self::First,
            },
            Task::TokenClassify(_) | Task::Fill(_) | Task::Rerank(_) | Task::ClassifyImage(_) => Self::First,
        })
    }

    /// Whether the engine's own head, if it has one, is left out.
    pub fn wants_hidden(&self) -> bool {
        matches!(self, Self::Pool(_) | Self::Head(..))
    }

    /// How the score `label` comes from what the network answers; `None` when there is no such score.
    pub(super) fn readout(&self, label: usize) -> Option<Readout<'_>> {
        match self {
            Self::Head(pool, head) => Some(Readout::Pooled { pool: *pool, weight: head.weight.get(label)? }),
            _ => Some(Readout::Score(label)),
        }
    }

    /// The answer; `mask` is the attention mask that the engine was given. The error says what the engine returned that does not fit.
    pub(super) fn apply(&self, mut outputs: Vec<Tensor>, mask: Option<&Tensor>) -> Result<Vec<Tensor>, String> {
        if matches!(self, Self::AsReturned) {
            return Ok(outputs);
        }
        if outputs.is_empty() {
            return Err("the model returned nothing".to_owned());
        }
        outputs.truncate(1);
        let (Self::Pool(pool) | Self::Head(pool, _), Some(mask)) = (self, mask) else { return Ok(outputs) };
        let pooled = pooling::pool(&outputs[0], mask, pool.pooling, pool.normalize)?;
        outputs[0] = if let Self::Head(_, head) = self { head.forward(&pooled)? } else { pooled };
        Ok(outputs)
    }
}
