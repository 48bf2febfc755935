//! What of a request's head goes on to the next hop.

use http::{HeaderMap, HeaderName, Uri, header, uri::PathAndQuery};
use torchmesh_api::headers;

/// Headers that speak of one connection and mean nothing on the next (RFC 9110, section 7.6.1), and the length, which HTTP/2 does not need.
const HOP: [HeaderName; 6] =
    [header::HOST, header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, header::CONTENT_LENGTH, header::EXPECT];

/// What every answer says anew. As values of a connection's header table each would push out an older one that is never asked for again; marked, they are sent
/// as they are. The mark does not cross a connection, so each hop makes it.
const NEVER_THE_SAME: [HeaderName; 5] = [
    headers::X_TORCHMESH_QUEUE_US,
    headers::X_TORCHMESH_COMPUTE_US,
    headers::X_TORCHMESH_LOAD,
    headers::X_TORCHMESH_USAGE,
    headers::X_REQUEST_ID,
];

/// Marks what is not worth a place in the header compression's table (RFC 7541, section 6.2.3).
pub(crate) fn hide_from_compression(answer: &mut HeaderMap) {
    for name in &NEVER_THE_SAME {
        if let Some(value) = answer.get_mut(name) {
            value.set_sensitive(true);
        }
    }
}

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
