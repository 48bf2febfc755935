//! The mesh behind the gateway, for calls that the gateway makes itself.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryFutureExt as _, stream::poll_fn};
use http::HeaderMap;
use prost::Message;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    frame,
    headers::{X_TORCHMESH_COMPUTE_US, X_TORCHMESH_QUEUE_US},
};
use torchmesh_relay::{Relay, Reply};

use crate::{
    Routers,
    caller::Caller,
    limits::{Ticket, estimate::Question},
    metering::flow::Flow,
};

/// One data thread's way to the routers.
#[derive(Debug, Clone)]
pub struct Mesh {
    /// Sends calls.
    pub relay: Relay,
    /// Where to.
    pub routers: Arc<Routers>,
}

impl Mesh {
    /// A way to the routers.
    pub fn new(relay: Relay, routers: Arc<Routers>) -> Self {
        Self { relay, routers }
    }

    /// Charges for a question before it leaves for a router: the one place that every call to a model comes by, whichever door it entered by.
    ///
    /// Error: ResourceExhausted, when a limit has no room for it.
    pub async fn charge(ticket: Option<&Ticket>, question: &Question<'_>) -> Result<(), ApiError> {
        match ticket {
            Some(ticket) => ticket.admit(question).await,
            None => Ok(()),
        }
    }

    /// A unary call within the time of the call that it is part of.
    pub async fn unary<Q: Message, A: Message + Default>(&self, caller: &Caller, path: &'static str, question: &Q) -> Result<A, ApiError> {
        decode(self.send(caller, path, [frame::encode(question)]).await?.message)
    }

    /// The same, and where its time went.
    pub async fn timed<Q: Message, A: Message + Default>(
        &self,
        caller: &Caller,
        path: &'static str,
        question: &Q,
    ) -> Result<(A, Spent), ApiError> {
        let reply = self.send(caller, path, [frame::encode(question)]).await?;
        Ok((decode(reply.message)?, Spent::read(&reply.headers)))
    }

    /// The same with a question that is in its frame already, in as many pieces as it comes; gives the answer as it came.
    pub async fn send(&self, caller: &Caller, path: &'static str, framed: impl Into<VecDeque<Bytes>>) -> Result<Reply, ApiError> {
        let (routers, framed) = (self.routers.load_full(), framed.into());
        caller.measured.asks(path, framed.front());
        Self::charge(caller.ticket.as_deref(), &Question::new(path, framed.iter())).await?;
        let reply = self.relay.unary(path, caller.headers(), framed, caller.deadline(), &routers).await?;
        caller.measured.head(&reply.headers);
        Ok(reply)
    }

    /// A call whose answer is a stream, within the time of the call that it is part of. It begins when it is first asked for an answer, and ends
    /// when it is dropped; no answer is asked for that is not waited for.
    pub fn stream<Q: Message, A: Message + Default>(
        &self,
        caller: &Caller,
        path: &'static str,
        question: &Q,
    ) -> impl Stream<Item = Result<A, ApiError>> + Send + use<Q, A> {
        let (relay, routers) = (self.relay.clone(), self.routers.load_full());
        let (headers, deadline, framed) = (caller.headers(), caller.deadline(), frame::encode(question));
        caller.measured.asks(path, Some(&framed));
        let mut flow = Flow::new(Arc::clone(&caller.measured), path);
        let ticket = caller.ticket.clone();
        let begun = async move {
            Self::charge(ticket.as_deref(), &Question::new(path, std::iter::once(&framed))).await?;
            relay.stream(path, headers, framed, deadline, &routers).await
        };
        let messages = begun.map_ok(|mut messages| {
            flow.head(messages.headers());
            poll_fn(move |cx| {
                let next = ready!(messages.poll_next(cx));
                if let Some(Ok(message)) = &next {
                    flow.message(message);
                }
                Poll::Ready(next)
            })
        });
        messages.try_flatten_stream().map(|message| decode(message?)).fuse()
    }
}

/// Where a worker's time went, as far as it says.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// How long the request waited.
    pub queue: Option<Duration>,
    /// How long it was computed.
    pub compute: Option<Duration>,
}

impl Spent {
    fn read(headers: &HeaderMap) -> Self {
        let micros = |name| headers.get(name)?.to_str().ok()?.parse().ok().map(Duration::from_micros);
        Self { queue: micros(X_TORCHMESH_QUEUE_US), compute: micros(X_TORCHMESH_COMPUTE_US) }
    }
}

/// Reads a router's answer.
pub fn decode<A: Message + Default>(answer: Bytes) -> Result<A, ApiError> {
    A::decode(answer).map_err(|_| ApiError::new(ErrorKind::Internal, "a router answered with a message of another form"))
}
