//! An answer on its way, piece by piece: the step's model writes it, and it goes on as the pipeline's.

use futures_util::{Stream, stream};
use prost::Message as _;
use tonic::Code;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    inference::{InferParameter, ModelInferResponse, ModelStreamInferResponse, infer_parameter::ParameterChoice},
    tally::{self, Kind, parameters},
    usage::Figures,
};
use torchmesh_relay::Messages;
use tracing::Span;

use super::stream::{failure, whole};
use crate::metrics::Counting;

/// How a piece is called on its way out.
pub(super) struct Renamed {
    pub(super) model: String,
    pub(super) version: String,
    pub(super) id: String,
    /// The pipeline's outputs, and what the model calls each of them.
    pub(super) outputs: Vec<(String, String)>,
}

/// See the module.
pub(super) struct Pieces {
    pub(super) messages: Messages,
    /// Counts the step's call when it ends, or when its caller leaves.
    pub(super) counting: Option<Counting>,
    pub(super) span: Span,
    pub(super) renamed: Renamed,
    pub(super) step: String,
    /// What the steps in front have used; the first piece tells it.
    pub(super) before: Figures,
    pub(super) code: Code,
    pub(super) counted: Figures,
}

impl Pieces {
    /// The pieces as they come. Dropping it gives the rest up.
    pub(super) fn into_stream(self) -> impl Stream<Item = ModelStreamInferResponse> + Send {
        stream::unfold(self, |mut pieces| async move {
            let next = pieces.next().await;
            next.map(|next| (next, pieces))
        })
    }

    async fn next(&mut self) -> Option<ModelStreamInferResponse> {
        let Some(next) = self.messages.next().await else {
            self.end();
            return None;
        };
        let piece = next.and_then(|bytes| {
            let counted = tally::count(Kind::Infer, &bytes);
            self.counted.completion_tokens += counted.tokens;
            self.counted.prompt_tokens += counted.prompt_tokens;
            ModelStreamInferResponse::decode(bytes).map_err(|_| ApiError::new(ErrorKind::Internal, "a piece has another form"))
        });
        Some(match piece {
            Ok(ModelStreamInferResponse { infer_response: Some(response), .. }) => whole(self.renamed(response)),
            Ok(told) => self.failed(ApiError::new(ErrorKind::Internal, told.error_message)),
            Err(error) => self.failed(error),
        })
    }

    fn failed(&mut self, mut error: ApiError) -> ModelStreamInferResponse {
        self.code = error.kind.code();
        error.message = format!("step \"{}\": {}", self.step, error.message);
        failure(&error)
    }

    fn end(&mut self) {
        if let Some(counting) = self.counting.take() {
            counting.end(self.code, self.counted);
            if !self.span.is_none() {
                self.span.record("rpc.grpc.status_code", i32::from(self.code));
            }
        }
    }

    fn renamed(&mut self, mut response: ModelInferResponse) -> ModelInferResponse {
        let Renamed { model, version, id, outputs } = &self.renamed;
        let (mut kept, mut raw) = (Vec::with_capacity(outputs.len()), Vec::with_capacity(outputs.len()));
        for (name, of_model) in outputs {
            let Some(at) = response.outputs.iter().position(|output| output.name == *of_model) else { continue };
            let mut output = response.outputs[at].clone();
            output.name.clone_from(name);
            kept.push(output);
            raw.extend(response.raw_output_contents.get(at).cloned());
        }
        (response.outputs, response.raw_output_contents) = (kept, raw);
        (response.model_name, response.model_version, response.id) = (model.clone(), version.clone(), id.clone());
        let before = std::mem::take(&mut self.before);
        tell(&mut response, &before);
        response
    }
}

/// Says by an answer's parameters what has been used for it beside what they say already: on a stream nothing else is heard of it.
pub(super) fn tell(response: &mut ModelInferResponse, used: &Figures) {
    for (name, more) in [(parameters::PROMPT_TOKENS, used.prompt_tokens), (parameters::COMPLETION_TOKENS, used.completion_tokens)] {
        if more > 0 {
            let told = response.parameters.get(name).and_then(|parameter| match parameter.parameter_choice {
                Some(ParameterChoice::Int64Param(told)) => Some(told),
                _ => None,
            });
            let sum = told.unwrap_or(0).saturating_add(i64::try_from(more).unwrap_or(i64::MAX));
            response.parameters.insert(name.to_owned(), InferParameter { parameter_choice: Some(ParameterChoice::Int64Param(sum)) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_added_to_what_an_answer_tells_itself() {
        let mut response = ModelInferResponse::default();
        tell(&mut response, &Figures::default());
        assert!(response.parameters.is_empty(), "nothing was used");
        tell(&mut response, &Figures { prompt_tokens: 3, ..Figures::default() });
        tell(&mut response, &Figures { prompt_tokens: 4, completion_tokens: 5, ..Figures::default() });
        let told = |name| response.parameters[name].parameter_choice.clone();
        assert_eq!(told(parameters::PROMPT_TOKENS), Some(ParameterChoice::Int64Param(7)));
        assert_eq!(told(parameters::COMPLETION_TOKENS), Some(ParameterChoice::Int64Param(5)));
    }
}
