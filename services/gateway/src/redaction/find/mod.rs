//! Finds personal data in a text by its form: in one pass, without going back.
//!
//! Each finder is asked only where something of its kind may begin, and looks at no more bytes from there than the longest of that kind has; that of
//! e-mail addresses is asked at each `@` and stops at the next. So the work is the text's length times a constant, whatever the text.

mod address;
mod email;
mod groups;
mod iban;
mod identity;
mod phone;
mod text;

use std::ops::Range;

use self::{groups::Groups, text::Text};
use super::kind::{Kind, Kinds};

/// A value, and where it is, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub kind: Kind,
    /// Where it is: never within a character.
    pub range: Range<usize>,
}

/// The values of a text, in its order; none overlaps another.
#[derive(Debug)]
pub struct Finder<'t> {
    text: Text<'t>,
    kinds: Kinds,
    at: usize,
    /// What was found next, while there may be addresses of the internet in front of it.
    found: Option<Found>,
    /// How far such addresses were looked for.
    searched: usize,
}

/// Where a value of a kind ends that begins here, if one does.
type Find = fn(&Text<'_>, &Groups) -> Option<usize>;

impl<'t> Finder<'t> {
    /// Looks for these kinds.
    pub fn new(text: &'t str, kinds: Kinds) -> Self {
        Self { text: Text::new(text.as_bytes()), kinds, at: 0, found: None, searched: 0 }
    }

    /// How often a byte was looked at.
    #[cfg(test)]
    fn looks(&self) -> usize {
        self.text.looks()
    }

    /// The next value that is no address of the internet.
    fn ahead(&mut self) -> Option<Found> {
        while let Some(byte) = self.text.get(self.at) {
            if let Some(found) = self.here(self.at, byte) {
                self.at = found.range.end;
                return Some(found);
            }
            self.at += 1;
        }
        None
    }

    fn here(&self, at: usize, byte: u8) -> Option<Found> {
        let (text, kinds) = (&self.text, self.kinds);
        let found = |kind: Kind, range: Option<Range<usize>>| range.map(|range| Found { kind, range });
        match byte {
            b'@' if kinds.has(Kind::Email) => found(Kind::Email, email::around(text, at)),
            b'0'..=b'9' => self.number(at),
            b'+' | b'(' if kinds.has(Kind::Phone) => found(Kind::Phone, phone::marked(text, at)),
            b'a'..=b'z' | b'A'..=b'Z' if kinds.has(Kind::Iban) => found(Kind::Iban, iban::from(text, at)),
            _ => None,
        }
    }

    fn number(&self, at: usize) -> Option<Found> {
        if !self.text.begins_a_number(at) {
            return None;
        }
        let (text, kinds) = (&self.text, self.kinds);
        let groups = Groups::read(text, at);
        // The surest first: what has a check digit and a form of its own is not a phone number as well.
        let finders: [(Kind, Find); 5] = [
            (Kind::CnId, identity::cn_id),
            (Kind::BrCpf, identity::br_cpf),
            (Kind::UsSsn, identity::us_ssn),
            (Kind::Card, identity::card),
            (Kind::Phone, phone::national),
        ];
        let mut wanted = finders.into_iter().filter(|(kind, _)| kinds.has(*kind));
        wanted.find_map(|(kind, find)| find(text, &groups).map(|end| Found { kind, range: at..end }))
    }

    /// The next address of the internet in front of this place.
    fn address(&mut self, end: usize) -> Option<Found> {
        self.text.ends_at(end);
        let mut places = self.searched..end;
        let range = places.find_map(|at| address::from(&self.text, at));
        self.text.ends_at(self.text.len());
        self.searched = range.as_ref().map_or(end, |range| range.end);
        range.map(|range| Found { kind: Kind::Ip, range })
    }
}

impl Iterator for Finder<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        if !self.kinds.has(Kind::Ip) {
            let found = self.ahead()?;
            self.text.done(found.range.end);
            return Some(found);
        }
        // What may be something else is no address; so an address is looked for in what is left between the others, and told in its turn.
        let found = self.found.take().or_else(|| self.ahead());
        let end = found.as_ref().map_or(usize::MAX, |found| found.range.start);
        if let Some(address) = self.address(end.min(self.text.len())) {
            self.found = found;
            self.text.done(address.range.end);
            return Some(address);
        }
        let found = found?;
        self.searched = found.range.end;
        self.text.done(found.range.end);
        Some(found)
    }
}

#[cfg(test)]
mod tests;
