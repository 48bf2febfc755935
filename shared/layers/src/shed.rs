//! Refuses what is too much, at once: a process that takes every call serves none in time.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use torchmesh_api::error::{ApiError, ErrorKind};
use tower::Service;

use crate::{
    call::CallContext,
    fair::{self, Tenants},
};

/// When to come back after a refusal.
const COME_BACK: Duration = Duration::from_millis(100);

/// The calls of a whole process, over all its data threads.
#[derive(Debug, Clone)]
pub struct Capacity {
    used: Arc<AtomicUsize>,
    max: usize,
    tenants: Option<Arc<Tenants>>,
}

impl Capacity {
    /// Room for `max` calls at once.
    pub fn new(max: usize) -> Self {
        Self { used: Arc::default(), max, tenants: None }
    }

    /// When all places are taken, tenants who have fewer than their fair share are still let in, and only the others refused. No more than twice
    /// as many calls as there are places can come of it.
    #[must_use]
    pub fn shared_fairly(self) -> Self {
        Self { tenants: Some(Arc::default()), ..self }
    }

    /// How many calls there are.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn enter(&self, tenant: Option<&HeaderValue>) -> Option<Place> {
        let tenant = self.tenants.as_ref().map(|tenants| Tenants::enter(tenants, tenant));
        let used = self.used.fetch_add(1, Ordering::Relaxed);
        // Made before it is known whether it may be kept: what is dropped counts no more.
        let place = Place { used: Arc::clone(&self.used), tenant };
        let fits = match &place.tenant {
            Some(entered) => fair::lets_in(used, self.max, entered.others(), entered.tenants()),
            None => used < self.max,
        };
        fits.then_some(place)
    }
}

#[derive(Debug)]
struct Place {
    used: Arc<AtomicUsize>,
    tenant: Option<fair::Entered>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.used.fetch_sub(1, Ordering::Relaxed);
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Shed<S> {
    inner: S,
    capacity: Capacity,
}

impl<S> Shed<S> {
    /// Lets at most as many calls in as the capacity has room for.
    pub fn new(inner: S, capacity: Capacity) -> Self {
        Self { inner, capacity }
    }
}

impl<S, R, B> Service<Request<R>> for Shed<S>
where
    S: Service<Request<R>, Response = Response<B>, Error = ApiError>,
{
    type Response = Response<Held<B>>;
    type Error = ApiError;
    type Future = Shedding<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ApiError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<R>) -> Self::Future {
        let tenant = request.extensions().get::<CallContext>().and_then(|call| call.tenant.as_ref());
        match self.capacity.enter(tenant) {
            Some(place) => Shedding { inner: Some(self.inner.call(request)), place: Some(place) },
            None => Shedding { inner: None, place: None },
        }
    }
}

pin_project_lite::pin_project! {
    /// The answer, or the refusal.
    pub struct Shedding<F> {
        #[pin]
        inner: Option<F>,
        place: Option<Place>,
    }
}

impl<F, B> Future for Shedding<F>
where
    F: Future<Output = Result<Response<B>, ApiError>>,
{
    type Output = Result<Response<Held<B>>, ApiError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.inner.as_pin_mut() {
            Some(inner) => inner.poll(cx).map_ok(|response| response.map(|body| Held { body, _place: this.place.take() })),
            None => Poll::Ready(Err(ApiError::new(ErrorKind::ResourceExhausted, "the server has as many calls as it can take; try again")
                .retry_after(COME_BACK))),
        }
    }
}

pin_project_lite::pin_project! {
    /// A body that holds its call's place until it ends.
    pub struct Held<B> {
        #[pin]
        body: B,
        _place: Option<Place>,
    }
}

impl<B: Default> Default for Held<B> {
    fn default() -> Self {
        Self { body: B::default(), _place: None }
    }
}

impl<B> From<B> for Held<B> {
    fn from(body: B) -> Self {
        Self { body, _place: None }
    }
}

impl<B: Body<Data = Bytes>> Body for Held<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;
    use tower::service_fn;

    use super::*;

    #[tokio::test]
    async fn a_call_over_the_limit_is_refused_at_once_and_one_that_ended_makes_room() {
        let inner = service_fn(|_: Request<()>| async { Ok::<_, ApiError>(Response::new(Empty::<Bytes>::new())) });
        let mut shed = Shed::new(inner, Capacity::new(1));
        let first = shed.call(Request::new(())).await.unwrap();
        let refused = shed.call(Request::new(())).await.err().unwrap();
        assert_eq!(refused.kind, ErrorKind::ResourceExhausted);
        assert!(refused.retry_after.is_some());
        drop(first);
        assert!(shed.call(Request::new(())).await.is_ok());
        assert_eq!(shed.capacity.used(), 0);
    }
}
