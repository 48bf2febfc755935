//! Letters, and how wide they are.

use crate::{currency::shown, error::BillingError};

/// Widths of Helvetica's letters from the space to the tilde, in thousandths of the size, as its metrics have them.
const WIDTHS: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278,
    278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722,
    667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556,
    556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
];
/// The same of Helvetica-Bold.
const BOLD_WIDTHS: [u16; 95] = [
    278, 333, 474, 556, 556, 889, 722, 238, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 333,
    333, 584, 584, 584, 611, 975, 722, 722, 722, 722, 667, 611, 778, 722, 278, 556, 722, 611, 833, 722, 778, 667, 778, 722, 667, 611, 722,
    667, 944, 667, 667, 611, 333, 278, 333, 584, 556, 333, 556, 611, 556, 611, 556, 333, 611, 611, 278, 278, 556, 278, 889, 611, 611, 611,
    611, 389, 556, 333, 611, 556, 778, 556, 556, 500, 389, 280, 389, 584,
];
/// What a letter that is not among them takes at most.
const OTHER: u16 = 1000;

/// A text in the encoding of Windows 1252, which PDF calls `WinAnsiEncoding`.
///
/// Error: it has letters that are not in there.
pub(super) fn latin(text: &str) -> Result<Vec<u8>, BillingError> {
    text.chars().map(|c| byte(c).ok_or_else(|| BillingError::NotLatin(shown(text)))).collect()
}

fn byte(c: char) -> Option<u8> {
    match c {
        ' '..='~' | '\u{a0}'..='\u{ff}' => u8::try_from(u32::from(c)).ok(),
        '€' => Some(0x80),
        '…' => Some(0x85),
        'Š' => Some(0x8a),
        'Œ' => Some(0x8c),
        'Ž' => Some(0x8e),
        '‘' => Some(0x91),
        '’' => Some(0x92),
        '“' => Some(0x93),
        '”' => Some(0x94),
        '–' => Some(0x96),
        '—' => Some(0x97),
        'š' => Some(0x9a),
        'œ' => Some(0x9c),
        'ž' => Some(0x9e),
        _ => None,
    }
}

/// How wide a text is: exactly where it is ASCII, otherwise no wider than that.
pub(super) fn of(text: &[u8], size: f32, bold: bool) -> f32 {
    let widths = if bold { &BOLD_WIDTHS } else { &WIDTHS };
    let letter = |byte: &u8| byte.checked_sub(b' ').and_then(|at| widths.get(usize::from(at))).copied().unwrap_or(OTHER);
    text.iter().map(|byte| f32::from(letter(byte))).sum::<f32>() * size / 1000.0
}

/// Cuts a text into parts that are no wider than `most`: between words, and within one that is wider alone.
pub(super) fn wrap(text: &[u8], size: f32, most: f32) -> Vec<&[u8]> {
    let (mut parts, mut rest) = (Vec::new(), text);
    loop {
        let mut wide = 0.0;
        let fits = rest.iter().take_while(|byte| {
            wide += of(std::slice::from_ref(byte), size, true);
            wide <= most
        });
        let fits = fits.count().max(1);
        if fits >= rest.len() {
            break;
        }
        let space = rest[..=fits].iter().rposition(|byte| *byte == b' ').filter(|at| *at > 0);
        let (end, next) = space.map_or((fits, fits), |at| (at, at + 1));
        parts.push(&rest[..end]);
        rest = &rest[next..];
    }
    parts.push(rest);
    parts
}
