//! Whose address a call came from.

use std::net::IpAddr;

use http::HeaderMap;

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The client's address, as it is counted: of the sixth version of the protocol the first 64 bits, which is what one customer gets.
///
/// Each trusted proxy has added the address that it was called from at the end of `x-forwarded-for`; what stands in front of those is the caller's own
/// invention. Where there are fewer than there are said to be proxies, the connection's address counts.
pub fn of(peer: Option<IpAddr>, headers: &HeaderMap, trusted_proxies: usize) -> Option<String> {
    let forwarded = (trusted_proxies > 0).then(|| forwarded(headers, trusted_proxies)).flatten();
    forwarded.or(peer).map(counted)
}

fn forwarded(headers: &HeaderMap, trusted_proxies: usize) -> Option<IpAddr> {
    let lines: Vec<_> = headers.get_all(X_FORWARDED_FOR).iter().filter_map(|line| line.to_str().ok()).collect();
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

    fn from(peer: &str, forwarded: &[&'static str], trusted: usize) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_static(line));
        }
        of(peer.parse().ok(), &headers, trusted).unwrap()
    }

    #[test]
    fn a_caller_cannot_make_its_address_up() {
        assert_eq!(from("9.9.9.9", &["1.1.1.1"], 0), "9.9.9.9");
        assert_eq!(from("10.0.0.1", &["6.6.6.6, 1.1.1.1"], 1), "1.1.1.1");
        assert_eq!(from("10.0.0.1", &["6.6.6.6, 1.1.1.1", "10.0.0.2"], 2), "1.1.1.1");
        assert_eq!(from("10.0.0.1", &["1.1.1.1"], 2), "10.0.0.1");
        assert_eq!(from("10.0.0.1", &["nonsense"], 1), "10.0.0.1");
    }

    #[test]
    fn one_customers_many_addresses_are_one() {
        assert_eq!(from("2001:db8:1:2:3:4:5:6", &[], 0), from("2001:db8:1:2:ffff::1", &[], 0));
        assert_eq!(from("::ffff:1.2.3.4", &[], 0), "1.2.3.4");
    }
}
