//! The mesh behind the gateway: the only way to the routers, for calls that are passed on and for those that the gateway makes itself. Every one of them
//! is held against the caller's grants here, rid of the personal data that its model is not sent, and charged to its limits.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryFutureExt as _, stream::poll_fn};
use http::{HeaderMap, Response, header};
use http_body::Body;
use prost::Message;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    frame,
    headers::{
        TRACEPARENT, X_REQUEST_ID, X_TORCHMESH_COMPUTE_US, X_TORCHMESH_PRIORITY, X_TORCHMESH_PRIORITY_LIMIT, X_TORCHMESH_QUEUE_US,
        X_TORCHMESH_TENANT,
    },
    ids::ModelName,
    method, peek,
};
use torchmesh_relay::{BoxError, Call, Group, Relay, RelayBody, Reply, Source};

use crate::{
    Routers,
    caller::Caller,
    identity::{Principal, grants},
    limits::{Ticket, estimate::Question},
    metering::{Measured, flow::Flow},
    redaction::{
        Redaction,
        names::{Ask, CLASSIFY_TOKENS},
    },
};

/// One data thread's way to the routers.
#[derive(Debug, Clone)]
pub struct Mesh {
    relay: Relay,
    routers: Arc<Routers>,
    redaction: Redaction,
}

impl Mesh {
    /// A way to the routers.
    pub fn new(relay: Relay, routers: Arc<Routers>, redaction: Redaction) -> Self {
        Self { relay, routers, redaction }
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
        let (framed, principal) = (framed.into(), caller.principal.as_deref());
        grants::check_framed(principal, path, framed.iter())?;
        caller.measured.asks(path, framed.front());
        let framed = if self.redaction.looks() {
            let aside = self.aside(&caller.headers(), caller.deadline());
            self.redaction.apply(&caller.measured, path, framed, &aside).await?
        } else {
            framed
        };
        charge(caller.ticket.as_deref(), &Question::new(path, framed.iter())).await?;
        let routers = self.routers.load_full();
        let reply = self.relay.unary(path, caller.headers(), framed, caller.deadline(), &routers).await?;
        caller.measured.head(&reply.headers);
        if grants::lists_models(path) {
            return Ok(Reply { message: grants::only_granted(principal, reply.message), ..reply });
        }
        Ok(reply)
    }

    /// Decides whether a call may be passed on, by what its message names.
    ///
    /// Errors: the caller may not use the model; the message is none, or is larger than `max_message`; it has personal data that may not go on, or cannot be
    /// searched for any; a limit has no room for it.
    pub async fn admit<B>(
        &self,
        mut call: Call<B>,
        principal: Option<&Principal>,
        ticket: Option<&Ticket>,
        measured: &Measured,
        max_message: usize,
    ) -> Result<Admitted<B>, ApiError>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        let path = call.path.path();
        // Whether the model exists is for the router to say.
        let decide = |routing: peek::Routing<'_>| {
            grants::check(principal, path, routing)?;
            Ok::<_, ApiError>((ModelName::parse(routing.name).ok(), self.redaction.order(path, routing.name)?))
        };
        let (model, order) = match method::find(path) {
            // Refused here, a message that is none or is too large costs the mesh nothing.
            Some(method) if method.names_a_model => call.source.peek(max_message, decide).await??,
            _ => decide(peek::Routing::default())?,
        };
        if let Some(order) = order {
            if !call.source.complete(max_message + peek::PREFIX).await? {
                return Err(ApiError::new(ErrorKind::TooLarge, format!("the limit is {max_message} bytes; send it in smaller parts")));
            }
            let aside = self.aside(&call.headers, call.deadline.unwrap_or_else(Instant::now));
            let message = order.carry_out(call.source.seen().cloned().collect(), measured, &aside).await?;
            call.source = Source::whole([message].into());
            call.headers.remove(header::CONTENT_LENGTH);
        }
        charge(ticket, &Question::new(path, call.source.seen())).await?;
        Ok(Admitted { call, model })
    }

    /// Passes a call on as it comes.
    ///
    /// Errors: what the mesh says.
    pub async fn pass_on<B>(&self, admitted: Admitted<B>) -> Result<Response<RelayBody<B>>, ApiError>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        let routers = self.routers.load();
        self.relay.send(admitted.call, &routers).await
    }

    /// The way of calls that are made for a call with these headers.
    fn aside(&self, headers: &HeaderMap, deadline: Instant) -> Aside {
        let told = [TRACEPARENT, X_REQUEST_ID, X_TORCHMESH_TENANT, X_TORCHMESH_PRIORITY, X_TORCHMESH_PRIORITY_LIMIT];
        let headers = told.into_iter().filter_map(|name| headers.get(&name).cloned().map(|value| (name, value))).collect();
        Aside { relay: self.relay.clone(), routers: self.routers.load_full(), headers, deadline }
    }

    /// How much of a call that comes is kept, to send it again; all of it, where it may have to be read before anything is sent.
    pub fn keep_bytes(&self, path: &str, max_message: usize) -> usize {
        if self.redaction.may_concern(path) { max_message + peek::PREFIX } else { self.relay.keep_bytes() }
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
        let granted = grants::check_framed(caller.principal.as_deref(), path, std::iter::once(&framed));
        let (ticket, measured, redaction) = (caller.ticket.clone(), Arc::clone(&caller.measured), self.redaction.clone());
        let aside = self.redaction.looks().then(|| self.aside(&headers, deadline));
        let begun = async move {
            granted?;
            let framed = match &aside {
                Some(aside) => redaction.apply_whole(&measured, path, framed, aside).await?,
                None => framed,
            };
            charge(ticket.as_deref(), &Question::new(path, std::iter::once(&framed))).await?;
            relay.stream(path, headers, framed, deadline, &routers).await
        };
        let messages = begun.map_ok(|mut messages| {
            flow.head(messages.headers());
            poll_fn(move |cx| {
                let next = ready!(messages.poll_next(cx));
                match &next {
                    Some(Ok(message)) => flow.message(message),
                    Some(Err(error)) => flow.fail(error.kind),
                    None => {}
                }
                Poll::Ready(next)
            })
        });
        messages.try_flatten_stream().map(|message| decode(message?)).fuse()
    }
}

/// Calls that are made for a call before it leaves, in its time and in its caller's name. They are no part of what it is billed.
#[derive(Debug)]
struct Aside {
    relay: Relay,
    routers: Arc<Group>,
    headers: HeaderMap,
    deadline: Instant,
}

impl Ask for Aside {
    async fn ask(&self, question: Bytes) -> Result<Bytes, ApiError> {
        let reply = self.relay.unary(CLASSIFY_TOKENS, self.headers.clone(), [question], self.deadline, &self.routers).await?;
        Ok(reply.message)
    }
}

/// A call that may be passed on: [`Mesh::admit`] makes it, and nothing else.
#[derive(Debug)]
pub struct Admitted<B> {
    call: Call<B>,
    model: Option<ModelName>,
}

impl<B> Admitted<B> {
    /// The model that it names, where its method has it name one.
    pub fn model(&self) -> Option<&ModelName> {
        self.model.as_ref()
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

/// Charges for a question before it leaves for a router.
///
/// Error: ResourceExhausted, when a limit has no room for it.
async fn charge(ticket: Option<&Ticket>, question: &Question<'_>) -> Result<(), ApiError> {
    match ticket {
        Some(ticket) => ticket.admit(question).await,
        None => Ok(()),
    }
}

/// Reads a router's answer.
pub fn decode<A: Message + Default>(answer: Bytes) -> Result<A, ApiError> {
    A::decode(answer).map_err(|_| ApiError::new(ErrorKind::Internal, "a router answered with a message of another form"))
}
