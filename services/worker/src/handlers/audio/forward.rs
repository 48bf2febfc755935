//! The model's way through a stream of windows: each forward takes the state that the one before it left.

use bytes::Bytes;
use torchmesh_api::error::{ApiError, ErrorKind};

use super::{CallInfo, Spending};
use crate::{
    admission::{Answered, Part},
    audio::{VoiceSettings, Windows},
    models::Serving,
    tensor::{Datatype, Tensor},
};

/// A stream as the model knows it. It is the caller's alone and goes with the call.
pub(super) struct Listener<'a> {
    serving: &'a Serving,
    settings: &'a VoiceSettings,
    info: &'a CallInfo,
    spending: &'a Spending,
    state: Tensor,
}

impl<'a> Listener<'a> {
    /// A stream of which the model has heard nothing.
    pub(super) fn new(serving: &'a Serving, settings: &'a VoiceSettings, info: &'a CallInfo, spending: &'a Spending) -> Self {
        let elements: i64 = settings.state.iter().product();
        let shape: Vec<i64> = [1].into_iter().chain(settings.state.iter().copied()).collect();
        let zeros = vec![0; usize::try_from(elements).unwrap_or(0) * 4];
        Self { serving, settings, info, spending, state: Tensor { datatype: Datatype::Fp32, shape, data: Bytes::from(zeros) } }
    }

    /// The probabilities of the next windows, at most a block of them; empty when no window is whole.
    ///
    /// Windows of other streams that wait in the same number run in the same forward.
    pub(super) async fn hear(&mut self, windows: &mut Windows) -> Result<Vec<f32>, ApiError> {
        let count = windows.ready().min(self.settings.block);
        if count == 0 {
            return Ok(Vec::new());
        }
        let [steps, width] = [count, self.settings.width()].map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        let audio = Tensor { datatype: Datatype::Fp32, shape: vec![1, steps, width], data: windows.take(count) };
        let part = Part { rows: 1, length: 1, shape: Box::new([steps]), inputs: vec![audio, self.state.clone()], attribution: None };
        let submission = self.info.clone().submission(vec![part]);
        let answered = self.serving.queue.push(submission)?.await?;
        self.spending.add(answered.spent);
        self.take(answered.answered, count)
    }

    fn take(&mut self, answered: Vec<Answered>, count: usize) -> Result<Vec<f32>, ApiError> {
        let broken = |reason: &str| ApiError::new(ErrorKind::Internal, format!("the model's answer cannot be read: {reason}"));
        let outputs = answered.into_iter().next().map(|answered| answered.outputs).unwrap_or_default();
        let [probabilities, state] = <[Tensor; 2]>::try_from(outputs).map_err(|_| broken("it is not two tensors"))?;
        let probabilities = probabilities.to_f32s().unwrap_or_default();
        if probabilities.len() != count || state.shape != self.state.shape {
            return Err(broken("it has not a probability for each window and a state"));
        }
        if probabilities.iter().any(|probability| !probability.is_finite()) {
            return Err(broken("a probability is not a number"));
        }
        self.state = state;
        Ok(probabilities)
    }
}
