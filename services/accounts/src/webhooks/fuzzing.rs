//! What the fuzz target of webhooks holds them to (`fuzz/`); it is in no build but that and the tests'.
#![allow(clippy::missing_panics_doc, reason = "a panic is how a broken promise is told")]

use std::net::IpAddr;

use super::{
    Received, Rules,
    address::{is_public, parse},
    signature::{TOLERANCE_S, shown, sign, verify},
};

const CLOSED: Rules = Rules { allow_http: false, allow_private: false };
const SECRET: &[u8] = b"a secret of webhooks";
const NOW_S: i64 = 1_800_000_000;

/// An address as somebody typed it, or a message as it came, its headers and its body with zero bytes between: no address that is taken is inside, and no message is believed
/// that was not signed.
pub fn webhooks(sent: &[u8]) {
    if let Ok(text) = str::from_utf8(sent) {
        address(text);
    }
    if let Some(octets) = sent.first_chunk::<16>() {
        outside(IpAddr::from(*octets));
    }
    if let Some(octets) = sent.first_chunk::<4>() {
        outside(IpAddr::from(*octets));
    }
    let mut parts = sent.splitn(4, |&byte| byte == 0);
    let mut text = || parts.next().and_then(|part| str::from_utf8(part).ok()).unwrap_or_default();
    let (id, timestamp, signature) = (text(), text(), text());
    let body = parts.next().unwrap_or_default();
    let received = Received { id, timestamp, signature, body };
    let good = verify(&shown(SECRET), received, NOW_S).is_ok();
    let at: Option<i64> = timestamp.parse().ok();
    // The time's text is signed, so of one that is written otherwise it is of no account what we would write.
    let ours = at.map(|at| sign(&[SECRET.to_vec()], id, at, body)).filter(|_| at.map(|at| at.to_string()).as_deref() == Some(timestamp));
    assert!(!good || at.is_some_and(|at| at.abs_diff(NOW_S) <= TOLERANCE_S.unsigned_abs()), "{timestamp:?} is long ago");
    assert!(!good || ours.is_none_or(|ours| signature.split(' ').any(|one| one == ours)), "{signature:?} was never made");
    if let Ok(id) = str::from_utf8(sent) {
        let header = sign(&[b"old".to_vec(), SECRET.to_vec()], id, NOW_S, sent);
        let now = NOW_S.to_string();
        let own = Received { id, timestamp: &now, signature: &header, body: sent };
        assert_eq!(verify(&shown(SECRET), own, NOW_S), Ok(()));
    }
}

fn address(text: &str) {
    let Ok(url) = parse(text, CLOSED) else { return };
    assert!(url.scheme() == "https" && url.username().is_empty() && url.password().is_none() && url.fragment().is_none(), "{url}");
    let host = url.host_str().expect("it has a host");
    if let Ok(ip) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        assert!(!inside(ip), "{text:?} is {ip}");
    } else {
        // What ends in a number is an address to whoever connects, in however old a form.
        let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
        let hexadecimal = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let number = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
        assert!(!number && !hexadecimal, "{host:?} may be an address");
    }
    assert_eq!(parse(url.as_str(), CLOSED).as_ref(), Ok(&url), "what is kept is taken again");
}

fn outside(ip: IpAddr) {
    assert!(!(is_public(ip) && inside(ip)), "{ip} is inside");
}

/// What the standard library knows to be inside, and what hides a version 4 address that is.
fn inside(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_broadcast()
                || ip.is_multicast()
                || ip.is_documentation()
        }
        IpAddr::V6(ip) => {
            let hidden = ip.to_ipv4().is_some_and(|ip| inside(ip.into()));
            hidden || ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || ip.is_unique_local() || ip.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    #[test]
    fn every_seed_of_webhooks_holds() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/webhooks"));
        let seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|seed| seed.unwrap().path()).collect();
        assert!(!seeds.is_empty());
        for seed in seeds {
            super::webhooks(&fs::read(seed).unwrap());
        }
    }
}
