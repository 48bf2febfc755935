//! One call of an HTTP/2 connection: ask the service, send its answer, and stop when the caller resets the stream.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, server::SendResponse};
use http::{Request, Response};
use http_body::{Body, Frame};
use tower::Service;

use super::{BoxError, Incoming, resets::Waiting};

/// Answers one call. A caller that leaves drops the service's future, and so everything that it was waiting for.
pub(super) async fn answer<S, B>(mut service: S, request: Request<RecvStream>, mut reply: SendResponse<Bytes>, waiting: Waiting)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let request = request.map(Incoming::http2);
    let Ok(()) = poll_fn(|cx| service.poll_ready(cx)).await;
    let response = {
        let mut call = pin!(service.call(request));
        poll_fn(|cx| match call.as_mut().poll(cx) {
            Poll::Ready(Ok(response)) => Poll::Ready(Some(response)),
            Poll::Pending => reply.poll_reset(cx).map(|_| None),
        })
        .await
    };
    let Some(response) = response else { return waiting.given_up() };
    let (head, body) = response.into_parts();
    let head = Response::from_parts(head, ());
    let is_all = body.is_end_stream();
    match reply.send_response(head, is_all) {
        Ok(_) if is_all => {}
        Ok(stream) => {
            let mut sending = pin!(Sending { stream, body, waiting: None, begun: false });
            poll_fn(|cx| sending.as_mut().poll(cx)).await;
        }
        // Its body broke off before we looked here: the service may have answered that.
        Err(_) => waiting.given_up(),
    }
}

pin_project_lite::pin_project! {
    /// Moves frames from the body to the stream, as the caller's windows allow.
    struct Sending<B> {
        stream: SendStream<Bytes>,
        #[pin]
        body: B,
        // Data for which the caller has no window yet.
        waiting: Option<Bytes>,
        begun: bool,
    }
}

/// A first frame up to this size is handed over without asking for window, which most answers never need; what `h2` may have to hold for
/// it is bounded by one such frame a call.
const FIRST_FRAME: usize = 16 << 10;

impl<B> Sending<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.waiting.is_some() && !ready!(self.as_mut().poll_waiting(cx)) {
                return Poll::Ready(());
            }
            let this = self.as_mut().project();
            let frame = match this.body.poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => return this.stream.poll_reset(cx).map(|_| ()),
            };
            if !self.as_mut().take(frame) {
                return Poll::Ready(());
            }
        }
    }

    /// Sends one frame of the body; whether more may follow.
    fn take(self: Pin<&mut Self>, frame: Option<Result<Frame<Bytes>, B::Error>>) -> bool {
        let this = self.project();
        match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) => {
                if std::mem::replace(this.begun, true) || data.len() > FIRST_FRAME {
                    this.stream.reserve_capacity(data.len());
                    if this.stream.capacity() < data.len() {
                        *this.waiting = Some(data);
                        return true;
                    }
                }
                let last = this.body.is_end_stream();
                this.stream.send_data(data, last).is_ok() && !last
            }
            Some(Ok(Err(frame))) => {
                if let Ok(trailers) = frame.into_trailers() {
                    let _ = this.stream.send_trailers(trailers);
                }
                false
            }
            Some(Err(error)) => {
                tracing::debug!(error = %error.into(), "an answer broke off");
                this.stream.send_reset(Reason::INTERNAL_ERROR);
                false
            }
            None => {
                let _ = this.stream.send_data(Bytes::new(), true);
                false
            }
        }
    }

    /// Sends as much of the waiting data as there is window for; false when the caller has left.
    fn poll_waiting(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        let this = self.project();
        while let Some(data) = this.waiting {
            if data.is_empty() {
                *this.waiting = None;
                break;
            }
            // What is there already is not announced again.
            let window = match this.stream.capacity() {
                0 => ready!(this.stream.poll_capacity(cx)),
                window => Some(Ok(window)),
            };
            let Some(Ok(window)) = window else { return Poll::Ready(false) };
            let part = data.split_to(window.min(data.len()));
            if this.stream.send_data(part, false).is_err() {
                return Poll::Ready(false);
            }
            // Only now: `h2` counts what is buffered on top, so that reserving before the send would give away the rest's window.
            this.stream.reserve_capacity(data.len());
        }
        Poll::Ready(true)
    }
}
