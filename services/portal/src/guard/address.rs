//! Whose address a request came from.

use std::{net::IpAddr, sync::Arc};

use http::{Extensions, HeaderMap};
use torchmesh_runtime::server::Peer;

/// The caller's address, as it is counted: of the sixth version of the protocol the first 64 bits, which is what one customer gets.
///
/// Each trusted proxy has added the address that it was called from at the end of `x-forwarded-for`; what stands before is the caller's own invention.
pub fn of(extensions: &Extensions, headers: &HeaderMap, trusted_proxies: usize) -> String {
    let peer = extensions.get::<Arc<Peer>>().map(|peer| peer.addr.ip());
    let forwarded = (trusted_proxies > 0).then(|| forwarded(headers, trusted_proxies)).flatten();
    forwarded.or(peer).map_or_else(|| "unknown".to_owned(), counted)
}

fn forwarded(headers: &HeaderMap, trusted_proxies: usize) -> Option<IpAddr> {
    let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok()).collect();
    let mut addresses = lines.iter().rev().flat_map(|line| line.rsplit(',')).map(str::trim);
    addresses.nth(trusted_proxies - 1)?.parse().ok()
}

fn counted(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_caller_cannot_make_its_address_up() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", HeaderValue::from_static("6.6.6.6, 1.1.1.1"));
        assert_eq!(forwarded(&headers, 1), "1.1.1.1".parse().ok());
        assert_eq!(forwarded(&headers, 3), None);
        assert_eq!(of(&Extensions::new(), &headers, 0), "unknown", "nobody is trusted");
        assert_eq!(of(&Extensions::new(), &headers, 1), "1.1.1.1");
    }

    #[test]
    fn one_customers_many_addresses_are_one() {
        let counted = |text: &str| counted(text.parse().unwrap());
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), counted("2001:db8:1:2:ffff::1"));
        assert_eq!(counted("::ffff:1.2.3.4"), "1.2.3.4");
    }
}
