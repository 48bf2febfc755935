//! A kept answer as bytes, for whoever keeps it outside of this process.
//!
//! Its age is told by the clock of whoever wrote it. What cannot be read, or comes from another form of these bytes, is as if it were not there.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use prost::Message as _;
use tokio::time::Instant;

use super::{identity, kept::Kept};

/// The form of what is written. Whatever changes its meaning counts it up.
const FORM: u32 = 1;
/// Clocks of routers differ by so much at most: what was written later than that has no age.
const SKEW: Duration = Duration::from_secs(1);

#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(uint32, tag = "1")]
    form: u32,
    /// Which load gave it.
    #[prost(uint64, tag = "2")]
    load: u64,
    /// When it was given, in milliseconds since 1970.
    #[prost(uint64, tag = "3")]
    born_ms: u64,
    /// For how long it is good from then on.
    #[prost(uint64, tag = "4")]
    ttl_ms: u64,
    #[prost(message, repeated, tag = "5")]
    headers: Vec<Field>,
    /// Without their prefix and without an id.
    #[prost(bytes = "bytes", repeated, tag = "6")]
    messages: Vec<Bytes>,
    #[prost(message, repeated, tag = "7")]
    trailers: Vec<Field>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Field {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

impl Kept {
    /// As bytes. `now_ms` are milliseconds since 1970.
    pub(super) fn write(&self, now_ms: u64) -> Bytes {
        let age = self.since().elapsed();
        let stored = Stored {
            form: FORM,
            load: self.load(),
            born_ms: now_ms.saturating_sub(millis(age)),
            ttl_ms: millis(self.ttl()),
            headers: fields(self.headers()),
            messages: self.messages().to_vec(),
            trailers: fields(self.trailers()),
        };
        stored.encode_to_vec().into()
    }

    /// Reads what [`Self::write`] wrote; `None` where it cannot be read, is from the future, or its time is up.
    pub(super) fn read(stored: Bytes, now_ms: u64) -> Option<Self> {
        let Stored { form, load, born_ms, ttl_ms, headers, messages, trailers } = Stored::decode(stored).ok()?;
        let age = Duration::from_millis(now_ms.saturating_sub(born_ms));
        let ttl = Duration::from_millis(ttl_ms);
        let is_whole = |message: &Bytes| identity::part(message).is_some_and(|parted| parted.id.is_empty());
        let is_good = form == FORM && load > 0 && born_ms <= now_ms.saturating_add(millis(SKEW)) && age < ttl;
        if !is_good || !messages.iter().all(is_whole) {
            return None;
        }
        let since = Instant::now().checked_sub(age)?;
        let until = since.checked_add(ttl)?;
        Some(Self::made(map(headers)?, messages, map(trailers)?, load, since..until))
    }
}

fn millis(of: Duration) -> u64 {
    u64::try_from(of.as_millis()).unwrap_or(u64::MAX)
}

fn fields(of: &HeaderMap) -> Vec<Field> {
    let field = |(name, value): (&HeaderName, &HeaderValue)| Field {
        name: name.as_str().to_owned(),
        value: Bytes::copy_from_slice(value.as_bytes()),
    };
    of.iter().map(field).collect()
}

fn map(of: Vec<Field>) -> Option<HeaderMap> {
    let mut map = HeaderMap::new();
    for Field { name, value } in of {
        let (name, value) = (HeaderName::try_from(name).ok()?, HeaderValue::from_maybe_shared(value).ok()?);
        // More than a map can have is refused, not a panic.
        map.try_append(name, value).ok()?;
    }
    Some(map)
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};
    use http_body_util::BodyExt as _;
    use proptest::prelude::*;
    use torchmesh_api::{
        frame,
        headers::{GRPC_STATUS, X_TORCHMESH_USAGE},
        text::v1::GenerateResponse,
    };

    use super::{super::Caching, *};

    const NOW: u64 = 1_700_000_000_000;

    fn kept() -> Kept {
        let headers = HeaderMap::from_iter([(X_TORCHMESH_USAGE, HeaderValue::from_static("stories/1 load=9 prompt=4 completion=2"))]);
        let piece = |text: &str| frame::encode(&GenerateResponse { id: "first".into(), text: text.into(), ..Default::default() });
        let data = [piece("Once "), piece("upon")].concat().into();
        let trailers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from(0))]);
        Kept::of(headers, &data, trailers, Caching { ttl: Duration::from_secs(60), shared: false }).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_read_answers_as_what_was_written_and_is_as_old() {
        let kept = kept();
        tokio::time::advance(Duration::from_secs(3)).await;
        let written = kept.write(NOW);
        // Another router reads it two seconds later.
        let read = Kept::read(written, NOW + 2000).unwrap();
        let (one, other) = (kept.answer(b"x"), read.answer(b"x"));
        assert_eq!((one.headers()[header::AGE].as_bytes(), other.headers()[header::AGE].as_bytes()), (&b"3"[..], &b"5"[..]));
        assert_eq!(one.headers()[X_TORCHMESH_USAGE], other.headers()[X_TORCHMESH_USAGE]);
        let (one, other) = (one.into_body().collect().await.unwrap(), other.into_body().collect().await.unwrap());
        assert_eq!(one.trailers(), other.trailers());
        assert_eq!(one.to_bytes(), other.to_bytes());
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_good_for_the_load_that_gave_it_and_for_what_is_left_of_its_time() {
        let written = kept().write(NOW);
        let read = Kept::read(written.clone(), NOW + 20_000).unwrap();
        let (now, hour, second) = (Instant::now(), Duration::from_secs(3600), Duration::from_secs(1));
        assert!(read.is_good(&[4, 9], hour, now) && !read.is_good(&[4, 10], hour, now), "another load");
        assert!(read.is_good(&[9], hour, now + 39 * second) && !read.is_good(&[9], hour, now + 40 * second), "its time is up");
        assert!(!read.is_good(&[9], 20 * second, now), "this caller wants none that is so old");
        assert!(Kept::read(written.clone(), NOW + 60_000).is_none(), "overdue");
        assert!(Kept::read(written.clone(), NOW - 1000).is_some(), "clocks differ a little");
        assert!(Kept::read(written, NOW - 1001).is_none(), "from the future");
    }

    #[tokio::test]
    async fn another_form_an_id_and_a_name_that_is_none_are_as_if_nothing_were_there() {
        let good = Stored::decode(kept().write(NOW)).unwrap();
        let read = |stored: Stored| Kept::read(stored.encode_to_vec().into(), NOW);
        assert!(read(good.clone()).is_some());
        let with_id = frame::message(frame::encode(&GenerateResponse { id: "first".into(), ..Default::default() })).unwrap();
        let name = |name: &str| vec![Field { name: name.into(), value: Bytes::from_static(b"1") }];
        for bad in [
            Stored { form: FORM + 1, ..good.clone() },
            Stored { load: 0, ..good.clone() },
            Stored { ttl_ms: 0, ..good.clone() },
            Stored { messages: vec![with_id], ..good.clone() },
            Stored { messages: vec![Bytes::from_static(b"\xff")], ..good.clone() },
            Stored { headers: name("a b"), ..good.clone() },
            Stored { trailers: vec![Field { name: "a".into(), value: Bytes::from_static(b"\n") }], ..good.clone() },
        ] {
            assert!(read(bad.clone()).is_none(), "{bad:?}");
        }
        let forever = Stored { ttl_ms: u64::MAX, ..good };
        assert!(read(forever).is_none_or(|kept| kept.is_good(&[9], Duration::from_secs(1), Instant::now())), "and nothing overflows");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..200), now in any::<u64>()) {
            let _ = Kept::read(bytes.into(), now);
        }
    }
}
