//! E-mail addresses: the forms of RFC 5321 that people have, which are letters, digits and `._%+'-` before the `@`, and a name of a domain behind it. Letters
//! are those of ASCII and the Latin ones with accents.

use std::ops::Range;

use super::text::Text;

/// The longest label of a domain (RFC 1035, section 2.3.4).
const LONGEST_LABEL: usize = 63;
/// Endings of files, none of which is a top-level domain: `icon@2x.png` is no address.
const FILES: [&[u8]; 10] = [b"png", b"jpg", b"jpeg", b"gif", b"webp", b"svg", b"css", b"js", b"json", b"html"];

/// The address around an `@`.
pub(super) fn around(text: &Text<'_>, at: usize) -> Option<Range<usize>> {
    let start = local(text, at);
    if start == at {
        return None;
    }
    domain(text, at + 1).map(|end| start..end)
}

/// Where the part before the `@` begins.
fn local(text: &Text<'_>, at: usize) -> usize {
    let mut start = at;
    loop {
        let byte = text.before(start, 1);
        let width = match byte {
            // Two points in a row end a sentence.
            b'.' if text.at(start) == b'.' => break,
            b'.' | b'_' | b'%' | b'+' | b'\'' | b'-' => 1,
            _ if byte.is_ascii_alphanumeric() => 1,
            0x80..=0xbf if is_latin(text.before(start, 2)) => 2,
            _ => break,
        };
        start -= width;
    }
    // What stands before a name is not part of it.
    while start < at && matches!(text.at(start), b'.' | b'%' | b'+' | b'\'' | b'-') {
        start += 1;
    }
    start
}

/// Where the longest name of a domain ends that begins here.
fn domain(text: &Text<'_>, from: usize) -> Option<usize> {
    let (mut end, mut label, mut is_first) = (None, from, true);
    loop {
        let after = label_end(text, label);
        if !(1..=LONGEST_LABEL).contains(&(after - label)) || text.at(label) == b'-' {
            return end;
        }
        if !is_first {
            end = top(text, label, after).or(end);
        }
        if text.at(after) != b'.' {
            return end;
        }
        (label, is_first) = (after + 1, false);
    }
}

fn label_end(text: &Text<'_>, mut at: usize) -> usize {
    loop {
        let byte = text.at(at);
        at += match byte {
            b'-' => 1,
            _ if byte.is_ascii_alphanumeric() => 1,
            _ if is_latin(byte) => 2,
            _ => return at,
        };
    }
}

/// Where a top-level domain ends that begins a label: two letters at least, or an encoded one.
fn top(text: &Text<'_>, label: usize, after: usize) -> Option<usize> {
    let word = text.slice(label, after);
    if word.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"xn--")) {
        return Some(after).filter(|_| word.len() > 4 && !word.ends_with(b"-"));
    }
    let letters = word.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let ends = word.get(letters).is_none_or(|&next| next == b'-');
    let is_file = FILES.iter().any(|file| word[..letters].eq_ignore_ascii_case(file));
    (letters >= 2 && ends && !is_file).then_some(label + letters)
}

/// Whether this byte begins one of the letters U+00C0 to U+024F, which have two bytes each.
fn is_latin(byte: u8) -> bool {
    matches!(byte, 0xc3..=0xc9)
}
