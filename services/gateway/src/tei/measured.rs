//! What the headers of an answer say: how much was read, and where the time went, in whole milliseconds as its clients expect.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderName, HeaderValue},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use torchmesh_api::ids::ModelName;
use torchmesh_layers::call::ServedModel;

use crate::{caller::Caller, mesh::Spent};

/// An answer, and what it took.
#[derive(Debug)]
pub(super) struct Measured<T> {
    pub(super) body: T,
    pub(super) model: String,
    pub(super) characters: usize,
    pub(super) tokens: u64,
    pub(super) spent: Spent,
}

impl<T: Serialize> Measured<T> {
    pub(super) fn into_response(self, caller: &Caller) -> Response {
        let mut response = Json(self.body).into_response();
        if let Ok(model) = ModelName::parse(&self.model) {
            response.extensions_mut().insert(ServedModel(model));
        }
        let total = caller.call.started.elapsed();
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let told = [
            ("x-compute-characters", Some(self.characters as u64)),
            ("x-compute-tokens", Some(self.tokens)),
            ("x-total-time", Some(millis(total))),
            ("x-compute-time", Some(millis(total))),
            ("x-queue-time", self.spent.queue.map(millis)),
            ("x-inference-time", self.spent.compute.map(millis)),
        ];
        for (name, value) in told {
            if let Some(value) = value {
                response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from(value));
            }
        }
        response
    }
}
