//! An answer that is kept, and how it is given again.

use std::{
    collections::VecDeque,
    convert::Infallible,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::{Body, Frame};
use tokio::time::Instant;
use torchmesh_api::{
    headers::{X_CACHE, X_TORCHMESH_COMPUTE_US, X_TORCHMESH_LOAD, X_TORCHMESH_QUEUE_US, X_TORCHMESH_USAGE},
    peek::{self, PREFIX},
    usage::{Figures, Usage},
};

use super::{Caching, identity};

/// Of one call: what the next one gets is said anew.
const OF_ITS_CALL: [http::HeaderName; 5] = [X_TORCHMESH_COMPUTE_US, X_TORCHMESH_LOAD, X_TORCHMESH_QUEUE_US, X_TORCHMESH_USAGE, X_CACHE];
/// About what an answer takes beside its bytes.
const OVERHEAD: usize = 512;

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Kept(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    headers: HeaderMap,
    /// Without their prefix, and without the id of the caller who asked first.
    messages: Vec<Bytes>,
    trailers: HeaderMap,
    load: u64,
    since: Instant,
    until: Instant,
}

impl Kept {
    /// What these headers, bytes and trailers answered; `None` where it is not known which load it came from, or the bytes cannot be read.
    pub(super) fn of(mut headers: HeaderMap, data: &Bytes, trailers: HeaderMap, caching: Caching) -> Option<Self> {
        let told = headers.get(X_TORCHMESH_USAGE)?.clone();
        let usage = Usage::parse(told.to_str().ok()?)?;
        let load = Some(usage.load).filter(|&load| load > 0)?;
        // Whoever gets it again computes nothing: all that was read, was read before.
        let figures = Figures { cached_tokens: usage.figures.prompt_tokens, hit: 1, ..usage.figures };
        let usage = HeaderValue::try_from(Usage { figures, ..usage }.to_string()).ok()?;
        for name in &OF_ITS_CALL {
            headers.remove(name);
        }
        headers.insert(X_TORCHMESH_USAGE, usage);
        headers.insert(X_CACHE, HeaderValue::from_static("hit"));
        let since = Instant::now();
        Some(Self::made(headers, messages(data)?, trailers, load, since..since + caching.ttl))
    }

    /// Of its parts: messages without prefix and id, and when it is good.
    pub(super) fn made(headers: HeaderMap, messages: Vec<Bytes>, trailers: HeaderMap, load: u64, good: Range<Instant>) -> Self {
        Self(Arc::new(Inner { headers, messages, trailers, load, since: good.start, until: good.end }))
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    pub(super) fn messages(&self) -> &[Bytes] {
        &self.0.messages
    }

    pub(super) fn trailers(&self) -> &HeaderMap {
        &self.0.trailers
    }

    pub(super) fn load(&self) -> u64 {
        self.0.load
    }

    /// When it was given.
    pub(super) fn since(&self) -> Instant {
        self.0.since
    }

    /// For how long it is good from then on.
    pub(super) fn ttl(&self) -> Duration {
        self.0.until.saturating_duration_since(self.0.since)
    }

    /// Whether one of these loads gave it, its time is not up, and it is not older than this caller has it.
    pub(super) fn is_good(&self, loads: &[u64], ttl: Duration, now: Instant) -> bool {
        loads.contains(&self.0.load) && now < self.0.until && now.saturating_duration_since(self.0.since) < ttl
    }

    /// How much memory it takes, about.
    pub(super) fn bytes(&self) -> usize {
        OVERHEAD + self.0.messages.iter().map(|message| message.len() + size_of::<Bytes>()).sum::<usize>()
    }

    /// The answer to a caller with this id.
    pub fn answer(&self, id: &[u8]) -> Response<Replay> {
        let framed = |message: &Bytes| {
            let mut with_id = message.to_vec();
            identity::add(&mut with_id, id);
            let mut framed = BytesMut::with_capacity(PREFIX + with_id.len());
            framed.put_u8(0);
            framed.put_u32(with_id.len() as u32);
            framed.extend_from_slice(&with_id);
            framed.freeze()
        };
        let frames = self.0.messages.iter().map(framed).map(Frame::data).chain([Frame::trailers(self.0.trailers.clone())]);
        let mut response = Response::new(Replay(frames.collect()));
        response.headers_mut().clone_from(&self.0.headers);
        response.headers_mut().insert(header::AGE, HeaderValue::from(self.0.since.elapsed().as_secs()));
        response
    }
}

/// The messages of a body, without their ids.
fn messages(data: &Bytes) -> Option<Vec<Bytes>> {
    let (mut messages, mut rest) = (Vec::new(), data.clone());
    while !rest.is_empty() {
        let (compressed, length) = peek::prefix(&rest)?;
        if compressed || rest.len() < PREFIX + length {
            return None;
        }
        let message = rest.split_to(PREFIX + length).slice(PREFIX..);
        messages.push(identity::part(&message)?.rest.concat().into());
    }
    Some(messages)
}

/// An answer that is given again.
#[derive(Debug)]
pub struct Replay(VecDeque<Frame<Bytes>>);

impl Body for Replay {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use prost::Message as _;
    use torchmesh_api::{frame, headers::GRPC_STATUS, text::v1::GenerateResponse};

    use super::*;

    fn answered(usage: &'static str) -> Option<Kept> {
        let headers =
            HeaderMap::from_iter([(X_TORCHMESH_USAGE, HeaderValue::from_static(usage)), (X_TORCHMESH_COMPUTE_US, HeaderValue::from(7))]);
        let piece = |text: &str| frame::encode(&GenerateResponse { id: "first".into(), text: text.into(), ..Default::default() });
        let data = [piece("Once "), piece("upon")].concat().into();
        let trailers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from(0))]);
        Kept::of(headers, &data, trailers, Caching { ttl: Duration::from_secs(5), shared: false })
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_given_again_with_the_next_callers_id() {
        let kept = answered("stories/1 load=9 prompt=4 completion=2").unwrap();
        tokio::time::advance(Duration::from_secs(3)).await;
        let answer = kept.answer(b"second");
        assert_eq!(answer.headers()[X_TORCHMESH_USAGE], "stories/1 load=9 prompt=4 cached=4 completion=2 hit=1");
        assert_eq!((answer.headers()[X_CACHE].as_bytes(), answer.headers()[header::AGE].as_bytes()), (&b"hit"[..], &b"3"[..]));
        assert!(!answer.headers().contains_key(X_TORCHMESH_COMPUTE_US));
        let whole = answer.into_body().collect().await.unwrap();
        assert_eq!(whole.trailers().unwrap()[GRPC_STATUS], "0");
        let texts = messages(&whole.to_bytes()).unwrap();
        let texts: Vec<_> = texts.into_iter().map(|message| GenerateResponse::decode(message).unwrap().text).collect();
        assert_eq!(texts, ["Once ", "upon"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_good_for_its_time_and_while_the_load_that_gave_it_answers() {
        let kept = answered("stories/1 load=9").unwrap();
        let now = Instant::now();
        let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
        assert!(kept.is_good(&[4, 9], hour, now) && !kept.is_good(&[4, 10], hour, now));
        assert!(!kept.is_good(&[9], hour, now + 5 * second));
        assert!(kept.is_good(&[9], 3 * second, now + 2 * second) && !kept.is_good(&[9], 2 * second, now + 2 * second));
        assert!(answered("stories/1 prompt=4").is_none(), "nobody knows which load that was");
    }
}
