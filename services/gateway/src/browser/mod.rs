//! What browsers need that other clients do not: leave to call from another origin (CORS), gRPC in a form that they can speak (gRPC-Web), and headers that keep
//! answers out of caches and from being taken for what they are not.
//!
//! It stands around all layers: whoever asks for leave has no credential to show yet. A call of a client that is no browser passes through as it is.

mod bodies;
mod cors;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod kept;
mod web;

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body::Body;
use torchmesh_layers::errors::Door;
use torchmesh_relay::BoxError;
use torchmesh_runtime::server::Incoming;
use tower::Service;

pub use bodies::{Answer, Asked};
pub use cors::CorsSettings;

use cors::Leave;
use kept::Kept;

/// See the module.
#[derive(Debug, Clone)]
pub struct Browser<S> {
    inner: S,
    leave: Option<Leave>,
    kept: Kept,
}

impl<S> Browser<S> {
    /// Around a gateway's layers; `tls`: whether it is reached by TLS alone.
    pub fn new(inner: S, cors: &CorsSettings, tls: bool) -> Self {
        Self { inner, leave: cors.leave(), kept: Kept::new(tls) }
    }
}

impl<S, B> Service<Request<Incoming>> for Browser<S>
where
    S: Service<Request<Asked>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    type Response = Response<Answer<B>>;
    type Error = Infallible;
    type Future = Answering<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let leave = self.leave.as_ref().filter(|_| request.headers().contains_key(header::ORIGIN));
        let door = Door::of(request.headers());
        if leave.is_none() && !web::speaks(request.headers()) {
            let kept = (door == Door::Http).then_some(self.kept);
            return Answering::Direct { answer: self.inner.call(request.map(Asked::Plain)), kept };
        }
        let (inner, kept) = (web::Translated::new(self.inner.clone()), self.kept);
        let answer: Boxed<B> = match leave {
            Some(leave) => leave.call(inner, request),
            None => Box::pin(inner.answer(request)),
        };
        Answering::Translated { answer, kept }
    }
}

/// The answer to a browser.
type Boxed<B> = Pin<Box<dyn Future<Output = Result<Response<Answer<B>>, Infallible>> + Send>>;

pin_project_lite::pin_project! {
    /// The answer.
    #[project = Step]
    #[allow(missing_docs)]
    pub enum Answering<F, B> {
        Direct {
            #[pin]
            answer: F,
            kept: Option<Kept>,
        },
        Translated {
            answer: Boxed<B>,
            kept: Kept,
        },
    }
}

impl<F, B> Future for Answering<F, B>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = Result<Response<Answer<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (answer, kept) = match self.project() {
            Step::Direct { answer, kept } => (answer.poll(cx).map_ok(|response| response.map(|body| Answer::Plain { body })), *kept),
            Step::Translated { answer, kept } => (answer.as_mut().poll(cx), Some(*kept)),
        };
        answer.map_ok(|mut response| {
            if let Some(kept) = kept {
                kept.write(response.headers_mut());
            }
            response
        })
    }
}
