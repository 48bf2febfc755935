//! Telephone numbers: those of E.164 with their `+`, and those that are dialled within a country where they are written as nothing else is. Bare digits are
//! left alone: they are order numbers and times far more often.

use std::ops::Range;

use super::{
    groups::{Gap, Group, Groups},
    text::{Text, is_word},
};

/// The most digits of a number (E.164, section 6).
const MOST: usize = 15;

/// The number that begins with this `+` or `(`.
pub(super) fn marked(text: &Text<'_>, at: usize) -> Option<Range<usize>> {
    let before = text.before(at, 1);
    // A sum, a call, or a link's address.
    if is_word(before) || before == b']' || !text.is_digit(at + 1) {
        return None;
    }
    let groups = Groups::read(text, at + 1);
    let end = if text.at(at) == b'+' { international(text, &groups, 0) } else { in_brackets(text, &groups) };
    end.map(|end| at..end)
}

/// One without a `+`.
pub(super) fn national(text: &Text<'_>, groups: &Groups) -> Option<usize> {
    dialled_abroad(text, groups).or_else(|| american(text, groups)).or_else(|| chinese(text, groups)).or_else(|| with_zero(text, groups))
}

/// `00` and a country, in three groups at least.
fn dialled_abroad(text: &Text<'_>, groups: &Groups) -> Option<usize> {
    let double_zero = groups.digits(1).starts_with(&[0, 0]) && groups.as_slice().len() >= 3;
    double_zero.then(|| international(text, groups, 2)).flatten()
}

/// A country's code and what follows, behind `skip` digits.
fn international(text: &Text<'_>, groups: &Groups, skip: usize) -> Option<usize> {
    let all = groups.as_slice();
    // Beside blanks and brackets one sort of separator, or it is more than one number.
    let mut sort = None;
    let joined = all.iter().take_while(|group| match group.gap {
        None | Some(Gap::Blank | Gap::Bracket) => true,
        gap => *sort.get_or_insert(gap) == gap,
    });
    let most = (joined.count() + 1).min(all.len());
    let good = |count: &usize| is_a_number(&all[..*count], groups.digits(*count).get(skip..)) && text.ends_a_number(all[count - 1].end);
    (1..=most).rev().find(good).map(|count| all[count - 1].end)
}

fn is_a_number(groups: &[Group], digits: Option<&[u8]>) -> bool {
    let Some((digits, country)) = digits.and_then(|digits| Some((digits, country(digits)?))) else { return false };
    let least = match groups {
        // North America's and Russia's are all of one length.
        _ if country == 1 => return digits.len() == 11,
        [_] => 9,
        // A number with a decimal point.
        [first, _] if first.gap == Some(Gap::Dot) => return false,
        // A number in thousands.
        [_, rest @ ..] if rest.iter().all(|group| group.len() == 3) => 10,
        _ => 8,
    };
    (least..=MOST).contains(&digits.len())
}

/// How many digits a country's code has that begins so (ITU-T, list of E.164 assigned country codes).
fn country(digits: &[u8]) -> Option<usize> {
    let [first, second, ..] = *digits else { return None };
    match first * 10 + second {
        10..=19 | 70..=79 => Some(1),
        20 | 27 | 30..=34 | 36 | 39..=41 | 43..=49 | 51..=58 | 60..=66 | 81 | 82 | 84 | 86 | 90..=95 | 98 => Some(2),
        21..=26 | 29 | 35 | 37 | 38 | 42 | 50 | 59 | 67..=69 | 80 | 85 | 87 | 88 | 96 | 97 | 99 => Some(3),
        _ => None,
    }
}

/// An area in brackets: `(415) 555-2671`, `(030) 1234567`.
fn in_brackets(text: &Text<'_>, groups: &Groups) -> Option<usize> {
    let all = groups.as_slice();
    let closed = all[0].gap == Some(Gap::Bracket) && text.at(all[0].end) == b')';
    closed.then(|| area(text, groups).or_else(|| with_zero(text, groups))).flatten()
}

fn area(text: &Text<'_>, groups: &Groups) -> Option<usize> {
    let [code, exchange, line] = groups.as_slice().get(..3)? else { return None };
    let fits = is_american([code, exchange, line], groups.digits(3)) && exchange.gap != Some(Gap::Bracket);
    (fits && text.ends_a_number(line.end)).then_some(line.end)
}

/// `415-555-2671`, also with `.` or blanks, and with a `1` in front.
fn american(text: &Text<'_>, groups: &Groups) -> Option<usize> {
    let skip = usize::from(groups.digits(1) == [1]);
    let [code, exchange, line] = groups.as_slice().get(skip..skip + 3)? else { return None };
    let digits = &groups.digits(skip + 3)[skip..];
    let gap = code.gap;
    let alike =
        matches!(gap, Some(Gap::Hyphen | Gap::Dot | Gap::Blank)) && exchange.gap == gap && (skip == 0 || groups.as_slice()[0].gap == gap);
    (alike && is_american([code, exchange, line], digits) && text.ends_a_number(line.end)).then_some(line.end)
}

/// Area, exchange and line, of which the first two begin with 2 to 9.
fn is_american(groups: [&Group; 3], digits: &[u8]) -> bool {
    groups.map(Group::len) == [3, 3, 4] && digits[0] >= 2 && digits[3] >= 2
}

/// A mobile number of China in its usual groups: `138 1234 5678`.
fn chinese(text: &Text<'_>, groups: &Groups) -> Option<usize> {
    let found = [Gap::Blank, Gap::Hyphen].into_iter().find_map(|gap| groups.exactly(&[3, 4, 4], gap))?;
    let digits = groups.digits(3);
    (digits[0] == 1 && digits[1] >= 3 && text.ends_a_number(found[2].end)).then_some(found[2].end)
}

/// An area's code with its zero, and two to four groups in all (`030 1234567`, `0171/234 5678`, `020 7946 0958`), or five pairs (`06 12 34 56 78`).
fn with_zero(text: &Text<'_>, groups: &Groups) -> Option<usize> {
    let all = groups.as_slice();
    let digits = groups.digits(1);
    if !(2..=5).contains(&digits.len()) || digits[0] != 0 || digits[1] == 0 {
        return None;
    }
    let good = |count: &usize| is_dialled(&all[..*count]) && text.ends_a_number(all[count - 1].end);
    (2..=all.len().min(5)).rev().find(good).map(|count| all[count - 1].end)
}

fn is_dialled(groups: &[Group]) -> bool {
    let [first, rest @ ..] = groups else { return false };
    let total: usize = groups.iter().map(Group::len).sum();
    let [between @ .., last] = rest else { return false };
    let alike = between.iter().all(|group| group.gap == between[0].gap && !matches!(group.gap, Some(Gap::Bracket | Gap::Slash)));
    let pairs = groups.len() == 5 && groups.iter().all(|group| group.len() == 2) && between.iter().all(|group| group.gap == first.gap);
    let dotted = first.gap == Some(Gap::Dot) || between.iter().any(|group| group.gap == Some(Gap::Dot));
    let usual = !dotted && groups.len() <= 4 && last.len() >= 3 && rest.iter().all(|group| group.len() >= 2);
    alike && (9..=11).contains(&total) && (pairs || usual)
}
