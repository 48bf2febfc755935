//! The body of a call on its way through: read once from the caller, and kept while it may have to be sent again.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use parking_lot::Mutex;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    peek::{self, Peek},
};

use crate::BoxError;

/// The frames of a request, by reference: nothing is copied unless the routing fields straddle two frames.
#[derive(Debug)]
pub struct Source<B> {
    frames: VecDeque<Bytes>,
    /// How many of `frames` the current attempt has taken. Always 0 once nothing is kept any more.
    taken: usize,
    kept_bytes: usize,
    keep_up_to: usize,
    keeping: bool,
    rest: Option<B>,
    copy: Option<Copied>,
}

/// Who wants the frames of a request too. They are shared, not copied.
#[derive(Debug, Clone)]
pub struct Copied(Arc<Mutex<Gathered>>);

#[derive(Debug, Default)]
struct Gathered {
    frames: VecDeque<Bytes>,
    bytes: usize,
    at_most: usize,
    complete: bool,
}

impl Copied {
    fn push(&self, frame: &Bytes) {
        let mut gathered = self.0.lock();
        gathered.bytes += frame.len();
        if gathered.bytes > gathered.at_most {
            gathered.frames.clear();
        } else {
            gathered.frames.push_back(frame.clone());
        }
    }

    /// The whole request; `None` when it has not come to its end, or is larger than was wanted.
    pub fn take(self) -> Option<VecDeque<Bytes>> {
        let mut gathered = self.0.lock();
        let whole = gathered.complete && gathered.bytes <= gathered.at_most;
        whole.then(|| std::mem::take(&mut gathered.frames))
    }
}

/// Why the routing fields could not be read.
#[derive(Debug)]
pub enum PeekError {
    /// The bytes are no message of ours; the text says why.
    Malformed(&'static str),
    /// The message is compressed, which its routing fields would have to be undone for.
    Compressed,
    /// The message announces more bytes than the limit.
    TooLarge {
        /// The announced length in bytes.
        announced: usize,
        /// The limit.
        limit: usize,
    },
    /// The caller's stream broke.
    Broken(BoxError),
}

impl From<PeekError> for ApiError {
    fn from(error: PeekError) -> Self {
        match error {
            PeekError::Malformed(why) => Self::new(ErrorKind::InvalidArgument, why),
            // As gRPC has it for an encoding that the server does not have.
            PeekError::Compressed => Self::new(ErrorKind::Unimplemented, "the message is compressed; send it with grpc-encoding: identity"),
            PeekError::TooLarge { announced, limit } => {
                let message = format!("the message has {announced} bytes and the limit is {limit}; send it in smaller parts");
                Self::new(ErrorKind::TooLarge, message)
            }
            PeekError::Broken(_) => Self::new(ErrorKind::Cancelled, "the request broke off"),
        }
    }
}

impl<B> Source<B> {
    /// A body that is whole already, in pieces that leave as the memory that they are.
    pub fn whole(frames: VecDeque<Bytes>) -> Self {
        let kept_bytes = frames.iter().map(Bytes::len).sum();
        Self { kept_bytes, frames, taken: 0, keep_up_to: usize::MAX, keeping: true, rest: None, copy: None }
    }

    /// Whether every frame has come.
    pub fn is_complete(&self) -> bool {
        self.rest.is_none()
    }

    /// Whether another attempt can send everything that this one has sent.
    pub fn can_replay(&self) -> bool {
        self.keeping
    }

    /// The same call once more, if all of it has been sent and is still there; the frames are shared, not copied.
    pub(crate) fn again(&self) -> Option<Self> {
        let whole = self.keeping && self.is_exhausted();
        whole.then(|| Self {
            frames: self.frames.clone(),
            taken: 0,
            kept_bytes: self.kept_bytes,
            keep_up_to: self.keep_up_to,
            keeping: true,
            rest: None,
            copy: None,
        })
    }

    /// Begins again with the first frame. Only when [`Self::can_replay`].
    pub(crate) fn rewind(&mut self) {
        self.taken = 0;
    }

    /// Nothing will be sent again: lets go of what was sent.
    pub(crate) fn stop_keeping(&mut self) {
        if self.keeping {
            self.frames.drain(..self.taken);
            (self.keeping, self.taken) = (false, 0);
        }
    }

    /// The next frame that has come and was not taken.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        if !self.keeping {
            return self.frames.pop_front();
        }
        let frame = self.frames.get(self.taken)?.clone();
        self.taken += 1;
        Some(frame)
    }

    /// Whether every frame has come and was taken.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.rest.is_none() && self.taken == self.frames.len()
    }

    /// Shares the frames with somebody else too, up to `at_most` bytes. Before anything was sent.
    pub fn copied(&mut self, at_most: usize) -> Copied {
        let copy = Copied(Arc::new(Mutex::new(Gathered { at_most, complete: self.rest.is_none(), ..Default::default() })));
        self.frames.iter().for_each(|frame| copy.push(frame));
        self.copy = Some(copy.clone());
        copy
    }

    /// What has come so far, in frames.
    pub fn seen(&self) -> impl Iterator<Item = &Bytes> {
        self.frames.iter()
    }

    fn end(&mut self) {
        self.rest = None;
        if let Some(copy) = &self.copy {
            copy.0.lock().complete = true;
        }
    }

    fn push(&mut self, frame: Bytes) {
        if let Some(copy) = &self.copy {
            copy.push(&frame);
        }
        self.kept_bytes += frame.len();
        self.frames.push_back(frame);
        if self.kept_bytes > self.keep_up_to {
            self.stop_keeping();
        }
    }
}

impl<B> Source<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// A body that is still coming; up to `keep_up_to` bytes of it are kept for another attempt.
    pub fn new(body: B, keep_up_to: usize) -> Self {
        let rest = (!body.is_end_stream()).then_some(body);
        Self { frames: VecDeque::new(), taken: 0, kept_bytes: 0, keep_up_to, keeping: true, rest, copy: None }
    }

    /// Waits for one more frame; false when there are no more.
    pub(crate) fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, BoxError>> {
        loop {
            let Some(body) = &mut self.rest else { return Poll::Ready(Ok(false)) };
            let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
            let ended = body.is_end_stream();
            match frame {
                None => self.end(),
                Some(Err(error)) => return Poll::Ready(Err(error.into())),
                Some(Ok(frame)) => {
                    if ended {
                        self.end();
                    }
                    // A gRPC client sends no trailers; should one, they mean nothing to the next hop.
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        self.push(data);
                        return Poll::Ready(Ok(true));
                    }
                }
            }
        }
    }

    /// Waits until the whole request is there; false when it is larger than `at_most` bytes, or than what is kept. Before anything was sent.
    pub async fn complete(&mut self, at_most: usize) -> Result<bool, PeekError> {
        while !self.is_complete() {
            if self.kept_bytes > at_most || !self.keeping {
                return Ok(false);
            }
            std::future::poll_fn(|cx| self.poll_more(cx)).await.map_err(PeekError::Broken)?;
        }
        Ok(self.keeping && self.kept_bytes <= at_most)
    }

    /// Waits until the first `at_most` bytes of the first message are there, or all of it where it has fewer. Before anything was sent.
    pub async fn begins(&mut self, at_most: usize) -> Result<(), PeekError> {
        while !self.is_complete() {
            let prefix: Vec<u8> = self.frames.iter().flatten().take(peek::PREFIX).copied().collect();
            let announced = peek::prefix(&prefix).map_or(usize::MAX, |(_, length)| peek::PREFIX.saturating_add(length));
            if self.kept_bytes >= announced.min(at_most) {
                break;
            }
            std::future::poll_fn(|cx| self.poll_more(cx)).await.map_err(PeekError::Broken)?;
        }
        Ok(())
    }

    /// Reads frames until the routing fields of the first message are known, and hands them to `found`.
    ///
    /// A message that announces more than `max_message` bytes is refused before its bytes are read.
    pub async fn peek<T>(&mut self, max_message: usize, found: impl FnOnce(peek::Routing<'_>) -> T) -> Result<T, PeekError> {
        let mut joined = BytesMut::new();
        loop {
            // In nearly every call the first frame holds the routing fields: then it is read where it lies.
            let seen: &[u8] = if joined.is_empty() { self.frames.front().map_or(&[], |frame| frame) } else { &joined };
            match peek::prefix(seen) {
                Some((true, _)) => return Err(PeekError::Compressed),
                Some((false, announced)) if announced > max_message => return Err(PeekError::TooLarge { announced, limit: max_message }),
                _ => {}
            }
            match peek::routing(seen, self.is_complete()) {
                Peek::Found(routing) => return Ok(found(routing)),
                Peek::Malformed(why) => return Err(PeekError::Malformed(why)),
                Peek::More => {}
            }
            let more = std::future::poll_fn(|cx| self.poll_more(cx)).await.map_err(PeekError::Broken)?;
            if more && self.frames.len() > 1 {
                if joined.is_empty() {
                    self.frames.iter().for_each(|frame| joined.extend_from_slice(frame));
                } else if let Some(last) = self.frames.back() {
                    joined.extend_from_slice(last);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, convert::Infallible};

    use http_body::{Frame, SizeHint};

    use super::*;

    /// A body of given frames.
    struct Frames(VecDeque<Bytes>);

    impl Body for Frames {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|frame| Ok(Frame::data(frame))))
        }
        fn is_end_stream(&self) -> bool {
            self.0.is_empty()
        }
        fn size_hint(&self) -> SizeHint {
            SizeHint::default()
        }
    }

    fn message(payload: usize) -> Vec<u8> {
        let mut body = vec![0x0a, 6];
        body.extend(b"minilm");
        body.extend([0x12, 1, b'3', 0x1a, 1, b'x', 0x3a]);
        let mut length = payload;
        while length >= 0x80 {
            body.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        body.push(length as u8);
        body.extend(std::iter::repeat_n(7, payload));
        let mut framed = vec![0];
        framed.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
        framed.extend(body);
        framed
    }

    fn source(bytes: &[u8], frame: usize, keep: usize) -> Source<Frames> {
        Source::new(Frames(bytes.chunks(frame).map(Bytes::copy_from_slice).collect()), keep)
    }

    async fn peek_name(source: &mut Source<Frames>) -> Result<(String, String), PeekError> {
        source.peek(1 << 20, |routing| (routing.name.to_owned(), routing.version.to_owned())).await
    }

    #[tokio::test]
    async fn the_routing_fields_are_found_however_the_frames_are_cut() {
        let bytes = message(300);
        for frame in [1, 2, 3, 5, 7, 11, 100, 10_000] {
            let mut source = source(&bytes, frame, usize::MAX);
            assert_eq!(peek_name(&mut source).await.unwrap(), ("minilm".into(), "3".into()), "frames of {frame}");
            let mut sent = Vec::new();
            while std::future::poll_fn(|cx| source.poll_more(cx)).await.unwrap() {}
            while let Some(frame) = source.take() {
                sent.extend_from_slice(&frame);
            }
            assert_eq!(sent, bytes, "frames of {frame}");
        }
    }

    #[tokio::test]
    async fn a_frame_leaves_as_the_memory_it_came_in() {
        let frame = Bytes::from(message(16 << 20));
        let mut source = Source::new(Frames(VecDeque::from([frame.clone()])), 0);
        source.peek(32 << 20, |_| ()).await.unwrap();
        assert_eq!(source.take().unwrap().as_ptr(), frame.as_ptr());
    }

    #[tokio::test]
    async fn what_is_kept_can_be_sent_again_and_what_is_too_large_is_let_go() {
        let bytes = message(300);
        let mut small = source(&bytes, 50, 10_000);
        while std::future::poll_fn(|cx| small.poll_more(cx)).await.unwrap() {}
        let first: Vec<_> = std::iter::from_fn(|| small.take()).collect();
        assert!(small.is_exhausted() && small.can_replay());
        small.rewind();
        assert_eq!(std::iter::from_fn(|| small.take()).collect::<Vec<_>>(), first);

        let mut large = source(&bytes, 50, 120);
        while std::future::poll_fn(|cx| large.poll_more(cx)).await.unwrap() {
            large.take();
        }
        assert!(!large.can_replay() && large.frames.is_empty());
    }

    #[tokio::test]
    async fn somebody_else_gets_the_same_frames_when_all_have_come_and_are_not_too_many() {
        let bytes = message(300);
        for (at_most, wanted) in [(bytes.len(), true), (bytes.len() - 1, false)] {
            let mut source = source(&bytes, 50, 0);
            peek_name(&mut source).await.unwrap();
            let (half, whole) = (source.copied(at_most), source.copied(at_most));
            assert!(half.take().is_none());
            while std::future::poll_fn(|cx| source.poll_more(cx)).await.unwrap() {
                source.take();
            }
            let copy = whole.take().map(|frames| frames.iter().flatten().copied().collect::<Vec<_>>());
            assert_eq!(copy, wanted.then(|| bytes.clone()));
        }
    }

    #[tokio::test]
    async fn the_beginning_of_a_message_is_waited_for_and_no_more() {
        let (first, frame) = (message(300), 50);
        let mut bytes = first.clone();
        bytes.extend(message(300));
        for (at_most, wanted) in [(0, 0), (1, 50), (120, 150), (1000, first.len().next_multiple_of(frame)), (usize::MAX, 350)] {
            let mut source = source(&bytes, frame, usize::MAX);
            source.begins(at_most).await.unwrap();
            assert_eq!(source.seen().map(Bytes::len).sum::<usize>(), wanted, "at most {at_most} bytes");
        }
        let mut cut = source(&first[..200], frame, usize::MAX);
        cut.begins(usize::MAX).await.unwrap();
        assert!(cut.is_complete());
    }

    #[tokio::test]
    async fn a_message_over_the_limit_is_refused_by_its_first_bytes() {
        let mut source = source(&message(5000)[..20], 20, usize::MAX);
        assert!(matches!(source.peek(4000, |_| ()).await, Err(PeekError::TooLarge { announced, .. }) if announced > 5000));
    }
}
