//! Lists, a page at a time: `limit` entries behind the one that `after` names.

use axum::{
    Json,
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, wrong};

/// The most entries of a page, and as many as one has that does not say.
const PAGE: (usize, usize) = (100, 20);

/// What stands behind the question mark.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    after: Option<String>,
    limit: Option<usize>,
    pub(super) purpose: Option<String>,
}

impl Page {
    /// The page of `all`, each of which has an id.
    pub(super) fn of(&self, all: Vec<Value>) -> Result<Response, Refusal> {
        let limit = self.limit.unwrap_or(PAGE.1);
        if !(1..=PAGE.0).contains(&limit) {
            return Err(wrong(format!("limit must be 1 to {}", PAGE.0), "limit"));
        }
        let from = match &self.after {
            None => 0,
            Some(after) => {
                1 + all.iter().position(|one| one["id"] == **after).ok_or_else(|| wrong("after names nothing in the list", "after"))?
            }
        };
        let rest = all.len().saturating_sub(from);
        let page: Vec<_> = all.into_iter().skip(from).take(limit).collect();
        let id = |one: Option<&Value>| one.map_or(Value::Null, |one| one["id"].clone());
        let (first, last) = (id(page.first()), id(page.last()));
        Ok(Json(json!({ "object": "list", "data": page, "first_id": first, "last_id": last, "has_more": rest > limit })).into_response())
    }
}
