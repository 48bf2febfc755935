//! Turns an error into an answer, once, at the edge.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{HeaderMap, Request, Response, Uri, header};
use tonic::Status;
use torchmesh_api::error::ApiError;
use tower::Service;

/// Tells the kind of client by what a call asks for and how; read before the call goes in.
pub type Tell<D> = fn(&Uri, &HeaderMap) -> D;

/// How an error looks to the kind of client that called.
pub type Render<D, B> = fn(ApiError, D) -> Response<B>;

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

/// See the module. `D` is the kind of client, as a service tells them apart: [`Door`], or finer.
#[derive(Debug)]
pub struct Errors<S, D, B> {
    inner: S,
    tell: Tell<D>,
    render: Render<D, B>,
}

impl<S: Clone, D, B> Clone for Errors<S, D, B> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), tell: self.tell, render: self.render }
    }
}

impl<S, D, B> Errors<S, D, B> {
    /// Wraps a service that fails with [`ApiError`].
    pub fn new(inner: S, tell: Tell<D>, render: Render<D, B>) -> Self {
        Self { inner, tell, render }
    }
}

impl<S, R, D, B> Service<Request<R>> for Errors<S, D, B>
where
    S: Service<Request<R>, Response = Response<B>, Error = ApiError>,
    D: Copy,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Rendered<S::Future, D, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Every layer inside is always ready: what is too much is refused by an answer, not by waiting.
        self.inner.poll_ready(cx).map(|_| Ok(()))
    }

    fn call(&mut self, request: Request<R>) -> Self::Future {
        let door = (self.tell)(request.uri(), request.headers());
        Rendered { inner: self.inner.call(request), render: self.render, door }
    }
}

pin_project_lite::pin_project! {
    /// The answer, or the rendered error.
    pub struct Rendered<F, D, B> {
        #[pin]
        inner: F,
        render: Render<D, B>,
        door: D,
    }
}

impl<F, D, B> Future for Rendered<F, D, B>
where
    F: Future<Output = Result<Response<B>, ApiError>>,
    D: Copy,
{
    type Output = Result<Response<B>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.inner.poll(cx).map(|done| Ok(done.unwrap_or_else(|error| (this.render)(error, *this.door))))
    }
}
