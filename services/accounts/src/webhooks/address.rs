//! Where may be sent to. Tenants choose addresses, and the accounts stand inside: without a check, a webhook would be a way to whatever is inside with them.
//!
//! A name is looked up once for each connection, what comes of it is checked, and the connection is made to just that: a name that says something else a moment later leads nowhere.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

use super::Rules;

/// The longest address.
const LONGEST: usize = 2048;

/// An address that may not be sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotPublic;

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its host has no address in the public internet")
    }
}

impl std::error::Error for NotPublic {}

/// Reads an address as it was typed.
///
/// Error: why it may not be sent to, as far as that can be seen without looking its name up.
pub(super) fn parse(text: &str, rules: Rules) -> Result<Url, String> {
    let form = if rules.allow_http { "must begin with https:// or http://" } else { "must begin with https://" };
    let url = Url::parse(text).map_err(|_| form.to_owned())?;
    let scheme = url.scheme() == "https" || (rules.allow_http && url.scheme() == "http");
    if !scheme || !url.has_host() {
        return Err(form.to_owned());
    }
    if url.as_str().len() > LONGEST {
        return Err(format!("must have at most {LONGEST} characters"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("must have no user, no password and no #fragment".to_owned());
    }
    // One dot at the end is the root's. Nothing else in DNS has an empty part, and what it would be taken for by whoever connects is anybody's guess.
    let host = url.host_str().unwrap_or_default();
    if host.strip_suffix('.').unwrap_or(host).split('.').any(str::is_empty) {
        return Err("must have a host without a dot at its beginning and without two dots in a row".to_owned());
    }
    if let Some(ip) = literal(&url)
        && !may(ip, rules)
    {
        return Err(NotPublic.to_string());
    }
    Ok(url)
}

/// The host, where it is no name. However it was typed (`0x7f.1`, `2130706433`), a URL has it in its usual form.
fn literal(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_matches(['[', ']']).parse().ok()
}

/// Looks the host of an address up; whether that failed or found nothing public is nobody's to learn.
pub(super) async fn look_up(url: &Url, rules: Rules) -> Result<(), NotPublic> {
    if rules.allow_private || literal(url).is_some() {
        return Ok(());
    }
    checked(url.host_str().unwrap_or_default(), rules).await.map(|_| ())
}

async fn checked(host: &str, rules: Rules) -> Result<Vec<SocketAddr>, NotPublic> {
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await.map_err(|_| NotPublic)?.collect();
    // One that is not good is enough: nobody has such a name by chance.
    if found.is_empty() || found.iter().any(|addr| !may(addr.ip(), rules)) {
        return Err(NotPublic);
    }
    Ok(found)
}

fn may(ip: IpAddr, rules: Rules) -> bool {
    rules.allow_private || is_public(ip)
}

/// What connections are made to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checked(pub(super) Rules);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = self.0;
        Box::pin(async move {
            let found = checked(name.as_str(), rules).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Whether an address belongs to the public internet.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

/// What is not in the IANA's registry of special addresses, and none of those where clouds keep what is for machines inside.
fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, d] = ip.octets();
    let special = match a {
        // With what is reserved from 224 on: multicast, and broadcast.
        0 | 10 | 127 | 224.. => true,
        100 => (64..128).contains(&b),
        // Microsoft's, for machines in Azure.
        168 => (b, c, d) == (63, 129, 16),
        169 => b == 254,
        172 => (16..32).contains(&b),
        192 => b == 168 || (b == 0 && (c == 0 || c == 2)) || (b, c) == (88, 99),
        198 => b == 18 || b == 19 || (b, c) == (51, 100),
        203 => (b, c) == (0, 113),
        _ => false,
    };
    !special
}

/// Global unicast without what is set apart in it; where a version 4 address is inside, that one counts.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let part = ip.segments();
    let inner = |high: u16, low: u16| is_public_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match (part[0], part[1]) {
        // ::ffff:0:0/96
        (0, 0) => part[2..6] == [0, 0, 0, 0xffff] && inner(part[6], part[7]),
        // NAT64, by which networks without version 4 reach it.
        (0x64, 0xff9b) => part[2..6] == [0; 4] && inner(part[6], part[7]),
        // 6to4
        (0x2002, _) => inner(part[1], part[2]),
        (0x2001, 0..0x200 | 0xdb8) | (0x3fff, 0..0x1000) => false,
        (first, _) => (0x2000..0x4000).contains(&first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSED: Rules = Rules { allow_http: false, allow_private: false };
    const OPEN: Rules = Rules { allow_http: true, allow_private: true };

    #[test]
    fn only_the_public_internet_is_public() {
        let inside = "0.0.0.0 10.1.2.3 127.0.0.1 127.255.0.1 100.64.0.1 100.100.100.200 169.254.169.254 172.16.0.1 172.31.255.255 \
            192.168.1.1 192.0.0.1 192.0.2.1 198.18.0.1 198.51.100.7 203.0.113.7 224.0.0.1 240.0.0.1 255.255.255.255 \
            168.63.129.16 :: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 \
            fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1 2001:db8::1 2001::1 2002:7f00:1:: 2002:a00:1:: 100::1";
        for ip in inside.split(' ') {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
        let outside = "1.1.1.1 8.8.8.8 100.63.0.1 100.128.0.1 172.15.0.1 172.32.0.1 168.63.129.17 192.0.1.1 198.20.0.1 223.1.1.1 \
            2606:4700:4700::1111 2001:4860:4860::8888 ::ffff:8.8.8.8 64:ff9b::808:808 2002:808:808::";
        for ip in outside.split(' ') {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn an_address_inside_is_refused_however_it_is_typed() {
        let inside = [
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://169.254.169.254/latest/meta-data",
            "https://10.0.0.8:8443/",
            "https://0/",
            "https://\u{ff11}27.0.0.1/",
        ];
        for text in inside {
            assert!(parse(text, CLOSED).unwrap_err().contains("public"), "{text}");
            assert!(parse(text, OPEN).is_ok(), "{text}");
        }
    }

    #[test]
    fn other_schemes_users_and_fragments_are_refused() {
        for text in ["", "hooks", "ftp://example.org", "file:///etc/passwd", "http://example.org/", "https://", "gopher://example.org"] {
            assert!(parse(text, CLOSED).unwrap_err().contains("https://"), "{text}");
        }
        for text in ["https://ada@example.org/", "https://ada:pw@example.org/", "https://example.org/#top"] {
            assert!(parse(text, CLOSED).is_err(), "{text}");
        }
        assert!(parse(&format!("https://example.org/{}", "a".repeat(3000)), CLOSED).is_err());
        assert_eq!(parse("https://example.org/hooks?a=b", CLOSED).unwrap().as_str(), "https://example.org/hooks?a=b");
        assert!(parse("http://example.org/", Rules { allow_http: true, ..CLOSED }).is_ok());
    }

    #[test]
    fn a_host_with_an_empty_part_is_no_name() {
        for text in [
            "https://.1../",
            "https:%2E1..//21330706433/",
            "https://example..org/",
            "https://.example.org/",
            "https://example.org../",
            "https://./",
        ] {
            assert!(parse(text, CLOSED).is_err(), "{text}");
            assert!(parse(text, OPEN).is_err(), "{text}");
        }
        assert!(parse("https://example.org./", CLOSED).is_ok());
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_refused_when_it_is_looked_up() {
        assert_eq!(checked("localhost", CLOSED).await, Err(NotPublic));
        assert!(!checked("localhost", OPEN).await.unwrap().is_empty());
        let url = parse("https://localhost/", CLOSED).unwrap();
        assert_eq!(look_up(&url, CLOSED).await, Err(NotPublic));
    }
}
