//! What the gateway's doors take and give, written down once: as a document of OpenAPI 3.1 at `/openapi.json`, as a page at `/docs`, and what errors
//! mean at `/docs/errors`.
//!
//! The doors read their bodies in several ways, and most of them by hand, so no derive sees them all. They are described here in code, with the limits
//! that the doors themselves have, and [`drift`] compares what is written with what the router answers and what the readers take.

mod about;
mod batches;
mod document;
#[cfg(test)]
mod drift;
mod errors;
mod oauth;
mod oip;
mod openai;
mod operation;
mod page;
mod schema;
#[cfg(test)]
mod spy;
mod tasks;
mod tei;
mod torchserve;

use std::sync::Arc;

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Uri, header};

use page::Pages;

/// The document and its pages, written once for all threads.
#[derive(Debug, Clone)]
pub struct Written(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    document: Bytes,
    pages: Pages,
}

impl Written {
    /// Those of a gateway that takes bodies of up to `max_body` bytes, is itself spoken to in this scheme, and gives tokens (`oauth`) or not.
    pub fn new(max_body: usize, scheme: &'static str, oauth: bool) -> Self {
        let document = document::write(max_body, oauth);
        let pages = Pages::of(&document, scheme);
        Self(Arc::new(Parts { document: document.to_string().into(), pages }))
    }
}

/// The routes.
pub fn routes(written: &Written) -> Router {
    let (document, docs, errors) = (Arc::clone(&written.0), Arc::clone(&written.0), Arc::clone(&written.0));
    let document = get(move || async move { told("application/json", document.document.clone()) });
    let docs = get(move |uri: Uri, headers: HeaderMap| async move { docs.pages.docs(&uri, &headers) });
    let errors = get(move || async move { errors.pages.errors() });
    Router::new().route("/openapi.json", document).route("/docs", docs).route("/docs/errors", errors)
}

fn told(kind: &'static str, body: Bytes) -> Response {
    let headers = [(header::CONTENT_TYPE, kind), (header::X_CONTENT_TYPE_OPTIONS, "nosniff"), (header::CACHE_CONTROL, "no-cache")];
    (headers.map(|(name, value)| (name, HeaderValue::from_static(value))), body).into_response()
}
