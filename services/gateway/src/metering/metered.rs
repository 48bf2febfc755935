//! An answer whose end is held back until its event is durable.

use std::{
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use tonic::Status;
use torchmesh_api::error::{ApiError, ErrorKind};
use torchmesh_relay::BoxError;
use torchmesh_spool::{Lost, Ticket};

use super::{
    ahead::{Ahead, Read},
    call::MeteredCall,
    meter::unmetered,
};

/// What is left of an answer.
#[derive(Debug)]
enum Stage {
    /// It goes on.
    Open(MeteredCall),
    /// Its end is there, and waits for the event.
    Held(Option<Ticket>, Option<Frame<Bytes>>, bool),
    Over,
}

pin_project_lite::pin_project! {
    /// The body. It ends when its event is durable: the trailers, or the last bytes where there are none, wait for that.
    pub struct Metered<B> {
        #[pin]
        body: B,
        ahead: Ahead,
        stage: Stage,
    }
}

impl<B> From<B> for Metered<B> {
    fn from(body: B) -> Self {
        Self { body, ahead: Ahead::default(), stage: Stage::Open(MeteredCall::none()) }
    }
}

impl<B: Default> Default for Metered<B> {
    fn default() -> Self {
        Self::from(B::default())
    }
}

impl<B> Metered<B> {
    /// An answer that goes on behind what was read ahead.
    fn open(body: B, ahead: Ahead, call: MeteredCall) -> Self {
        Self { body, ahead, stage: Stage::Open(call) }
    }

    /// An answer that was read to its end, and whose event is written.
    fn over(body: B, ahead: Ahead) -> Self {
        Self { body, ahead, stage: Stage::Over }
    }
}

/// Waits for the event of an answer's end.
fn poll_held(ticket: &mut Option<Ticket>, forgives: bool, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
    let Some(waiting) = ticket else { return Poll::Ready(Ok(())) };
    let written = ready!(Pin::new(waiting).poll(cx));
    *ticket = None;
    Poll::Ready(if forgives { Ok(()) } else { written })
}

impl<B> Body for Metered<B>
where
    B: Body<Data = Bytes, Error = BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        if let Some(frame) = this.ahead.next() {
            return Poll::Ready(Some(frame));
        }
        if let Stage::Open(call) = this.stage {
            let frame = ready!(this.body.as_mut().poll_frame(cx));
            if !call.is_metered() {
                return Poll::Ready(frame);
            }
            let forgives = call.forgives();
            let (ticket, last) = match frame {
                Some(Err(error)) => {
                    drop(call.fail(ErrorKind::Internal));
                    *this.stage = Stage::Over;
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Ok(frame)) if frame.is_trailers() => {
                    call.trailers(frame.trailers_ref().unwrap_or(&HeaderMap::new()));
                    (call.end(), Some(frame))
                }
                Some(Ok(frame)) if !this.body.is_end_stream() => return Poll::Ready(Some(Ok(frame))),
                last => (call.end(), last.transpose()?),
            };
            *this.stage = Stage::Held(ticket, last, forgives);
        }
        let Stage::Held(ticket, last, forgives) = this.stage else { return Poll::Ready(None) };
        let written = ready!(poll_held(ticket, *forgives, cx));
        let last = last.take();
        *this.stage = Stage::Over;
        Poll::Ready(match (written, last) {
            (Ok(()), last) => last.map(Ok),
            (Err(_), Some(frame)) if frame.is_trailers() => Some(Ok(Frame::trailers(refusal()))),
            (Err(lost), _) => Some(Err(lost.into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.stage {
            Stage::Open(call) => !call.is_metered() && self.body.is_end_stream(),
            Stage::Held(..) => false,
            Stage::Over => self.ahead.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let ahead = self.ahead.bytes();
        match &self.stage {
            Stage::Open(_) => behind(ahead, &self.body.size_hint()),
            Stage::Held(_, last, _) => SizeHint::with_exact(last.as_ref().and_then(Frame::data_ref).map_or(0, |data| data.len() as u64)),
            Stage::Over => SizeHint::with_exact(ahead),
        }
    }
}

/// The size of what stands behind so many bytes, with them.
fn behind(ahead: u64, rest: &SizeHint) -> SizeHint {
    let mut whole = SizeHint::new();
    whole.set_lower(ahead + rest.lower());
    if let Some(upper) = rest.upper() {
        whole.set_upper(ahead + upper);
    }
    whole
}

fn refusal() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(3);
    // Fails only for texts that no header can hold, and this one can.
    let _ = Status::from(unmetered()).add_header(&mut trailers);
    trailers
}

pin_project_lite::pin_project! {
    /// The answer's head on its way out. An answer that is there whole waits here.
    pub struct Metering<F, B> {
        #[pin]
        inner: F,
        call: MeteredCall,
        held: Option<Whole<B>>,
    }
}

/// An answer that is there to its end and waits for its event.
struct Whole<B> {
    ticket: Ticket,
    answer: Result<Response<Metered<B>>, ApiError>,
    forgives: bool,
}

impl<F, B> Metering<F, B> {
    pub(super) fn new(inner: F, call: MeteredCall) -> Self {
        Self { inner, call, held: None }
    }
}

impl<F, B> Future for Metering<F, B>
where
    F: Future<Output = Result<Response<B>, ApiError>>,
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    type Output = Result<Response<Metered<B>>, ApiError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.held.is_none() {
            let answer = ready!(this.inner.poll(cx));
            match begin(answer, this.call, cx) {
                Begun::Goes(answer) => return Poll::Ready(answer),
                Begun::Waits(whole) => *this.held = Some(whole),
            }
        }
        let Some(whole) = this.held.as_mut() else { return Poll::Pending };
        let written = ready!(Pin::new(&mut whole.ticket).poll(cx)).is_ok() || whole.forgives;
        let Some(whole) = this.held.take() else { return Poll::Pending };
        Poll::Ready(if written { whole.answer } else { Err(unmetered()) })
    }
}

/// What becomes of an answer.
enum Begun<B> {
    /// It may leave.
    Goes(Result<Response<Metered<B>>, ApiError>),
    /// It may leave when its event is written.
    Waits(Whole<B>),
}

fn begin<B>(answer: Result<Response<B>, ApiError>, call: &mut MeteredCall, cx: &mut Context<'_>) -> Begun<B>
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    if !call.is_metered() {
        return Begun::Goes(answer.map(|response| response.map(Metered::from)));
    }
    let forgives = call.forgives();
    let (answer, ticket) = match answer {
        Ok(mut response) => {
            call.head(&response);
            match Ahead::read(response.body_mut(), call, cx) {
                (ahead, Read::Part) => {
                    let call = mem::replace(call, MeteredCall::none());
                    return Begun::Goes(Ok(response.map(|body| Metered::open(body, ahead, call))));
                }
                (ahead, Read::Whole(ticket)) => (Ok(response.map(|body| Metered::over(body, ahead))), ticket),
            }
        }
        Err(error) => {
            let ticket = call.fail(error.kind);
            (Err(error), ticket)
        }
    };
    match ticket {
        Some(ticket) => Begun::Waits(Whole { ticket, answer, forgives }),
        None => Begun::Goes(answer),
    }
}
