//! One try at one endpoint.

use std::{
    collections::VecDeque,
    future::{Future as _, poll_fn},
    pin::Pin,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use h2::{RecvStream, client::ResponseFuture};
use http::{HeaderValue, Request, Response};
use http_body::Body;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use torchmesh_api::headers::GRPC_STATUS;
use torchmesh_retry::RetryBudget;

use crate::{
    BoxError,
    body::{Rest, Streamed, poll_stream},
    connection::Opened,
    endpoint::Endpoint,
    lane::{Lane, OnConnection},
    outgoing::hide_from_compression,
    pump::{Pump, PumpError},
    source::Source,
    ticket::Ticket,
};

/// An answer that will be passed on.
pub(crate) struct Answer {
    pub(crate) head: http::response::Parts,
    pub(crate) held: VecDeque<Bytes>,
    pub(crate) rest: Rest,
    pub(crate) upload: Option<Pump>,
    pub(crate) ticket: Ticket,
}

/// What a try came to, when it was not an answer.
pub(crate) enum Failure {
    /// The endpoint never began the call: trying elsewhere repeats nothing.
    NotBegun,
    /// The connection broke after the call was sent.
    Broken,
    /// The answer did not begin in time, and another try is paid for.
    Silent,
    /// The endpoint said UNAVAILABLE before it answered anything; this is its answer, should nobody do better.
    Unavailable(Box<Answer>),
    /// The caller left.
    CallerLeft,
}

/// How long a try's answer may take to begin, from when the last of the request was sent. Then the try is given up for another one, if the request can be sent again and
/// the budget pays for it.
pub(crate) struct Patience<'a> {
    pub(crate) within: Duration,
    pub(crate) budget: &'a RetryBudget,
}

/// Sends the call, and holds the answer back until it is sure to be worth passing on: until it ended, or until more than `hold` bytes of it came.
///
/// The lock is never waited for: the caller shares the source only to copy what was sent while this is not being polled.
pub(crate) async fn attempt<B>(
    mut ticket: Ticket,
    lane: usize,
    head: Request<()>,
    source: &Mutex<Source<B>>,
    hold: usize,
    patience: Option<Patience<'_>>,
) -> Result<Answer, Failure>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let tried = exchange(&mut ticket, lane, head, source, hold, patience).await;
    match &tried {
        Ok(exchange) => ticket.answered(exchange.status()),
        Err(Failure::CallerLeft) => {}
        Err(_) => ticket.failed(),
    }
    let exchange = tried?;
    let unavailable = exchange.held.is_empty() && exchange.status().is_some_and(|status| status == "14");
    let Exchange { head, held, rest, pump } = exchange;
    let upload = (!pump.is_finished()).then_some(pump);
    let answer = Answer { head, held, rest, upload, ticket };
    if unavailable { Err(Failure::Unavailable(Box::new(answer))) } else { Ok(answer) }
}

/// What an endpoint answered so far.
struct Exchange {
    head: http::response::Parts,
    held: VecDeque<Bytes>,
    rest: Rest,
    pump: Pump,
}

impl Exchange {
    fn status(&self) -> Option<&HeaderValue> {
        let trailers = if let Rest::Trailers(Some(trailers)) = &self.rest { trailers } else { &self.head.headers };
        trailers.get(GRPC_STATUS)
    }
}

async fn exchange<B>(
    ticket: &mut Ticket,
    lane: usize,
    head: Request<()>,
    source: &Mutex<Source<B>>,
    hold: usize,
    patience: Option<Patience<'_>>,
) -> Result<Exchange, Failure>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let empty = source.lock().is_exhausted();
    let (response, mut pump) = open(ticket, lane, head, empty).await?;
    let response = begins(response, &mut pump, source, patience).await?;
    ticket.endpoint().answered();
    let (head, stream) = response.into_parts();
    // Before the answer itself: of a stream that waits for its first message this is known now.
    ticket.told(&head.headers);
    let (held, rest) = hold_back(stream, hold, &mut pump, source).await?;
    Ok(Exchange { head, held, rest, pump })
}

/// The head of the answer, while the request is still being sent.
async fn begins<B>(
    mut response: ResponseFuture,
    pump: &mut Pump,
    source: &Mutex<Source<B>>,
    patience: Option<Patience<'_>>,
) -> Result<Response<RecvStream>, Failure>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    // Boxed, since hardly any call has one.
    let mut silence = patience.map(|patience| (Box::pin(sleep(patience.within)), patience));
    poll_fn(|cx| {
        if !pump.is_finished() {
            let sent = pump.sent();
            match pump.poll(&mut source.lock(), cx) {
                Poll::Ready(Err(PumpError::Caller)) => return Poll::Ready(Err(Failure::CallerLeft)),
                // The endpoint may answer without having read everything; the response tells.
                Poll::Ready(_) | Poll::Pending => {}
            }
            // A caller who takes long to ask is none of the endpoint's silence.
            if let Some((timer, patience)) = silence.as_mut().filter(|_| pump.sent() > sent) {
                timer.as_mut().reset(Instant::now() + patience.within);
            }
        }
        if let Poll::Ready(answered) = Pin::new(&mut response).poll(cx) {
            return Poll::Ready(answered.map_err(|error| failure(&error)));
        }
        if let Some((timer, patience)) = &mut silence
            && timer.as_mut().poll(cx).is_ready()
        {
            let given_up = source.lock().can_replay() && patience.budget.withdraw();
            silence = None;
            return if given_up { Poll::Ready(Err(Failure::Silent)) } else { Poll::Pending };
        }
        Poll::Pending
    })
    .await
}

async fn open(ticket: &mut Ticket, lane: usize, head: Request<()>, empty: bool) -> Result<(ResponseFuture, Pump), Failure> {
    let (mut opened, place) = usable(ticket, lane).await.ok_or(Failure::NotBegun)?;
    let sent = opened.send.send_request(head, empty).inspect_err(|_| place.forget(&opened));
    ticket.is_on(place);
    let (response, stream) = sent.map_err(|_| Failure::NotBegun)?;
    Ok((response, Pump::new(stream)))
}

/// An open connection with room, or a new one where the old one is closing: an endpoint that drains, or that found it idle, said GOAWAY.
async fn usable(ticket: &Ticket, lane: usize) -> Option<(Opened, OnConnection)> {
    let endpoint = ticket.endpoint();
    let lane = &endpoint.lanes[lane];
    let mut place = lane.place(ticket.calls_per_connection());
    for _ in 0..2 {
        let (mut opened, at) = reached(endpoint, lane, place).await?;
        if poll_fn(|cx| opened.send.poll_ready(cx)).await.is_ok() {
            return Some((opened, at));
        }
        at.forget(&opened);
        place = at;
    }
    None
}

/// The connection at this place. An endpoint that takes no further one, since it has as many as it may have, is asked by the first.
async fn reached(endpoint: &Endpoint, lane: &Lane, place: OnConnection) -> Option<(Opened, OnConnection)> {
    let failed = match place.get(endpoint.addr).await {
        Ok(opened) => return Some((opened, place)),
        Err(error) => error,
    };
    let error = match lane.back(&place) {
        None => failed,
        Some(first) => match first.get(endpoint.addr).await {
            Ok(opened) => return Some((opened, first)),
            Err(error) => error,
        },
    };
    tracing::debug!(endpoint = %endpoint.id, %error, "an endpoint cannot be reached");
    endpoint.failed();
    None
}

async fn hold_back<B>(
    mut stream: RecvStream,
    hold: usize,
    pump: &mut Pump,
    source: &Mutex<Source<B>>,
) -> Result<(VecDeque<Bytes>, Rest), Failure>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let (mut held, mut bytes) = (VecDeque::new(), 0);
    if stream.is_end_stream() {
        return Ok((held, Rest::Trailers(None)));
    }
    loop {
        let piece = poll_fn(|cx| {
            if !pump.is_finished() {
                let _ = pump.poll(&mut source.lock(), cx);
            }
            poll_stream(&mut stream, cx)
        })
        .await;
        match piece {
            Streamed::Data(data) => {
                bytes += data.len();
                held.push_back(data);
                if bytes > hold {
                    return Ok((held, Rest::Data(stream)));
                }
            }
            Streamed::End(trailers) => return Ok((held, Rest::Trailers(trailers))),
            Streamed::Broken(error) => return Err(failure(&error)),
        }
    }
}

fn failure(error: &h2::Error) -> Failure {
    let refused = error.reason() == Some(h2::Reason::REFUSED_STREAM) || (error.is_go_away() && error.is_remote());
    if refused { Failure::NotBegun } else { Failure::Broken }
}

/// Puts an answer together for the caller.
pub(crate) fn respond<B>(mut answer: Answer, mut source: Source<B>) -> Response<crate::RelayBody<B>> {
    source.stop_keeping();
    hide_from_compression(&mut answer.head.headers);
    let upload = answer.upload.map(|pump| (pump, source));
    Response::from_parts(answer.head, crate::RelayBody::new(answer.held, answer.rest, upload, answer.ticket))
}
