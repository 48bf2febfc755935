//! Whether a JPEG file is whole. Decoders fill in grey for what is missing, and a model would answer for the grey.

const START_OF_SCAN: u8 = 0xda;
const END_OF_IMAGE: u8 = 0xd9;

/// Whether the file's segments and scans, followed from the first to the last, come to the marker that ends an image.
///
/// The marker is not searched for from the end: a preview in the file's head has one of its own.
pub(super) fn is_whole(file: &[u8]) -> bool {
    let mut rest = file.get(2..).unwrap_or_default();
    loop {
        let Some((marker, after)) = next_marker(rest) else { return false };
        rest = match marker {
            END_OF_IMAGE => return true,
            // These stand alone: restart markers, and a second start.
            0x01 | 0xd0..=0xd8 => after,
            _ => {
                let Some((length, _)) = after.split_first_chunk::<2>() else { return false };
                let Some(behind) = after.get(usize::from(u16::from_be_bytes(*length)).max(2)..) else { return false };
                if marker == START_OF_SCAN { entropy_coded(behind) } else { behind }
            }
        };
    }
}

/// The next marker and what is behind it; fill bytes before it are skipped.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let start = bytes.iter().position(|&byte| byte == 0xff)?;
    let code = start + bytes[start..].iter().position(|&byte| byte != 0xff)?;
    if bytes[code] == 0 { next_marker_behind(bytes, code) } else { Some((bytes[code], &bytes[code + 1..])) }
}

/// A stuffed zero is data; the search goes on behind it.
fn next_marker_behind(bytes: &[u8], zero: usize) -> Option<(u8, &[u8])> {
    let rest = entropy_coded(&bytes[zero + 1..]);
    let start = rest.iter().position(|&byte| byte != 0xff)?;
    Some((rest[start], &rest[start + 1..]))
}

/// What follows a scan's data, from its first marker that is neither a stuffed zero nor a restart.
fn entropy_coded(bytes: &[u8]) -> &[u8] {
    let ends = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff | 0xd0..=0xd7);
    bytes.windows(2).position(ends).map_or(&[], |at| &bytes[at..])
}

#[cfg(test)]
mod tests {
    use super::is_whole;

    /// A start, a segment that holds a preview with an end of its own, a scan with a stuffed zero and a restart, an end.
    const FILE: [u8; 24] =
        [0xff, 0xd8, 0xff, 0xe1, 0, 6, 0xff, 0xd8, 0xff, 0xd9, 0xff, 0xda, 0, 3, 1, 0x12, 0xff, 0, 0x34, 0xff, 0xd0, 0x56, 0xff, 0xd9];

    #[test]
    fn a_file_is_whole_when_its_own_end_is_there() {
        assert!(is_whole(&FILE));
        for cut in 0..FILE.len() {
            assert!(!is_whole(&FILE[..cut]), "cut at {cut}");
        }
    }

    #[test]
    fn what_stands_behind_the_end_does_not_matter() {
        assert!(is_whole(&[&FILE[..], b"trailing"].concat()));
    }
}
