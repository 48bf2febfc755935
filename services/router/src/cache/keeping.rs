//! An answer on its way to its caller, that is to be kept.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::{Cache, Caching, Kept, Key, Question, flights::Flight};

/// See the module. Who waits for the answer waits until this is dropped.
#[derive(Debug)]
pub struct Keeping {
    cache: Cache,
    key: Key,
    caching: Caching,
    headers: HeaderMap,
    data: BytesMut,
    _flight: Option<Flight>,
}

impl Keeping {
    /// The answer to a question, of which the headers are there.
    pub fn new(cache: Cache, question: &Question, flight: Option<Flight>, headers: HeaderMap) -> Box<Self> {
        Box::new(Self { cache, key: question.key, caching: question.caching, headers, data: BytesMut::new(), _flight: flight })
    }

    /// A piece of it. False when it has become too large to be kept.
    pub fn goes_on(&mut self, data: &Bytes) -> bool {
        let fits = self.data.len() + data.len() <= self.cache.max_message();
        if fits {
            self.data.extend_from_slice(data);
        }
        fits
    }

    /// It has come to its good end.
    pub fn ends(self: Box<Self>, trailers: &HeaderMap) {
        let Self { cache, key, caching, headers, data, _flight } = *self;
        if let Some(kept) = Kept::of(headers, &data.freeze(), trailers.clone(), caching) {
            cache.keep(key, kept);
        }
        // Whoever waits finds it now.
    }
}
