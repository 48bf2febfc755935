//! Turns an error into an answer, once, at the edge.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{HeaderMap, Request, Response, header};
use tonic::Status;
use torchmesh_api::error::ApiError;
use tower::Service;

/// How an error looks to the kind of client that called.
pub type Render<B> = fn(ApiError, Door) -> Response<B>;

/// The kind of client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// gRPC: errors are trailers.
    Grpc,
    /// Anything else over HTTP.
    Http,
}

impl Door {
    /// Tells by the content type.
    pub fn of(headers: &HeaderMap) -> Self {
        match headers.get(header::CONTENT_TYPE) {
            Some(kind) if kind.as_bytes().starts_with(b"application/grpc") => Self::Grpc,
            _ => Self::Http,
        }
    }
}

/// An error as a gRPC answer without a body.
pub fn grpc<B: Default>(error: ApiError) -> Response<B> {
    Status::from(error).into_http()
}

/// See the module.
#[derive(Debug)]
pub struct Errors<S, B> {
    inner: S,
    render: Render<B>,
}

impl<S: Clone, B> Clone for Errors<S, B> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), render: self.render }
    }
}

impl<S, B> Errors<S, B> {
    /// Wraps a service that fails with [`ApiError`].
    pub fn new(inner: S, render: Render<B>) -> Self {
        Self { inner, render }
    }
}

impl<S, R, B> Service<Request<R>> for Errors<S, B>
where
    S: Service<Request<R>, Response = Response<B>, Error = ApiError>,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Rendered<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Every layer inside is always ready: what is too much is refused by an answer, not by waiting.
        self.inner.poll_ready(cx).map(|_| Ok(()))
    }

    fn call(&mut self, request: Request<R>) -> Self::Future {
        let door = Door::of(request.headers());
        Rendered { inner: self.inner.call(request), render: self.render, door }
    }
}

pin_project_lite::pin_project! {
    /// The answer, or the rendered error.
    pub struct Rendered<F, B> {
        #[pin]
        inner: F,
        render: Render<B>,
        door: Door,
    }
}

impl<F, B> Future for Rendered<F, B>
where
    F: Future<Output = Result<Response<B>, ApiError>>,
{
    type Output = Result<Response<B>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.inner.poll(cx).map(|done| Ok(done.unwrap_or_else(|error| (this.render)(error, *this.door))))
    }
}
