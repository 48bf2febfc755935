//! Which calls have the same answer each time, and what two of them have in common.

use std::fmt::{self, Write as _};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use torchmesh_api::{
    frame,
    headers::X_TORCHMESH_TENANT,
    method,
    text::v1::{ChatRequest, GenerateRequest, GenerationSettings},
};

use super::{Caching, identity};
use crate::table::Target;

/// The method of the Open Inference Protocol.
pub(crate) const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
/// The same, answered in pieces.
pub(crate) const INFER_STREAM: &str = "/inference.GRPCInferenceService/ModelStreamInfer";
/// The method that goes on with a prompt.
pub(crate) const GENERATE: &str = "/torchmesh.text.v1.GenerationService/Generate";
/// The method that goes on with a conversation.
pub(crate) const CHAT: &str = "/torchmesh.text.v1.GenerationService/Chat";

/// SHA-256 of everything that the answer depends on, and of whose it is: nobody can make two that are the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// In hexadecimal digits.
    pub(super) fn hex(&self) -> String {
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

#[cfg(test)]
impl Key {
    pub(super) fn of_test(number: u8) -> Self {
        Self([number; 32])
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// A call that may be answered by what is kept, and whose answer may be kept.
#[derive(Debug, Clone)]
pub struct Question {
    /// What it has in common with others that ask the same.
    pub key: Key,
    /// The caller's own id, which the answer repeats.
    pub id: Bytes,
    /// The caller wants a new answer (`cache-control: no-cache`), which is kept.
    pub renews: bool,
    /// It may wait for somebody else's answer: that comes in one piece. Those who read along as it is written would wait for its end.
    pub waits: bool,
    /// As the route has it.
    pub caching: Caching,
}

/// Whether a call may be one: by its method, and by whether its caller wants anything to be kept (RFC 9111, section 5.2.1.5).
pub fn can_be(path: &str, headers: &HeaderMap) -> bool {
    let computes = path == INFER
        || (path.starts_with("/torchmesh.") && method::find(path).is_some_and(|method| method.names_a_model && !method.streaming));
    (computes || path == GENERATE || path == CHAT) && !says(headers, "no-store")
}

impl Question {
    /// What a call asks by this whole request, in its frame; `None` where the answer may be another each time, or the request cannot be read.
    pub fn of<'a>(
        path: &str,
        headers: &HeaderMap,
        target: &Target,
        caching: Caching,
        frames: impl Iterator<Item = &'a Bytes>,
    ) -> Option<Self> {
        let message = frame::message(joined(frames))?;
        if !is_the_same_each_time(path, &message) {
            return None;
        }
        let parted = identity::part(&message)?;
        let tenant = headers.get(X_TORCHMESH_TENANT).filter(|_| !caching.shared).map_or(&b""[..], |tenant| tenant.as_bytes());
        let mut digest = Sha256::new();
        for part in [path.as_bytes(), target.name.as_bytes(), target.version.as_bytes(), tenant] {
            // Each with its length: what ends one part must not begin the next.
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        parted.rest.iter().for_each(|piece| digest.update(piece));
        let (key, id) = (Key(digest.finalize().into()), message.slice_ref(parted.id));
        let streams = path == GENERATE || path == CHAT;
        Some(Self { key, id, renews: says(headers, "no-cache"), waits: !streams, caching })
    }
}

/// Frames as one.
pub(crate) fn joined<'a>(frames: impl Iterator<Item = &'a Bytes>) -> Bytes {
    let mut frames = frames.peekable();
    let Some(first) = frames.next() else { return Bytes::new() };
    if frames.peek().is_none() {
        return first.clone();
    }
    let mut joined = BytesMut::from(&first[..]);
    frames.for_each(|frame| joined.extend_from_slice(frame));
    joined.freeze()
}

/// Of language models, what is written without chance, or with a seed that says which.
fn is_the_same_each_time(path: &str, message: &Bytes) -> bool {
    let settings = match path {
        GENERATE => GenerateRequest::decode(message.clone()).map(|request| request.settings),
        CHAT => ChatRequest::decode(message.clone()).map(|request| request.settings),
        _ => return true,
    };
    let settled = |settings: GenerationSettings| settings.temperature == Some(0.0) || settings.seed.is_some();
    settings.is_ok_and(|settings| settings.is_some_and(settled))
}

fn says(headers: &HeaderMap, directive: &str) -> bool {
    let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(directive))
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, sync::Arc, time::Duration};

    use http::HeaderValue;
    use torchmesh_api::{
        ids::{InstanceId, ModelName},
        text::v1::EmbedRequest,
    };
    use torchmesh_relay::{Endpoint, Group};

    use super::*;
    use crate::watching::Watched;

    const EMBED: &str = "/torchmesh.text.v1.TextService/Embed";

    fn target(version: &'static str) -> Target {
        let name = HeaderValue::from_static("m");
        let (group, watched) = (
            Group::single(Arc::new(Endpoint::new(InstanceId::parse("w").unwrap(), SocketAddr::from(([127, 0, 0, 1], 1)), 1))),
            Arc::new(Watched::new(1, 1)),
        );
        Target {
            model: ModelName::parse("m").unwrap(),
            name,
            version: HeaderValue::from_static(version),
            group,
            watched,
            loads: Arc::default(),
        }
    }

    fn of(tenant: &'static str, version: &'static str, shared: bool, text: &str, id: &str) -> Question {
        let headers = HeaderMap::from_iter([(X_TORCHMESH_TENANT, HeaderValue::from_static(tenant))]);
        let request = EmbedRequest { model: "m".into(), id: id.into(), texts: vec![text.into()], ..Default::default() };
        let caching = Caching { ttl: Duration::from_secs(1), shared };
        Question::of(EMBED, &headers, &target(version), caching, std::iter::once(&frame::encode(&request))).unwrap()
    }

    #[test]
    fn the_same_is_asked_by_who_sends_the_same_to_the_same_version_for_the_same_tenant() {
        let one = of("acme", "1", false, "hello", "a");
        assert_eq!(one.key, of("acme", "1", false, "hello", "b").key);
        assert_eq!(one.id, "a");
        for other in [of("acme", "2", false, "hello", "a"), of("acme", "1", false, "hullo", "a"), of("globex", "1", false, "hello", "a")] {
            assert_ne!(one.key, other.key);
        }
        assert_eq!(of("acme", "1", true, "hello", "a").key, of("globex", "1", true, "hello", "a").key);
    }

    #[test]
    fn what_is_drawn_by_chance_is_not_kept_and_what_a_seed_decides_is() {
        let settings = |temperature, seed| Some(GenerationSettings { temperature, seed, ..Default::default() });
        for (settings, same) in [
            (None, false),
            (settings(None, None), false),
            (settings(Some(0.7), None), false),
            (settings(Some(0.0), None), true),
            (settings(Some(0.7), Some(4)), true),
        ] {
            let message = GenerateRequest { settings, ..Default::default() }.encode_to_vec();
            assert_eq!(is_the_same_each_time(GENERATE, &message.clone().into()), same, "{message:?}");
        }
    }

    #[test]
    fn a_caller_may_want_nothing_to_be_kept() {
        for (said, kept) in [("no-store", false), ("no-cache, No-Store", false), ("no-cache", true), ("max-age=0", true)] {
            let headers = HeaderMap::from_iter([(header::CACHE_CONTROL, HeaderValue::from_static(said))]);
            assert_eq!(can_be(EMBED, &headers), kept, "{said}");
        }
        assert!(!can_be("/inference.GRPCInferenceService/ModelMetadata", &HeaderMap::new()));
        assert!(!can_be("/torchmesh.audio.v1.AudioService/DetectVoiceLive", &HeaderMap::new()));
    }
}
