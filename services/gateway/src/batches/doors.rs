//! `/v1/files` and `/v1/batches`, as OpenAI's clients speak them.

mod batches;
mod files;
mod paged;

use axum::response::Response;
use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::from_fn,
    routing::{get, post},
};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    ids::TenantId,
};

use super::Batches;
use crate::{body, caller::Caller, openai, rejected};

/// What a form has beside its file: its borders and the other fields.
const FORM: u64 = 64 << 10;

/// What a door is asked with; without batches, every one of them says so.
#[derive(Debug, Clone)]
struct Desk(Option<Batches>);

/// A wrong field, and what to do about it.
type Refusal = (ApiError, Option<&'static str>);

/// The routes.
pub fn routes(batches: Option<Batches>) -> Router {
    let most = batches.as_ref().map_or(FORM, |batches| batches.0.settings.max_file + FORM);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    Router::new()
        .route("/v1/files", get(files::list).post(files::create))
        .route("/v1/files/{file}", get(files::show).delete(files::remove))
        .route("/v1/files/{file}/content", get(files::content))
        .route("/v1/batches", get(batches::list).post(batches::create))
        .route("/v1/batches/{batch}", get(batches::show))
        .route("/v1/batches/{batch}/cancel", post(batches::cancel))
        .layer(DefaultBodyLimit::max(most))
        .with_state(Desk(batches))
        .layer(from_fn(rejected::tell_in_form))
        .layer(from_fn(move |request, next| body::refuse_too_large(most, request, next)))
}

impl Desk {
    /// The batches, and whose are asked for.
    fn of(&self, caller: &Caller) -> Result<(Batches, TenantId), Refusal> {
        let off = "this gateway has no batches; whoever runs it can set batches.folder";
        let batches = self.0.clone().ok_or_else(|| (ApiError::new(ErrorKind::Unimplemented, off), None))?;
        let unknown = || (ApiError::new(ErrorKind::Unauthenticated, "no API key was sent"), None);
        Ok((batches, caller.principal.as_ref().ok_or_else(unknown)?.tenant.clone()))
    }
}

fn answer(result: Result<Response, Refusal>) -> Response {
    result.unwrap_or_else(|(error, param)| openai::render(&error, param))
}

fn wrong(message: impl Into<String>, param: &'static str) -> Refusal {
    (ApiError::new(ErrorKind::InvalidArgument, message), Some(param))
}

fn missing(what: &str, id: &str, param: &'static str) -> Refusal {
    let shown: String = id.chars().take(64).collect();
    (ApiError::new(ErrorKind::NotFound, format!("there is no {what} {shown:?}")), Some(param))
}

/// Work on files, beside the data thread's own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other);
    done.flatten().map_err(|error| (super::failed(&error), None))
}
