//! `POST /v2/models/{model}/infer`.

use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::Response,
};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    ids::ModelName,
    inference::ModelInferResponse,
};
use torchmesh_layers::call::ServedModel;

use super::{Named, assemble, render, request, response};
use crate::{
    aside,
    body::{self, Segments},
    caller::Caller,
    mesh::{self, Mesh},
};

const PATH: &str = "/inference.GRPCInferenceService/ModelInfer";
/// How long the JSON part of a body is, where binary tensors follow it.
const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

pub(super) async fn answer(
    State(mesh): State<Mesh>,
    caller: Caller,
    Path(named): Path<Named>,
    max_body: usize,
    request: Request,
) -> Response {
    infer(&mesh, &caller, named, max_body, request).await.unwrap_or_else(|error| render(&error))
}

async fn infer(mesh: &Mesh, caller: &Caller, named: Named, max_body: usize, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let json_length = json_length(&parts.headers)?;
    let (json, binary) = split(body::read(body, max_body).await?, json_length)?;
    let json = json.into_bytes();
    let read = aside::run(json.len(), move || request::read(&json, binary)).await?;
    let mut asked = read.map_err(|reason| ApiError::new(ErrorKind::InvalidArgument, reason))?;
    (asked.message.model_name, asked.message.model_version) = (named.model, named.version);
    let framed = assemble::frame(&asked.message, asked.tensors)?;
    let answered: ModelInferResponse = mesh::decode(mesh.send(caller, PATH, framed).await?.message)?;
    let served = ModelName::parse(&answered.model_name).ok();
    let size = answered.raw_output_contents.iter().map(bytes::Bytes::len).sum();
    let written = aside::run(size, move || response::write(answered, &asked.plan)).await??;
    let mut response = Response::new(Body::new(written.body));
    if let Some(model) = served {
        response.extensions_mut().insert(ServedModel(model));
    }
    let kind = if written.json_length.is_some() { "application/octet-stream" } else { "application/json" };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(length) = written.json_length {
        response.headers_mut().insert(JSON_LENGTH, HeaderValue::from(length));
    }
    Ok(response)
}

/// How long the JSON part is; `None` when it is the whole body.
fn json_length(headers: &HeaderMap) -> Result<Option<usize>, ApiError> {
    let wrong = |message: &str| Err(ApiError::new(ErrorKind::InvalidArgument, message));
    if headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return wrong("content-encoding: a compressed body is not taken; send it as it is");
    }
    let Some(told) = headers.get(JSON_LENGTH) else { return Ok(None) };
    match told.to_str().ok().and_then(|told| told.parse().ok()) {
        Some(0) => wrong("Inference-Header-Content-Length is 0, and a body without a JSON part is not taken; name the inputs in JSON"),
        None => wrong("Inference-Header-Content-Length must be a whole number: how many bytes of the body are JSON"),
        length => Ok(length),
    }
}

/// The JSON part, and the binary part.
fn split(mut body: Segments, json_length: Option<usize>) -> Result<(Segments, Segments), ApiError> {
    let Some(length) = json_length else { return Ok((body, Segments::default())) };
    let have = body.len();
    let Some(json) = body.take(length) else {
        let message = format!("Inference-Header-Content-Length is {length}, and the body has {have} bytes; send all of it");
        return Err(ApiError::new(ErrorKind::InvalidArgument, message));
    };
    Ok((json, body))
}
