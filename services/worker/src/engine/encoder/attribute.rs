//! Integrated gradients: the gradient of a score by the word embeddings, along the way from a text of padding to the text.

use tch::{Kind, Tensor};

use super::{
    Batch, Encoder, NetworkError,
    head::Head,
    network::{Network, Tokens},
    pack::Group,
    weights::Weights,
};
use crate::{
    engine::{Attribution, Readout, tensors},
    manifest::{PoolSettings, Pooling},
    tensor,
};

/// The smallest length a vector is divided by, as for embeddings.
const SMALLEST_NORM: f64 = 1e-12;

/// The network with weights that libtorch can differentiate through, which packed ones are not.
pub(super) struct Plain {
    network: Network,
    head: Head,
}

impl Encoder {
    /// What the steps of `along` add to each token's attribution: `FP32` [1, tokens]. `inputs` are of one row without padding.
    pub(super) fn walk(
        &mut self,
        inputs: &[tensor::Tensor],
        along: &Attribution,
        readout: Readout<'_>,
    ) -> Result<tensor::Tensor, NetworkError> {
        let batch = Batch::read(inputs)?;
        let length = batch.sequence;
        if batch.rows != 1 || !batch.packing.is_whole(batch.ids.len()) || along.baseline.len() != batch.ids.len() || length == 0 {
            return Err(NetworkError::Input("an explanation takes one text without padding, and a baseline of its length".to_owned()));
        }
        let tokens = self.tokens(&batch)?;
        let baseline = batch.packing.pick(&along.baseline, "the baseline", self.config.vocab_size)?;
        let baseline = Tensor::f_from_slice(&baseline)?.f_to(self.device)?;
        let device = self.device;
        let (hidden, narrow) = (self.config.hidden_size, self.config.embedding_size());
        let Plain { network, head } = self.plain()?;

        let rows = i64::try_from(along.steps.len()).unwrap_or(i64::MAX);
        let middle = |step: usize| ((step as f64 + 0.5) / along.of as f64) as f32;
        let at: Vec<f32> = along.steps.clone().map(middle).collect();
        let at = Tensor::f_from_slice(&at)?.f_to(device)?.f_view([rows, 1, 1])?;
        let (begin, way) = tch::no_grad(|| {
            let begin = network.words(&baseline)?;
            let way = network.words(&tokens.ids)?.f_sub(&begin)?;
            Ok::<_, NetworkError>((begin, way))
        })?;
        let words = way.f_unsqueeze(0)?.f_mul(&at)?.f_add(&begin)?.f_view([rows * length, narrow])?;
        let words = words.f_detach()?.f_set_requires_grad(true)?;
        let repeated = |values: &Tensor| values.f_repeat([rows]);
        let tokens = Tokens { ids: tokens.ids, positions: repeated(&tokens.positions)?, types: repeated(&tokens.types)?, texts: None };
        let state = network.forward_words(&words, &tokens, &[Group { rows, length }])?;
        let score = score(head, &state.f_view([rows, length, hidden])?, readout)?;
        let gradients = Tensor::f_run_backward(&[score.f_sum(Kind::Float)?], &[&words], false, false)?;
        let gradient = gradients[0].f_view([rows, length, narrow])?.f_sum_dim_intlist([0_i64].as_slice(), false, Kind::Float)?;
        let added = gradient.f_mul(&way)?.f_sum_dim_intlist([1_i64].as_slice(), false, Kind::Float)?.f_div_scalar(along.of as f64)?;
        tensors::from_torch(&added.f_view([1, length])?).map_err(|error| NetworkError::Input(error.to_string()))
    }

    /// The network to differentiate through: this one, or one that is read when the first explanation is asked for, and then kept.
    fn plain(&mut self) -> Result<&Plain, NetworkError> {
        if self.plain.is_none() {
            let weights = Weights::read(&self.source, self.device)?;
            let family = self.config.family().map_err(NetworkError::Weights)?;
            let network = Network::new(&self.config, family, &weights, false)?;
            let head = Head::new(&self.config, family, &weights, false, self.hidden)?;
            self.plain = Some(Plain { network, head });
        }
        self.plain.as_ref().ok_or_else(|| NetworkError::Input("the weights cannot be read again".to_owned()))
    }
}

/// The explained score of each row; `state` is [rows, tokens, hidden].
fn score(head: &Head, state: &Tensor, readout: Readout<'_>) -> Result<Tensor, NetworkError> {
    let first = || state.f_select(1, 0);
    match readout {
        Readout::Score(label) => {
            let label = i64::try_from(label).unwrap_or(i64::MAX);
            Ok(head.forward(first()?)?.f_select(1, label)?)
        }
        Readout::Pooled { pool: PoolSettings { pooling, normalize }, weight } => {
            let pooled = match pooling {
                Pooling::Mean => state.f_mean_dim([1_i64].as_slice(), false, Kind::Float)?,
                Pooling::Cls | Pooling::None => first()?,
            };
            let pooled = if normalize {
                let norm = pooled.f_norm_scalaropt_dim(2, [1_i64].as_slice(), true)?.f_clamp_min(SMALLEST_NORM)?;
                pooled.f_div(&norm)?
            } else {
                pooled
            };
            Ok(pooled.f_matmul(&Tensor::f_from_slice(weight)?.f_to(state.device())?)?)
        }
    }
}
