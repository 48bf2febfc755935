//! What of a request's head goes on to the next hop.

use http::{HeaderMap, HeaderName, Uri, header, uri::PathAndQuery};

/// Headers that speak of one connection and mean nothing on the next (RFC 9110, section 7.6.1), and the length, which HTTP/2 does not need.
const HOP: [HeaderName; 6] =
    [header::HOST, header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::CONTENT_LENGTH, header::EXPECT];

/// Takes out what must not cross the hop.
pub fn strip_hop(headers: &mut HeaderMap) {
    for name in &HOP {
        headers.remove(name);
    }
}

/// The path and query of a request's target.
pub fn path(uri: &Uri) -> PathAndQuery {
    uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"))
}
