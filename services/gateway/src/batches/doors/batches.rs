//! `/v1/batches`.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, Query, State, rejection::JsonRejection},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    ids::TenantId,
};

use super::{Desk, Refusal, answer, blocking, missing, paged::Page, wrong};
use crate::{
    batches::{
        Batches, ENDPOINTS,
        batch::{Batch, Status},
        draw, now,
        owner::Owner,
    },
    caller::Caller,
};

/// How much a caller may say of a batch: pairs, and characters of a name and of a text.
const METADATA: (usize, usize, usize) = (16, 64, 512);

/// What a batch is asked for with.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    input_file_id: String,
    endpoint: String,
    completion_window: String,
    metadata: Option<BTreeMap<String, String>>,
}

pub(super) async fn create(State(desk): State<Desk>, caller: Caller, wanted: Result<Json<Wanted>, JsonRejection>) -> Response {
    answer(begin(&desk, &caller, wanted).await)
}

async fn begin(desk: &Desk, caller: &Caller, wanted: Result<Json<Wanted>, JsonRejection>) -> Result<Response, Refusal> {
    let (batches, tenant) = desk.of(caller)?;
    let Json(wanted) = wanted
        .map_err(|error| (ApiError::new(ErrorKind::InvalidArgument, format!("the body cannot be read: {}", error.body_text())), None))?;
    check(&wanted)?;
    let owner = caller.principal.as_deref().and_then(Owner::of);
    let owner = owner.ok_or_else(|| {
        let message = "a token whose models are limited twice, by its client and by itself, cannot leave a batch behind; use an API key";
        (ApiError::new(ErrorKind::PermissionDenied, message), None)
    })?;
    let batch = Batch {
        id: format!("batch_{}", draw()),
        endpoint: wanted.endpoint,
        input_file_id: wanted.input_file_id.clone(),
        metadata: wanted.metadata,
        owner,
        status: Status::Validating,
        errors: Vec::new(),
        counts: Default::default(),
        output: format!("file-{}", draw()),
        error: format!("file-{}", draw()),
        created_at: now(),
        in_progress_at: None,
        ended_at: None,
        cancelling_at: None,
    };
    let shown = batch.json(false);
    let (shelf, id) = (batches.0.shelf.clone(), wanted.input_file_id.clone());
    let most = batches.0.settings.max_open;
    let begun = blocking(move || {
        if shelf.file(&tenant, &id)?.is_none() {
            return Ok(Begun::NoFile);
        }
        if shelf.open_batches(&tenant)?.len() >= most {
            return Ok(Begun::TooMany);
        }
        shelf.begin_batch(&tenant, &batch).map(|()| Begun::Yes)
    });
    match begun.await? {
        Begun::Yes => {}
        Begun::NoFile => return Err(missing("file", &wanted.input_file_id, "input_file_id")),
        Begun::TooMany => {
            let message = format!("{most} batches are not over yet, which is the most; wait for one, or cancel one");
            return Err((ApiError::new(ErrorKind::ResourceExhausted, message), None));
        }
    }
    batches.0.news.notify_one();
    Ok(Json(shown).into_response())
}

/// What became of a batch that was asked for.
enum Begun {
    Yes,
    NoFile,
    TooMany,
}

fn check(wanted: &Wanted) -> Result<(), Refusal> {
    if !ENDPOINTS.contains(&wanted.endpoint.as_str()) {
        return Err(wrong(format!("endpoint must be one of {}", ENDPOINTS.join(", ")), "endpoint"));
    }
    if wanted.completion_window != "24h" {
        return Err(wrong("completion_window must be \"24h\"", "completion_window"));
    }
    let (pairs, name, text) = METADATA;
    let fits = |metadata: &BTreeMap<String, String>| {
        metadata.len() <= pairs && metadata.iter().all(|(key, value)| key.chars().count() <= name && value.chars().count() <= text)
    };
    if !wanted.metadata.as_ref().is_none_or(fits) {
        return Err(wrong(format!("metadata may have {pairs} pairs, with names of {name} and texts of {text} characters"), "metadata"));
    }
    Ok(())
}

/// As its tenant sees it.
fn shown(batches: &Batches, tenant: &TenantId, batch: &Batch) -> serde_json::Value {
    batch.json(!batch.status.is_final() && batches.0.shelf.is_called_off(tenant, &batch.id))
}

pub(super) async fn list(State(desk): State<Desk>, caller: Caller, Query(page): Query<Page>) -> Response {
    answer(
        async {
            let (batches, tenant) = desk.of(&caller)?;
            let all = blocking(move || {
                let all = batches.0.shelf.list_batches(&tenant)?;
                Ok(all.iter().map(|batch| shown(&batches, &tenant, batch)).collect())
            });
            page.of(all.await?)
        }
        .await,
    )
}

pub(super) async fn show(State(desk): State<Desk>, caller: Caller, Path(id): Path<String>) -> Response {
    answer(look(&desk, &caller, id, false).await)
}

pub(super) async fn cancel(State(desk): State<Desk>, caller: Caller, Path(id): Path<String>) -> Response {
    answer(look(&desk, &caller, id, true).await)
}

async fn look(desk: &Desk, caller: &Caller, id: String, call_off: bool) -> Result<Response, Refusal> {
    let (batches, tenant) = desk.of(caller)?;
    let name = id.clone();
    let found = blocking(move || {
        let Some(batch) = batches.0.shelf.batch(&tenant, &name)? else { return Ok(None) };
        if call_off && !batch.status.is_final() {
            batches.0.shelf.call_off(&tenant, &name)?;
        }
        Ok(Some((shown(&batches, &tenant, &batch), batch.status.is_final())))
    });
    let (shown, is_over) = found.await?.ok_or_else(|| missing("batch", &id, "batch"))?;
    if call_off && is_over {
        return Err(wrong(format!("{id} is over already: its status is {}", shown["status"]), "batch"));
    }
    Ok(Json(shown).into_response())
}
