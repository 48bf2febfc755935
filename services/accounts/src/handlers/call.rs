//! A call that is being answered.

use tonic::{Request, Response, Status};

use super::Ground;
use crate::{
    access::{Asker, shown},
    clock::now_ms,
    error::Result,
};

/// A call: who asks for what, and when.
pub(super) struct Call<T> {
    pub(super) asker: Asker,
    /// The token that was shown.
    pub(super) token: String,
    pub(super) asked: T,
    pub(super) now: i64,
}

impl Ground {
    /// Finds out who asks.
    pub(super) async fn call<T>(&self, request: Request<T>) -> Result<Call<T>> {
        let (metadata, _, asked) = request.into_parts();
        let now = now_ms();
        let asker = self.access.asker(&metadata, now).await?;
        let token = shown(&metadata).unwrap_or_default().to_owned();
        Ok(Call { asker, token, asked, now })
    }

    /// The same, where whoever shows no token may ask as well. A token that is not good is refused all the same.
    pub(super) async fn call_of_anybody<T>(&self, request: Request<T>) -> Result<Call<T>> {
        if request.metadata().contains_key("authorization") {
            return self.call(request).await;
        }
        Ok(Call { asker: Asker::Anybody, token: String::new(), asked: request.into_inner(), now: now_ms() })
    }
}

/// An answer, or the status of a refusal: the one place where it becomes that.
pub(super) fn answer<T>(done: Result<T>) -> std::result::Result<Response<T>, Status> {
    done.map(Response::new).map_err(Into::into)
}
