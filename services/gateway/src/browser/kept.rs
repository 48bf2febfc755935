//! Headers of every answer that is not gRPC.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// What answers say unless their door says otherwise: they are nobody else's (RFC 9111, section 5.2.2.5), and of the type that they name.
const ALWAYS: [(HeaderName, &str); 2] = [(header::CACHE_CONTROL, "no-store"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
/// RFC 6797: for a year, ask by TLS only. Not of other names of the domain: those are not ours to speak for.
const BY_TLS_ONLY: &str = "max-age=31536000";

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    tls: bool,
}

impl Kept {
    pub(super) fn new(tls: bool) -> Self {
        Self { tls }
    }

    pub(super) fn write(self, headers: &mut HeaderMap) {
        for (name, value) in ALWAYS {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
        if self.tls {
            headers.entry(header::STRICT_TRANSPORT_SECURITY).or_insert(HeaderValue::from_static(BY_TLS_ONLY));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_door_says_itself_stays() {
        let mut headers = HeaderMap::from_iter([(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))]);
        Kept::new(true).write(&mut headers);
        assert_eq!(headers[header::CACHE_CONTROL], "no-cache");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(headers.contains_key(header::STRICT_TRANSPORT_SECURITY));
    }

    #[test]
    fn a_gateway_in_clear_text_does_not_ask_for_tls() {
        let mut headers = HeaderMap::new();
        Kept::new(false).write(&mut headers);
        assert!(!headers.contains_key(header::STRICT_TRANSPORT_SECURITY) && headers[header::CACHE_CONTROL] == "no-store");
    }
}
