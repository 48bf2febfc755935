//! Addresses of the internet. A version of four numbers looks the same.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    ops::Range,
    str::from_utf8,
};

use super::text::{Text, is_word};

/// The longest address as text.
const LONGEST: usize = 45;

/// The address that begins here.
pub(super) fn from(text: &Text<'_>, start: usize) -> Option<Range<usize>> {
    let before = text.before(start, 1);
    if is_part(before) || !is_part(text.at(start)) || !text.begins_a_number(start) {
        return None;
    }
    let mut end = start;
    while is_part(text.at(end)) {
        end += 1;
        if end - start > LONGEST {
            return None;
        }
    }
    if is_word(text.at(end)) {
        return None;
    }
    // What ends a sentence, and what stands between an address and a port.
    let mut address = from_utf8(text.slice(start, end)).ok()?.trim_end_matches('.');
    if !address.ends_with("::") {
        address = address.trim_end_matches(':');
    }
    let version4 = address.split_once(':').map_or(address, |(host, _)| host);
    let is_version4 = version4.parse::<Ipv4Addr>().is_ok();
    let end = start + if is_version4 { version4.len() } else { address.len() };
    let is_address = is_version4 || (address.parse::<Ipv6Addr>().is_ok() && is_telling(address));
    (is_address && text.ends_a_number(end)).then_some(start..end)
}

fn is_part(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')
}

/// Whether it is more than `a::b`, which is code.
fn is_telling(address: &str) -> bool {
    address.split(':').any(|group| group.len() >= 3) || address.split(':').count() == 8
}
