//! Where a server is, as a URL says it.

use std::{fmt, net::IpAddr};

use http::Uri;

/// Scheme, host and port of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Whether it is spoken to over TLS.
    pub(crate) secure: bool,
    /// As the URL has it; an IPv6 address with its brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Origin {
    /// `None` unless it is `http://` or `https://` and names a host.
    pub(crate) fn of(uri: &Uri) -> Option<Self> {
        let secure = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = uri.host().filter(|host| !host.is_empty())?.to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Some(Self { secure, host, port })
    }

    /// The host without an IPv6 address's brackets.
    pub(crate) fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Whether it is an address, which stands for nothing but itself.
    pub(crate) fn is_address(&self) -> bool {
        self.bare_host().parse::<IpAddr>().is_ok()
    }

    pub(crate) fn is_this_machine(&self) -> bool {
        self.host == "localhost" || self.bare_host().parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.secure { "https" } else { "http" }, self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> Option<Origin> {
        Origin::of(&url.parse().ok()?)
    }

    #[test]
    fn a_url_says_where_a_server_is() {
        let shown = |url: &str| origin(url).unwrap().to_string();
        assert_eq!(shown("https://mesh.example.com"), "https://mesh.example.com:443");
        assert_eq!(shown("http://[::1]:8080/path"), "http://[::1]:8080");
        for wrong in ["mesh.example.com", "127.0.0.1:8080", "ftp://mesh.example.com", "/path", "https://"] {
            assert_eq!(origin(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_loopback_is_this_machine() {
        let local = |url: &str| origin(url).unwrap().is_this_machine();
        assert!(local("http://localhost:1") && local("http://127.0.0.2:1") && local("http://[::1]:1"));
        assert!(!local("http://10.0.0.1") && !local("http://localhost.example.com"));
    }
}
