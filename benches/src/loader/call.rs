//! One unary call and everything that can become of it.

use std::{
    future::poll_fn,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use h2::{Reason, RecvStream, client::SendRequest};
use http::{HeaderMap, Request, StatusCode};
use torchmesh_api::headers::{GRPC_MESSAGE, GRPC_STATUS};

use crate::grpc::{FRAME_HEADER, OK};

/// What the calls of a run send: the same head, and framed messages in turn.
pub(super) struct Template {
    pub(super) head: Request<()>,
    /// At least one.
    pub(super) bodies: Vec<Bytes>,
    begun: AtomicUsize,
    /// The message of the answer that came last, for a run that wants to see one.
    kept: Option<Mutex<Vec<u8>>>,
}

impl Template {
    pub(super) fn new(head: Request<()>, bodies: Vec<Bytes>, keeps_answer: bool) -> Self {
        Self { head, bodies, begun: AtomicUsize::new(0), kept: keeps_answer.then(Mutex::default) }
    }

    /// The message whose turn it is.
    pub(super) fn next_body(&self) -> Bytes {
        self.bodies[self.begun.fetch_add(1, Ordering::Relaxed) % self.bodies.len()].clone()
    }

    /// The length of a message in its frame; the mean, where they differ.
    pub(super) fn body_bytes(&self) -> usize {
        self.bodies.iter().map(Bytes::len).sum::<usize>() / self.bodies.len()
    }

    /// The message of the last answer, without its frame; empty when none was kept.
    pub(super) fn last_answer(&self) -> Vec<u8> {
        self.kept.as_ref().map_or_else(Vec::new, |kept| kept.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// How one call ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// With `grpc-status: 0` and exactly one whole message.
    Answered,
    /// As [`Outcome::Answered`], after the call's deadline.
    Late,
    /// With another gRPC code, and its message.
    Refused(u32, String),
    /// The answer broke the protocol: another HTTP status, no `grpc-status`, or a message that is not whole.
    Malformed(String),
    /// The connection broke with the call under way; whether the server has done the work is not known.
    Broken(String),
    /// The server has certainly not touched the call (gRPC's "transparent retry"): it may go again elsewhere.
    NotProcessed,
}

/// Sends the call and reads its answer to the end.
pub(super) async fn call(sender: &mut SendRequest<Bytes>, template: &Template, message: &Bytes) -> Outcome {
    if poll_fn(|context| sender.poll_ready(context)).await.is_err() {
        return Outcome::NotProcessed;
    }
    let Ok((response, mut body)) = sender.send_request(template.head.clone(), false) else {
        return Outcome::NotProcessed;
    };
    // An error here is told better by the response, which fails for the same reason.
    let _ = body.send_data(message.clone(), true);
    match response.await {
        Err(error) => from_h2(&error),
        Ok(response) if response.status() != StatusCode::OK => Outcome::Malformed(format!("HTTP status {}", response.status().as_u16())),
        Ok(response) if response.headers().contains_key(GRPC_STATUS) => from_trailers(response.headers(), &Answer::default()),
        Ok(response) => read(response.into_body(), template.kept.as_ref()).await.unwrap_or_else(|error| from_h2(&error)),
    }
}

async fn read(mut body: RecvStream, kept: Option<&Mutex<Vec<u8>>>) -> Result<Outcome, h2::Error> {
    let mut answer = Answer::default();
    let mut framed = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        answer.push(&chunk);
        if kept.is_some() {
            framed.extend_from_slice(&chunk);
        }
    }
    let outcome = match body.trailers().await? {
        Some(trailers) => from_trailers(&trailers, &answer),
        None => Outcome::Malformed("no trailers".to_owned()),
    };
    if let (Outcome::Answered, Some(kept)) = (&outcome, kept) {
        *kept.lock().unwrap_or_else(PoisonError::into_inner) = framed.split_off(FRAME_HEADER);
    }
    Ok(outcome)
}

/// How much has come of the one message that a unary answer holds.
#[derive(Default)]
struct Answer {
    header: [u8; FRAME_HEADER],
    received: usize,
}

impl Answer {
    fn push(&mut self, chunk: &[u8]) {
        if let Some(missing) = self.header.get_mut(self.received..) {
            let taken = missing.len().min(chunk.len());
            missing[..taken].copy_from_slice(&chunk[..taken]);
        }
        self.received += chunk.len();
    }

    fn is_one_whole_message(&self) -> bool {
        let [_, length @ ..] = self.header;
        self.received == FRAME_HEADER + u32::from_be_bytes(length) as usize
    }
}

fn from_trailers(trailers: &HeaderMap, answer: &Answer) -> Outcome {
    let code = trailers.get(GRPC_STATUS).and_then(|code| code.to_str().ok()).and_then(|code| code.parse().ok());
    match code {
        None => Outcome::Malformed("no grpc-status".to_owned()),
        Some(OK) if answer.is_one_whole_message() => Outcome::Answered,
        Some(OK) => Outcome::Malformed(format!("{} bytes are not one whole message", answer.received)),
        Some(code) => {
            let message = trailers.get(GRPC_MESSAGE).map_or(&b""[..], http::HeaderValue::as_bytes);
            Outcome::Refused(code, String::from_utf8_lossy(message).into_owned())
        }
    }
}

fn from_h2(error: &h2::Error) -> Outcome {
    let going_away = error.is_go_away() && error.is_remote() && error.reason() == Some(Reason::NO_ERROR);
    if going_away || error.reason() == Some(Reason::REFUSED_STREAM) { Outcome::NotProcessed } else { Outcome::Broken(error.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::frame;

    fn trailers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn answer_of(chunks: &[&[u8]]) -> Answer {
        let mut answer = Answer::default();
        for chunk in chunks {
            answer.push(chunk);
        }
        answer
    }

    #[test]
    fn a_message_in_any_pieces_is_whole_and_one_that_lacks_a_byte_is_not() {
        let framed = frame(&[9; 70]);
        for cut in 0..framed.len() {
            let (first, second) = framed.split_at(cut);
            assert_eq!(from_trailers(&trailers(&[("grpc-status", "0")]), &answer_of(&[first, second])), Outcome::Answered);
            let cut_off = from_trailers(&trailers(&[("grpc-status", "0")]), &answer_of(&[first]));
            assert!(matches!(cut_off, Outcome::Malformed(_)), "{cut}: {cut_off:?}");
        }
    }

    #[test]
    fn an_error_keeps_its_code_and_message() {
        let outcome = from_trailers(&trailers(&[("grpc-status", "8"), ("grpc-message", "queue full")]), &Answer::default());
        assert_eq!(outcome, Outcome::Refused(8, "queue full".to_owned()));
    }

    #[test]
    fn an_answer_without_a_status_is_malformed() {
        assert!(matches!(from_trailers(&trailers(&[]), &answer_of(&[&frame(b"x")])), Outcome::Malformed(_)));
    }
}
