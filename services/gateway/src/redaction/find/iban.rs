//! Accounts' numbers: ISO 13616. The country says how long one is, and the whole is 1 modulo 97.

use std::ops::Range;

use super::text::{Text, is_word};

/// Countries and their numbers' lengths, of the registry of ISO 13616-2.
const LENGTHS: &str = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27GB22GE22\
GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28\
PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30";

/// The number that begins with this letter: together, or in groups of four.
pub(super) fn from(text: &Text<'_>, start: usize) -> Option<Range<usize>> {
    if is_word(text.before(start, 1)) || !text.is_digit(start + 2) || !text.is_digit(start + 3) {
        return None;
    }
    let length = length(text.slice(start, start + 2))?;
    let (mut at, mut read, mut blanks) = (start, 0, None);
    // The first four come last.
    let (mut tail, mut rest) = (Remainder::default(), Remainder::default());
    while read < length {
        if read > 0 && read % 4 == 0 {
            let blank = matches!(text.at(at), b' ' | b'-');
            // In groups throughout, or not at all.
            if *blanks.get_or_insert(blank) != blank {
                return None;
            }
            at += usize::from(blank);
        }
        let byte = text.at(at);
        let half = if read < 4 { &mut tail } else { &mut rest };
        half.push(byte)?;
        (at, read) = (at + 1, read + 1);
    }
    (!is_word(text.at(at)) && rest.then(&tail) == 1).then_some(start..at)
}

fn length(country: &[u8]) -> Option<usize> {
    let mut entries = LENGTHS.as_bytes().chunks_exact(4);
    let entry = entries.find(|entry| entry[..2].eq_ignore_ascii_case(country))?;
    Some(usize::from(entry[2] - b'0') * 10 + usize::from(entry[3] - b'0'))
}

/// Digits modulo 97, and ten to the power of how many they are.
#[derive(Debug)]
struct Remainder {
    value: u32,
    power: u32,
}

impl Default for Remainder {
    fn default() -> Self {
        Self { value: 0, power: 1 }
    }
}

impl Remainder {
    /// A digit, or a letter, which stands for 10 to 35.
    fn push(&mut self, byte: u8) -> Option<()> {
        let value = char::from(byte).to_digit(36)?;
        let shift = if value < 10 { 10 } else { 100 };
        self.value = (self.value * shift + value) % 97;
        self.power = self.power * shift % 97;
        Some(())
    }

    /// These digits with the others behind them.
    fn then(&self, behind: &Self) -> u32 {
        (self.value * behind.power + behind.value) % 97
    }
}
