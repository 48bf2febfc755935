//! Lists that come in pages: each goes on behind the last key of the one before.

use crate::error::{Refusal, Result};

/// The most of one page, and as many as there are when nothing is said.
const MOST: i64 = 1000;
const USUAL: i64 = 100;

/// What page is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// How many at most.
    pub size: i64,
    /// Those behind this key; from the first when empty.
    pub after: String,
}

impl Page {
    /// Reads what is asked for.
    pub fn of(size: i32, token: &str) -> Result<Self> {
        Self::up_to(MOST, size, token)
    }

    /// The same of a list whose pages may be longer or shorter.
    pub fn up_to(most: i64, size: i32, token: &str) -> Result<Self> {
        let size = match i64::from(size) {
            0 => USUAL,
            size if (1..=most).contains(&size) => size,
            _ => return Err(Refusal::Invalid(format!("page_size: must be from 1 to {most}; 0 is {USUAL}"))),
        };
        if token.len() > 1024 {
            return Err(Refusal::Invalid("page_token: is not one that was given".to_owned()));
        }
        Ok(Self { size, after: token.to_owned() })
    }

    /// The same page, with no more than so many.
    #[must_use]
    pub fn at_most(self, most: i64) -> Self {
        Self { size: self.size.min(most), ..self }
    }

    /// How many rows to ask for: one more than wanted, which tells whether there are more.
    pub fn limit(&self) -> i64 {
        self.size + 1
    }

    /// Takes the row more away, and gives the token of the next page.
    pub fn cut<T>(&self, rows: &mut Vec<T>, key: impl Fn(&T) -> String) -> String {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        if rows.len() <= size {
            return String::new();
        }
        rows.truncate(size);
        rows.last().map(key).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_give_every_row_once() {
        let all: Vec<i32> = (10..35).collect();
        let (mut token, mut seen) = (String::new(), Vec::new());
        loop {
            let page = Page::of(10, &token).unwrap();
            let after: i32 = page.after.parse().unwrap_or(0);
            let mut rows: Vec<i32> = all.iter().copied().filter(|row| *row > after).take(page.limit() as usize).collect();
            token = page.cut(&mut rows, i32::to_string);
            seen.extend(rows);
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn a_page_has_a_bound() {
        assert_eq!(Page::of(0, "").unwrap().size, 100);
        assert_eq!(Page::of(1000, "k").unwrap().at_most(100), Page::of(100, "k").unwrap());
        assert_eq!(Page::of(7, "").unwrap().at_most(100).size, 7);
        assert!(Page::of(1001, "").is_err() && Page::of(-1, "").is_err());
    }
}
