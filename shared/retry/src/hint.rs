//! What a server says about trying again.

use std::time::Duration;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::HeaderMap;
use prost::Message as _;

const PUSHBACK: &str = "grpc-retry-pushback-ms";
const DETAILS: &str = "grpc-status-details-bin";
const RETRY_INFO: &str = "/google.rpc.RetryInfo";

/// Binary metadata comes with its padding or without it.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// What a failed answer says about trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// Nothing.
    Silent,
    /// Not before so long.
    After(Duration),
    /// Not at all.
    Never,
}

impl Hint {
    /// Reads `grpc-retry-pushback-ms` (gRPC's proposal A6), else the `RetryInfo` among the status's details, else `retry-after` in seconds.
    pub fn read(headers: &HeaderMap) -> Self {
        if let Some(pushback) = headers.get(PUSHBACK) {
            // As A6 has it: what is negative or cannot be read says that the call is not wanted again.
            let millis = pushback.to_str().ok().and_then(|text| text.parse().ok());
            return millis.map_or(Self::Never, |millis| Self::After(Duration::from_millis(millis)));
        }
        retry_info(headers).or_else(|| retry_after(headers)).map_or(Self::Silent, Self::After)
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

/// `google.rpc.Status`, as far as it is read.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<prost_types::Duration>,
}

fn retry_info(headers: &HeaderMap) -> Option<Duration> {
    let status = RpcStatus::decode(&*BASE64.decode(headers.get(DETAILS)?).ok()?).ok()?;
    let info = status.details.iter().find(|detail| detail.type_url.ends_with(RETRY_INFO))?;
    Duration::try_from(RetryInfo::decode(&*info.value).ok()?.retry_delay?).ok()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn headers(entries: &[(&'static str, String)]) -> HeaderMap {
        let entry = |(name, value): &(&'static str, String)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        entries.iter().map(entry).collect()
    }

    fn details(delay: prost_types::Duration) -> Vec<u8> {
        let other = prost_types::Any { type_url: "type.googleapis.com/google.rpc.Help".to_owned(), value: vec![10, 0] };
        let info = RetryInfo { retry_delay: Some(delay) }.encode_to_vec();
        let info = prost_types::Any { type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(), value: info };
        RpcStatus { details: vec![other, info] }.encode_to_vec()
    }

    #[test]
    fn pushback_goes_before_the_others_and_a_wrong_one_forbids() {
        let read = |text: &str| Hint::read(&headers(&[(PUSHBACK, text.to_owned()), ("retry-after", "9".to_owned())]));
        assert_eq!(read("250"), Hint::After(Duration::from_millis(250)));
        assert_eq!([read("-1"), read("soon"), read("")], [Hint::Never; 3]);
    }

    #[test]
    fn retry_info_is_read_with_its_padding_or_without() {
        let encoded = details(prost_types::Duration { seconds: 1, nanos: 500_000_000 });
        for text in [STANDARD.encode(&encoded), STANDARD_NO_PAD.encode(&encoded)] {
            assert_eq!(Hint::read(&headers(&[(DETAILS, text)])), Hint::After(Duration::from_millis(1500)));
        }
        let negative = STANDARD.encode(details(prost_types::Duration { seconds: -1, nanos: 0 }));
        assert_eq!(Hint::read(&headers(&[(DETAILS, negative)])), Hint::Silent);
    }

    #[test]
    fn retry_after_is_read_in_seconds() {
        assert_eq!(Hint::read(&headers(&[("retry-after", "3".to_owned())])), Hint::After(Duration::from_secs(3)));
        assert_eq!(Hint::read(&headers(&[("retry-after", "tomorrow".to_owned())])), Hint::Silent);
        assert_eq!(Hint::read(&HeaderMap::new()), Hint::Silent);
    }

    proptest! {
        #[test]
        fn whatever_a_server_sends_is_read_without_a_panic(value in proptest::collection::vec(any::<u8>(), 0..64)) {
            for name in [PUSHBACK, DETAILS, "retry-after"] {
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    Hint::read(&HeaderMap::from_iter([(HeaderName::from_static(name), value)]));
                }
                let encoded = STANDARD.encode(&value);
                Hint::read(&headers(&[(name, encoded)]));
            }
        }
    }
}
