//! Gives every call that was let in its own figures.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::Request;
use tower::Service;

use super::Measured;

/// See the module.
#[derive(Debug, Clone)]
pub struct Measuring<S> {
    inner: S,
}

impl<S> Measuring<S> {
    /// Wraps a service.
    pub fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S: Service<Request<R>>, R> Service<Request<R>> for Measuring<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<R>) -> Self::Future {
        request.extensions_mut().insert(Arc::<Measured>::default());
        self.inner.call(request)
    }
}
