//! `/v1/files`.

use std::{io, path::PathBuf};

use axum::{
    Json,
    body::Body,
    extract::{
        Multipart, Path, Query, State,
        multipart::{Field, MultipartError, MultipartRejection},
    },
    response::{IntoResponse as _, Response},
};
use bytes::BytesMut;
use futures_util::StreamExt as _;
use http::{HeaderValue, header};
use serde_json::json;
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncWriteExt as _},
};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    ids::TenantId,
};

use super::{Desk, Refusal, answer, blocking, missing, paged::Page, wrong};
use crate::{
    batches::{Batches, contents::Pieces, draw, failed, file::FileRecord, now, shelf::Shelf},
    caller::Caller,
};

/// The longest name that is kept of a file, in characters.
const LONGEST_NAME: usize = 200;
/// A file is sent in pieces of this size.
const PIECE: usize = 64 << 10;

pub(super) async fn create(State(desk): State<Desk>, caller: Caller, form: Result<Multipart, MultipartRejection>) -> Response {
    answer(keep(&desk, &caller, form).await)
}

async fn keep(desk: &Desk, caller: &Caller, form: Result<Multipart, MultipartRejection>) -> Result<Response, Refusal> {
    let (batches, tenant) = desk.of(caller)?;
    let mut form = form.map_err(|_| wrong("the body must be a form (multipart/form-data) with the fields purpose and file", "file"))?;
    let (shelf, owner, most) = (batches.0.shelf.clone(), tenant.clone(), batches.0.settings.max_files);
    if blocking(move || shelf.list_files(&owner)).await?.len() >= most {
        let message = format!("there are {most} files already, which is the most; delete some");
        return Err((ApiError::new(ErrorKind::ResourceExhausted, message), None));
    }
    let (mut purpose, mut kept) = (None, None);
    while let Some(field) = form.next_field().await.map_err(broken)? {
        match field.name() {
            Some("purpose") => purpose = Some(word(field).await?),
            Some("file") if kept.is_none() => kept = Some(Draft::take(&batches, &tenant, field).await?),
            _ => {}
        }
    }
    match purpose.as_deref() {
        Some("batch") => {}
        Some(_) => return Err(wrong("purpose must be \"batch\"", "purpose")),
        None => return Err(wrong("purpose is missing; send \"batch\"", "purpose")),
    }
    let record = kept.ok_or_else(|| wrong("file is missing", "file"))?.publish(&batches, &tenant).await?;
    Ok(Json(record.json()).into_response())
}

/// A short field; what is longer is cut.
async fn word(mut field: Field<'_>) -> Result<String, Refusal> {
    let mut word = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(broken)? {
        word.extend_from_slice(&piece[..piece.len().min(64 - word.len().min(64))]);
    }
    Ok(String::from_utf8_lossy(&word).into_owned())
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn broken(error: MultipartError) -> Refusal {
    let kind = if error.status() == http::StatusCode::PAYLOAD_TOO_LARGE { ErrorKind::TooLarge } else { ErrorKind::InvalidArgument };
    (ApiError::new(kind, format!("the form cannot be read: {}", error.body_text())), Some("file"))
}

/// A file that is coming; it is gone if it does not become one.
struct Draft {
    record: FileRecord,
    path: PathBuf,
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Once it is a file there is nothing here, or only what the object store has a copy of.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Draft {
    async fn take(batches: &Batches, tenant: &TenantId, mut field: Field<'_>) -> Result<Self, Refusal> {
        let filename = field.file_name().unwrap_or("file").chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
        let id = format!("file-{}", draw());
        let unusable = |error: io::Error| (failed(&error), None);
        let path = batches.0.shelf.draft(tenant, &id).map_err(unusable)?;
        let record = FileRecord { id, bytes: 0, created_at: now(), filename, purpose: "batch".to_owned(), stored: false };
        let mut draft = Self { record, path };
        let mut file = File::create(&draft.path).await.map_err(unusable)?;
        let most = batches.0.settings.max_file;
        while let Some(piece) = field.chunk().await.map_err(broken)? {
            draft.record.bytes += piece.len() as u64;
            if draft.record.bytes > most {
                let message = format!("the file has more than {most} bytes, which is the most; send it in parts");
                return Err((ApiError::new(ErrorKind::TooLarge, message), Some("file")));
            }
            file.write_all(&piece).await.map_err(unusable)?;
        }
        file.flush().await.map_err(unusable)?;
        file.sync_all().await.map_err(unusable)?;
        Ok(draft)
    }

    async fn publish(self, batches: &Batches, tenant: &TenantId) -> Result<FileRecord, Refusal> {
        let (shelf, tenant) = (batches.0.shelf.clone(), tenant.clone());
        blocking(move || shelf.publish(&tenant, self.record.clone())).await
    }
}

pub(super) async fn list(State(desk): State<Desk>, caller: Caller, Query(page): Query<Page>) -> Response {
    answer(
        async {
            let (batches, tenant) = desk.of(&caller)?;
            let all = blocking(move || batches.0.shelf.list_files(&tenant)).await?;
            let wanted = all.iter().filter(|file| page.purpose.as_ref().is_none_or(|purpose| *purpose == file.purpose));
            page.of(wanted.map(FileRecord::json).collect())
        }
        .await,
    )
}

async fn find(desk: &Desk, caller: &Caller, id: &str) -> Result<(Batches, TenantId, FileRecord), Refusal> {
    let (batches, tenant) = desk.of(caller)?;
    let (shelf, owner, name) = (batches.0.shelf.clone(), tenant.clone(), id.to_owned());
    let record = blocking(move || shelf.file(&owner, &name)).await?;
    record.map(|record| (batches, tenant, record)).ok_or_else(|| missing("file", id, "file"))
}

pub(super) async fn show(State(desk): State<Desk>, caller: Caller, Path(id): Path<String>) -> Response {
    answer(find(&desk, &caller, &id).await.map(|(_, _, record)| Json(record.json()).into_response()))
}

pub(super) async fn remove(State(desk): State<Desk>, caller: Caller, Path(id): Path<String>) -> Response {
    answer(take_away(&desk, &caller, &id).await)
}

async fn take_away(desk: &Desk, caller: &Caller, id: &str) -> Result<Response, Refusal> {
    let (batches, tenant, record) = find(desk, caller, id).await?;
    let (shelf, file) = (batches.0.shelf.clone(), record.clone());
    let reads = blocking(move || {
        let reads = shelf.list_batches(&tenant)?.into_iter().find(|batch| !batch.status.is_final() && batch.input_file_id == file.id);
        if reads.is_none() {
            shelf.remove_file(&tenant, &file)?;
        }
        Ok(reads)
    })
    .await?;
    if let Some(batch) = reads {
        return Err(wrong(format!("{} still reads the file; cancel it first", batch.id), "file"));
    }
    Ok(Json(json!({ "id": record.id, "object": "file", "deleted": true })).into_response())
}

pub(super) async fn content(State(desk): State<Desk>, caller: Caller, Path(id): Path<String>) -> Response {
    answer(send(&desk, &caller, &id).await)
}

async fn send(desk: &Desk, caller: &Caller, id: &str) -> Result<Response, Refusal> {
    let (batches, tenant, record) = find(desk, caller, id).await?;
    let pieces = pieces(&batches.0.shelf, &tenant, &record).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => missing("file", id, "file"),
        _ => (failed(&error), None),
    })?;
    let mut response = Body::from_stream(pieces).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(record.bytes));
    Ok(response)
}

/// A file's bytes, from wherever they are.
async fn pieces(shelf: &Shelf, tenant: &TenantId, record: &FileRecord) -> io::Result<Pieces> {
    if let Some(contents) = shelf.store(record)? {
        return contents.read(tenant, &record.id).await;
    }
    let file = File::open(shelf.content(tenant, &record.id)).await?;
    let pieces = futures_util::stream::try_unfold(file, async |mut file| {
        let mut piece = BytesMut::with_capacity(PIECE);
        let length = file.read_buf(&mut piece).await?;
        Ok::<_, io::Error>((length > 0).then(|| (piece.freeze(), file)))
    });
    Ok(pieces.boxed())
}
