//! Numbers as people write them: groups of digits with one separator between two of them.

use super::text::Text;

/// The most groups that are read: more than any of these numbers has.
const MOST: usize = 8;
/// The most digits: a number that has more is none of them.
const MOST_DIGITS: usize = 20;

/// What stands between two groups: its sort, which stands for others of its look too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    /// A blank, broken or not.
    Blank,
    /// A hyphen or a dash.
    Hyphen,
    Dot,
    Slash,
    /// A bracket that opens or closes, and what stands beside it.
    Bracket,
}

/// Digits, and what follows them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) start: usize,
    pub(super) end: usize,
    /// What stands between this one and the next, which is there then.
    pub(super) gap: Option<Gap>,
}

impl Group {
    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }
}

/// The groups from one place on.
#[derive(Debug)]
pub(super) struct Groups {
    all: [Group; MOST],
    count: usize,
    digits: [u8; MOST_DIGITS],
}

impl Groups {
    /// Reads as many as there are, and no more than may matter. The first begins here.
    pub(super) fn read(text: &Text<'_>, mut at: usize) -> Self {
        let nothing = Group { start: at, end: at, gap: None };
        let mut read = Self { all: [nothing; MOST], count: 0, digits: [0; MOST_DIGITS] };
        let mut digits = 0;
        while read.count < MOST {
            let start = at;
            while digits < MOST_DIGITS && text.is_digit(at) {
                read.digits[digits] = text.at(at) - b'0';
                (digits, at) = (digits + 1, at + 1);
            }
            if at == start {
                break;
            }
            read.all[read.count] = Group { start, end: at, gap: None };
            read.count += 1;
            let Some((gap, next)) = gap(text, at).filter(|_| read.count < MOST && digits < MOST_DIGITS) else { break };
            read.all[read.count - 1].gap = Some(gap);
            at = next;
        }
        read
    }

    pub(super) fn as_slice(&self) -> &[Group] {
        &self.all[..self.count]
    }

    /// The first so many groups, if they have these lengths and `gap` between any two.
    pub(super) fn exactly(&self, lengths: &[usize], gap: Gap) -> Option<&[Group]> {
        let groups = self.as_slice().get(..lengths.len())?;
        let fits = groups.iter().zip(lengths).all(|(group, &length)| group.len() == length);
        let joined = groups[..groups.len() - 1].iter().all(|group| group.gap == Some(gap));
        (fits && joined).then_some(groups)
    }

    /// The digits of the first so many groups.
    pub(super) fn digits(&self, groups: usize) -> &[u8] {
        &self.digits[..self.as_slice()[..groups].iter().map(Group::len).sum()]
    }
}

/// What stands between two groups, and where the next begins: at a digit.
fn gap(text: &Text<'_>, from: usize) -> Option<(Gap, usize)> {
    let mut at = from;
    let closes = text.at(at) == b')';
    at += usize::from(closes);
    let separator = separator(text, at);
    at += separator.map_or(0, |(_, length)| length);
    let opens = !closes && text.at(at) == b'(';
    at += usize::from(opens);
    let gap = if closes || opens { Gap::Bracket } else { separator?.0 };
    text.is_digit(at).then_some((gap, at))
}

fn separator(text: &Text<'_>, at: usize) -> Option<(Gap, usize)> {
    match text.at(at) {
        b' ' => Some((Gap::Blank, 1)),
        b'-' => Some((Gap::Hyphen, 1)),
        b'.' => Some((Gap::Dot, 1)),
        b'/' => Some((Gap::Slash, 1)),
        // The blank that does not break, U+00A0.
        0xc2 if text.at(at + 1) == 0xa0 => Some((Gap::Blank, 2)),
        // The narrow one, U+202F; hyphens and dashes, U+2010 to U+2013.
        0xe2 if text.at(at + 1) == 0x80 => match text.at(at + 2) {
            0xaf => Some((Gap::Blank, 3)),
            0x90..=0x93 => Some((Gap::Hyphen, 3)),
            _ => None,
        },
        _ => None,
    }
}
