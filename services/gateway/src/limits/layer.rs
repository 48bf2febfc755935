//! Gives every call of a known caller its ticket, refuses what is known to be too much, and closes the ticket at the end.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, header};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    headers::GRPC_STATUS,
};
use torchmesh_runtime::server::Peer;
use tower::Service;

use super::{
    address,
    body::{Charged, Closes},
    lanes::Lanes,
    ticket::Ticket,
};
use crate::{identity::Principal, metering::OnceId};

/// See the module.
#[derive(Debug, Clone)]
pub struct Limit<S> {
    inner: S,
    lanes: Option<Lanes>,
}

impl<S> Limit<S> {
    /// Wraps a service; without `lanes` nothing is limited.
    pub fn new(inner: S, lanes: Option<Lanes>) -> Self {
        Self { inner, lanes }
    }

    /// A ticket for a call of a known caller. Whoever asks only whether we live has none, and is never refused.
    fn ticket<R>(&self, request: &Request<R>) -> Option<Arc<Ticket>> {
        let lanes = self.lanes.as_ref()?;
        let extensions = request.extensions();
        let principal = extensions.get::<Arc<Principal>>()?;
        let peer = extensions.get::<Arc<Peer>>().map(|peer| peer.addr.ip());
        let address = address::of(peer, request.headers(), lanes.trusted_proxies());
        let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let announced = announced.unwrap_or_default();
        // A batch's lines alone may be made again though they ended well.
        let batch = extensions.get::<OnceId>().is_some();
        let (measured, told) = (extensions.get().cloned().unwrap_or_default(), extensions.get().cloned().unwrap_or_default());
        Some(Arc::new(Ticket::new(lanes.clone(), Arc::clone(principal), address, announced, batch, measured, told)))
    }
}

impl<S, R, B> Service<Request<R>> for Limit<S>
where
    S: Service<Request<R>, Response = Response<B>, Error = ApiError>,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<Charged<B>>;
    type Error = ApiError;
    type Future = Limited<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ApiError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<R>) -> Self::Future {
        let Some(ticket) = self.ticket(&request) else { return Limited::Free { inner: self.inner.call(request) } };
        if let Err(error) = ticket.foresee() {
            return Limited::Refused { error: Some(error) };
        }
        request.extensions_mut().insert(Arc::clone(&ticket));
        Limited::Counted { inner: Box::pin(counted(self.inner.call(request), Closes(ticket))) }
    }
}

async fn counted<F, B>(inner: F, closes: Closes) -> Result<Response<Charged<B>>, ApiError>
where
    F: Future<Output = Result<Response<B>, ApiError>>,
{
    let answer = inner.await;
    closes.0.conclude().await?;
    let response = answer?;
    if response.status().is_success() && !response.headers().contains_key(GRPC_STATUS) {
        closes.0.answered();
    }
    Ok(response.map(|body| Charged::new(body, closes)))
}

type Counting<B> = Pin<Box<dyn Future<Output = Result<Response<Charged<B>>, ApiError>> + Send>>;

pin_project_lite::pin_project! {
    /// The answer, or the refusal.
    #[project = Step]
    #[allow(missing_docs)]
    pub enum Limited<F, B> {
        /// Nothing is limited.
        Free {
            #[pin]
            inner: F,
        },
        /// It has a ticket.
        Counted {
            inner: Counting<B>,
        },
        /// It was refused at once.
        Refused {
            error: Option<ApiError>,
        },
    }
}

impl<F, B> Future for Limited<F, B>
where
    F: Future<Output = Result<Response<B>, ApiError>>,
{
    type Output = Result<Response<Charged<B>>, ApiError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Step::Free { inner } => inner.poll(cx).map_ok(|response| response.map(Charged::from)),
            Step::Counted { inner } => inner.as_mut().poll(cx),
            Step::Refused { error } => {
                let gone = || ApiError::new(ErrorKind::ResourceExhausted, "a limit is reached");
                Poll::Ready(Err(error.take().unwrap_or_else(gone)))
            }
        }
    }
}
