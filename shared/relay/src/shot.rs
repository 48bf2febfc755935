//! One try of a call, which may become two at once when the first takes unusually long.

use std::{future::Future, pin::pin, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version, uri::PathAndQuery, uri::Scheme};
use http_body::Body;
use parking_lot::Mutex;
use tokio::time::sleep;
use torchmesh_api::{headers, timeout};

use crate::{
    BoxError, Endpoint, Group, Relay, Source,
    attempt::{Answer, Failure, Patience, attempt},
    balance::Steering,
};

/// The answer to a unary call is held back up to this size, so that an endpoint that dies while it answers can still be replaced.
const HOLD_UNARY: usize = 256 << 10;

/// What stays the same in all tries of a call.
pub(crate) struct Shot<'a> {
    pub(crate) relay: &'a Relay,
    pub(crate) group: &'a Arc<Group>,
    pub(crate) path: PathAndQuery,
    pub(crate) headers: HeaderMap,
    pub(crate) deadline: Option<Instant>,
    pub(crate) streaming: bool,
    pub(crate) steering: Steering,
}

/// An answer, and the call's body as that endpoint got it when it is not the caller's own.
pub(crate) type Landed<B> = (Answer, Option<Source<B>>);

impl Shot<'_> {
    /// Tries one endpoint, and a second beside it once the first has taken too long. Those that failed are put into `tried`. `is_last`: no other try follows. `None`: there is
    /// no endpoint left to try.
    pub(crate) async fn fire<B>(
        &self,
        source: &Mutex<Source<B>>,
        tried: &mut Vec<usize>,
        is_last: bool,
    ) -> Option<Result<Landed<B>, Failure>>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        let ticket = self.group.begin(&self.steering, tried)?;
        let (at, head) = (ticket.at(), self.head(ticket.endpoint()));
        // Pinned once: were it awaited in two places, every call's memory would hold it twice.
        let patience = self.patience(tried).filter(|_| !is_last);
        let mut first = pin!(attempt(ticket, self.relay.lane, head, source, self.hold(), patience));
        let wait = if self.streaming { None } else { self.group.hedge_after(self.deadline) };
        let in_time = match wait {
            None => Some(first.as_mut().await),
            Some(wait) => tokio::select! {
                biased;
                answer = &mut first => Some(answer),
                () = sleep(wait) => None,
            },
        };
        let fired = match in_time {
            Some(answer) => answer.map(|answer| (answer, None)),
            // Boxed, since it is rare and as large as two calls.
            None => Box::pin(self.hedge(at, first, source, tried)).await,
        };
        if fired.is_err() {
            tried.push(at);
        }
        Some(fired)
    }

    /// Whoever of two answers first; a failure only when both fail. The slower one is cancelled by being dropped.
    async fn hedge<B>(
        &self,
        at: usize,
        mut first: impl Future<Output = Result<Answer, Failure>> + Unpin,
        source: &Mutex<Source<B>>,
        tried: &mut Vec<usize>,
    ) -> Result<Landed<B>, Failure>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        let Some(second) = self.second(at, source, tried) else { return first.await.map(|answer| (answer, None)) };
        let (ticket, copy) = second;
        let (other, head) = (ticket.at(), self.head(ticket.endpoint()));
        let copy = Mutex::new(copy);
        let landed = {
            let mut second = pin!(attempt(ticket, self.relay.lane, head, &copy, self.hold(), None));
            tokio::select! {
                answer = &mut first => match answer {
                    Err(_) => second.await.map(|answer| (answer, true)).inspect_err(|_| tried.push(other)),
                    first => first.map(|answer| (answer, false)),
                },
                answer = &mut second => match answer {
                    Err(_) => {
                        tried.push(other);
                        first.await.map(|answer| (answer, false))
                    }
                    second => second.map(|answer| (answer, true)),
                },
            }
        };
        landed.map(|(answer, hedged)| {
            if hedged {
                self.group.metrics.hedge_won();
            }
            (answer, hedged.then(|| copy.into_inner()))
        })
    }

    /// Another endpoint and the body for it, if there is one, all of the body is known, and the budget allows it.
    fn second<B>(&self, at: usize, source: &Mutex<Source<B>>, tried: &[usize]) -> Option<(crate::ticket::Ticket, Source<B>)> {
        let copy = source.lock().again()?;
        let not_these: Vec<_> = tried.iter().copied().chain([at]).collect();
        let ticket = self.group.begin(&self.steering, &not_these)?;
        self.relay.hedges.withdraw().then(|| {
            self.group.metrics.hedged();
            (ticket, copy)
        })
    }

    /// How long an endpoint may say nothing, if there is another one beside it and those that were tried.
    fn patience(&self, tried: &[usize]) -> Option<Patience<'_>> {
        let within = self.relay.settings.head_within.filter(|_| self.group.len() > tried.len() + 1)?;
        Some(Patience { within, budget: &self.relay.budget })
    }

    fn hold(&self) -> usize {
        if self.streaming { 0 } else { HOLD_UNARY }
    }

    fn head(&self, endpoint: &Endpoint) -> Request<()> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(endpoint.authority.clone());
        parts.path_and_query = Some(self.path.clone());
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        // Scheme, authority and path are all there, which is the one thing that `from_parts` asks for.
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
        *request.headers_mut() = self.headers.clone();
        if let Some(deadline) = self.deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            if let Ok(mut value) = HeaderValue::try_from(timeout::format(left)) {
                // Never the same twice: not worth a place in the header compression's table.
                value.set_sensitive(true);
                request.headers_mut().insert(headers::GRPC_TIMEOUT, value);
            }
        }
        request
    }
}
