//! `POST /v1/tasks/{model}`: in goes what the model's task takes, out comes what it gives, in one shape for every task.

pub(crate) mod door;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod input;
mod output;
pub(crate) mod senses;
pub(crate) mod text;

use torchmesh_api::error::{ApiError, ErrorKind};

use crate::{
    caller::Caller,
    catalogue::Described,
    mesh::{Mesh, Spent},
};

pub use door::routes;
pub(crate) use input::{Content, Input};
pub(crate) use output::{Answered, Detection, Label, Output};

/// Asks a model for what its task gives.
///
/// Errors: InvalidArgument, when the content is not what the task takes; Unimplemented, when the task is none that this door has; what the
/// mesh says.
pub(crate) async fn ask(mesh: &Mesh, caller: &Caller, described: &Described, input: Input) -> Result<(Answered, Spent), ApiError> {
    match described.task.as_str() {
        "embed" | "classify" | "token-classify" | "fill" | "rerank" => text::ask(mesh, caller, described, input).await,
        "classify-image" => senses::classify(mesh, caller, described, input).await,
        "detect-objects" => senses::detect(mesh, caller, described, input).await,
        "detect-voice" => senses::voice(mesh, caller, described, input).await,
        "generate" => Err(unfit(described, "messages: send them to /v1/chat/completions, or a prompt to /v1/completions")),
        "tensor" => Err(unfit(described, "tensors: send them to /v2/models/{model}/infer")),
        _ => Err(unfit(described, "what this path does not carry: call it over gRPC")),
    }
}

/// What a caller is told who sends a model what its task does not take.
fn unfit(described: &Described, takes: &str) -> ApiError {
    let Described { model, task, .. } = described;
    ApiError::new(ErrorKind::Unimplemented, format!("model {model:?} has the task {task:?} and takes {takes}").replace("{model}", model))
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorKind::InvalidArgument, message)
}
