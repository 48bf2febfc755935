//! Where a service is, and how it is spoken to there.

use http::Uri;
use torchmesh_settings::Section;

use crate::tls::HopTls;

/// A service of the mesh that has an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// `http://accounts:8083`, or with `https://`, which there is TLS for.
    pub address: String,
    /// How its certificate is looked at, and what it is shown.
    pub tls: Option<HopTls>,
}

/// Checks that an address, the setting `key`, and the table of TLS for it belong together: tokens are shown there, so that nothing is sent in clear text that was meant for TLS, and nothing by
/// TLS whose certificate nobody looks at.
pub fn check(s: &mut Section, key: &str, address: &str, table: &str, tls: Option<&HopTls>) {
    let scheme = address
        .parse::<Uri>()
        .ok()
        .filter(|uri| uri.host().is_some_and(|host| !host.is_empty()))
        .and_then(|uri| uri.scheme_str().map(str::to_owned));
    match (scheme.as_deref(), tls) {
        (Some("http"), None) | (Some("https"), Some(_)) => {}
        (Some("http"), Some(_)) => s.problem(key, format!("must begin with https://, since there is a table {table}")),
        (Some("https"), None) => {
            s.problem(key, format!("needs the table {table} for https://: {table}.ca says whom its certificate must be signed by"));
        }
        _ => s.problem(key, "must be an address such as http://accounts:8083 or https://accounts:8083"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(address: &str, table: &str) -> String {
        let read = |s: &mut Section| {
            let tls = HopTls::read_for_address(s, "accounts_tls");
            check(s, "address", address, "accounts_tls", tls.as_ref());
        };
        Section::read_all(table.parse().unwrap(), read).map_or_else(|problems| problems.to_string(), |()| String::new())
    }

    #[test]
    fn an_address_and_its_table_belong_together() {
        let table = "[accounts_tls]\nca = 'ca.pem'";
        assert_eq!(problems("http://accounts:8083", ""), "");
        assert_eq!(problems("https://accounts:8083", table), "");
        assert!(problems("https://accounts:8083", "").contains("address: needs the table accounts_tls"));
        assert!(problems("http://accounts:8083", table).contains("address: must begin with https://"));
        for wrong in ["", "accounts:8083", "ftp://accounts:8083", "https://", "http:// a"] {
            assert!(problems(wrong, "").contains("must be an address such as"), "{wrong:?}");
        }
    }
}
