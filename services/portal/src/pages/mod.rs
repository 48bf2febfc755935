//! The pages.

pub mod console;
pub mod docs;
mod errors;
mod layout;
pub mod listings;
pub mod operator;
mod parts;
pub mod people;
pub mod preferences;
pub mod public;
pub mod try_it;

pub use errors::{busy, error};
pub use layout::{Page, Place};

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

/// Sends the browser to another page of ours, after a form.
pub fn see_other(path: &str) -> Response {
    let place = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
}

/// A part of an address that is a path's or a query's.
pub fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
