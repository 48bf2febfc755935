//! Numbers whose digits prove what they are.

use super::{
    groups::{Gap, Group, Groups},
    text::Text,
};

/// The weights of a Chinese number's digits, and its check characters (GB 11643-1999: ISO 7064, MOD 11-2).
const CN_WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
const CN_CHECKS: &[u8; 11] = b"10X98765432";
/// The provinces that a number begins with (GB/T 2260).
const CN_PROVINCES: [u32; 35] = [
    11, 12, 13, 14, 15, 21, 22, 23, 31, 32, 33, 34, 35, 36, 37, 41, 42, 43, 44, 45, 46, 50, 51, 52, 53, 54, 61, 62, 63, 64, 65, 71, 81, 82,
    83,
];

/// 18 characters: province and county, a day of birth, a number and a check character, which may be X.
pub(super) fn cn_id(text: &Text<'_>, groups: &Groups) -> Option<usize> {
    let Group { start, end, .. } = *groups.as_slice().first()?;
    let end = match end - start {
        17 if text.at(end).eq_ignore_ascii_case(&b'X') => end + 1,
        18 => end,
        _ => return None,
    };
    let digits = &groups.digits(1)[..17];
    let sum: u32 = digits.iter().zip(CN_WEIGHTS).map(|(&digit, weight)| u32::from(digit) * weight).sum();
    let checked = text.at(end - 1).to_ascii_uppercase() == CN_CHECKS[sum as usize % 11];
    let province = CN_PROVINCES.contains(&number(&digits[..2]));
    (checked && province && is_a_day(&digits[6..14]) && text.ends_a_number(end)).then_some(end)
}

fn is_a_day(digits: &[u8]) -> bool {
    let (year, month, day) = (number(&digits[..4]), number(&digits[4..6]), number(&digits[6..]));
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return false,
    };
    (1850..2100).contains(&year) && (1..=days).contains(&day)
}

fn number(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |number, &digit| number * 10 + u32::from(digit))
}

/// `AAA-GG-SSSS`, without what the Social Security Administration never gives: areas 000, 666 and from 900 on, group 00, serial 0000.
pub(super) fn us_ssn(text: &Text<'_>, groups: &Groups) -> Option<usize> {
    let end = groups.exactly(&[3, 2, 4], Gap::Hyphen)?[2].end;
    let digits = groups.digits(3);
    let (area, group, serial) = (number(&digits[..3]), number(&digits[3..5]), number(&digits[5..]));
    let given = area != 0 && area != 666 && area < 900 && group != 0 && serial != 0;
    (given && text.ends_a_number(end)).then_some(end)
}

/// `000.000.000-00`, with two check digits modulo 11.
pub(super) fn br_cpf(text: &Text<'_>, groups: &Groups) -> Option<usize> {
    let [first, second, third, last] = groups.as_slice().get(..4)? else { return None };
    let dotted = first.gap == Some(Gap::Dot) && second.gap == Some(Gap::Dot) && third.gap == Some(Gap::Hyphen);
    let fits = [first, second, third].iter().all(|group| group.len() == 3) && last.len() == 2;
    if !(dotted && fits && text.ends_a_number(last.end)) {
        return None;
    }
    let digits = groups.digits(4);
    let check = |count: usize| {
        let weighted = digits[..count].iter().zip((2..=count as u32 + 1).rev());
        let left = weighted.map(|(&digit, weight)| u32::from(digit) * weight).sum::<u32>() % 11;
        if left < 2 { 0 } else { 11 - left }
    };
    let varied = digits.iter().any(|digit| *digit != digits[0]);
    let proven = check(9) == u32::from(digits[9]) && check(10) == u32::from(digits[10]);
    (varied && proven).then_some(last.end)
}

/// A payment card's number (ISO/IEC 7812-1): issued by a scheme that there is, as long as that scheme's are, and with Luhn's check digit. Together, or in the
/// groups that stand on cards.
pub(super) fn card(text: &Text<'_>, groups: &Groups) -> Option<usize> {
    let all = groups.as_slice();
    let alike = |count: usize| {
        let gap = all[0].gap;
        matches!(gap, Some(Gap::Blank | Gap::Hyphen)) && all[..count - 1].iter().all(|group| group.gap == gap)
    };
    (1..=all.len()).filter(|&count| count == 1 || (alike(count) && stands_on_cards(&all[..count]))).find_map(|count| {
        let (end, digits) = (all[count - 1].end, groups.digits(count));
        (issued(digits) && luhn(digits) && text.ends_a_number(end)).then_some(end)
    })
}

fn stands_on_cards(groups: &[Group]) -> bool {
    let lengths = |wanted: &[usize]| groups.iter().map(Group::len).eq(wanted.iter().copied());
    let (last, fours) = (groups[groups.len() - 1].len(), groups[..groups.len() - 1].iter().all(|group| group.len() == 4));
    (fours && groups.len() >= 4 && last <= 4) || lengths(&[4, 6, 5]) || lengths(&[4, 6, 4])
}

/// Whether a scheme has numbers that begin so and are so long.
fn issued(digits: &[u8]) -> bool {
    let length = digits.len();
    if !(13..=19).contains(&length) {
        return false;
    }
    match (number(&digits[..2]), number(&digits[..4])) {
        // Visa.
        (40..=49, _) => [13, 16, 19].contains(&length),
        // Mastercard.
        (51..=55, _) | (_, 2221..=2720) => length == 16,
        // American Express.
        (34 | 37, _) => length == 15,
        // Diners Club.
        (36 | 38 | 39, _) | (_, 3000..=3059 | 3095) => length >= 14,
        // Mir; JCB; Discover, RuPay, UnionPay, Maestro.
        (_, 2200..=2204 | 3528..=3589) | (60 | 62 | 64 | 65 | 81 | 82, _) => length >= 16,
        (50 | 56..=58 | 61 | 63 | 66..=69, _) => true,
        _ => false,
    }
}

/// The check digit of ISO/IEC 7812-1, annex B.
fn luhn(digits: &[u8]) -> bool {
    let sum = digits.iter().rev().enumerate().map(|(at, &digit)| match (at % 2, digit) {
        (0, digit) => u32::from(digit),
        (_, digit @ 5..) => u32::from(digit) * 2 - 9,
        (_, digit) => u32::from(digit) * 2,
    });
    sum.sum::<u32>() % 10 == 0
}
