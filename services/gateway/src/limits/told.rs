//! Tells every answer how its call's limits stand: the good ones, and those that any layer inside made out of an error.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use parking_lot::Mutex;
use tower::Service;

use super::headers::Standings;

/// How a call's limits stand, as far as it was decided: in the extensions of its request.
#[derive(Debug, Clone, Default)]
pub struct Told(Arc<Mutex<Standings>>);

impl Told {
    /// Takes more in.
    pub fn change(&self, change: impl FnOnce(&mut Standings)) {
        change(&mut self.0.lock());
    }
}

/// See the module. Does nothing where nothing is limited.
#[derive(Debug, Clone)]
pub struct Telling<S> {
    inner: S,
    on: bool,
}

impl<S> Telling<S> {
    /// Wraps a service; `on` where something is limited.
    pub fn new(inner: S, on: bool) -> Self {
        Self { inner, on }
    }
}

impl<S, R, B> Service<Request<R>> for Telling<S>
where
    S: Service<Request<R>, Response = Response<B>>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<R>) -> Self::Future {
        let told = self.on.then(Told::default);
        if let Some(told) = &told {
            request.extensions_mut().insert(told.clone());
        }
        Answering { inner: self.inner.call(request), told }
    }
}

pin_project_lite::pin_project! {
    /// The answer, told.
    pub struct Answering<F> {
        #[pin]
        inner: F,
        told: Option<Told>,
    }
}

impl<F, B, E> Future for Answering<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.inner.poll(cx).map_ok(|mut response| {
            if let Some(told) = this.told {
                told.0.lock().write(response.headers_mut());
            }
            response
        })
    }
}
