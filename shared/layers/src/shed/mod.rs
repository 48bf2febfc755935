//! Refuses what is too much, at once: a process that takes every call serves none in time. What can wait is refused first.

mod capacity;

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    headers::{X_TORCHMESH_PRIORITY, X_TORCHMESH_PRIORITY_LIMIT},
    priority::Priority,
};
use tower::Service;

use self::capacity::Place;
pub use self::capacity::{Capacity, NORMAL_SHARE};
use crate::call::CallContext;

/// When to come back after a refusal.
const COME_BACK: Duration = Duration::from_millis(100);

/// How urgent a call is, as far as its caller may say so. A word that is none is for the worker to refuse.
fn priority(headers: &HeaderMap) -> Priority {
    let word = |name| headers.get(name).and_then(|word| Priority::parse(word.as_bytes()));
    let asked = word(X_TORCHMESH_PRIORITY).unwrap_or_default();
    word(X_TORCHMESH_PRIORITY_LIMIT).map_or(asked, |limit| asked.max(limit))
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
        let priority = priority(request.headers());
        match self.capacity.enter(tenant, priority) {
            Some(place) => Shedding { inner: Some(self.inner.call(request)), place: Some(place), priority },
            None => Shedding { inner: None, place: None, priority },
        }
    }
}

pin_project_lite::pin_project! {
    /// The answer, or the refusal.
    pub struct Shedding<F> {
        #[pin]
        inner: Option<F>,
        place: Option<Place>,
        priority: Priority,
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
            None => Poll::Ready(Err(refusal(*this.priority))),
        }
    }
}

fn refusal(priority: Priority) -> ApiError {
    let message = match priority {
        Priority::Low => "the server has as many calls as it can take of priority low; try again",
        Priority::Normal | Priority::High => "the server has as many calls as it can take; try again",
    };
    ApiError::new(ErrorKind::ResourceExhausted, message).retry_after(COME_BACK)
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
    use http::HeaderValue;
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

    #[test]
    fn nobody_is_let_in_before_the_class_that_they_may_ask_for() {
        let asking = |asked: Option<&'static str>, limit: Option<&'static str>| {
            let given = [(X_TORCHMESH_PRIORITY, asked), (X_TORCHMESH_PRIORITY_LIMIT, limit)];
            let given = given.into_iter().filter_map(|(name, word)| Some((name, HeaderValue::from_static(word?))));
            priority(&given.collect())
        };
        assert_eq!([asking(None, None), asking(Some("soon"), None)], [Priority::Normal; 2]);
        assert_eq!([asking(Some("high"), None), asking(Some("high"), Some("normal"))], [Priority::High, Priority::Normal]);
        assert_eq!([asking(Some("low"), Some("normal")), asking(None, Some("low"))], [Priority::Low; 2]);
    }
}
