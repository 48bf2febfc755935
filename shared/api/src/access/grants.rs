//! Which models a credential may use.

use thiserror::Error;

/// The longest pattern, in bytes: as long as a model's name may be.
const LONGEST: usize = 128;
/// What stands for any characters, none included.
const ANY: char = '*';

/// A pattern that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a model's name or a pattern of one: 1 to 128 letters, digits, '.', '_' and '-', with '*' for any characters")]
pub struct PatternError(String);

/// Models by name or by pattern, such as `smollm2` and `mini*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelGrants {
    /// Every model, those that come later included.
    All,
    /// Those that one of the patterns fits.
    These(Box<[Box<str>]>),
    /// Those that both allow.
    Both(Box<[Self; 2]>),
}

impl ModelGrants {
    /// Reads a list of patterns; `*` is every model, and an empty list none.
    pub fn parse<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, PatternError> {
        let mut read: Vec<Box<str>> = Vec::new();
        for pattern in patterns {
            let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ANY);
            if pattern.is_empty() || pattern.len() > LONGEST || !pattern.chars().all(good) {
                return Err(PatternError(pattern.chars().take(LONGEST).collect()));
            }
            read.push(pattern.into());
        }
        Ok(if read.iter().any(|pattern| **pattern == *"*") { Self::All } else { Self::These(read.into()) })
    }

    /// Whether this model may be used.
    pub fn allow(&self, model: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(patterns) => patterns.iter().any(|pattern| fits(pattern.as_bytes(), model.as_bytes())),
            Self::Both(both) => both.iter().all(|grants| grants.allow(model)),
        }
    }

    /// What is in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, only) | (only, Self::All) => only,
            both => Self::Both(Box::new(both.into())),
        }
    }

    /// The patterns, as they were written.
    pub fn patterns(&self) -> Vec<&str> {
        match self {
            Self::All => vec!["*"],
            Self::These(patterns) => patterns.iter().map(|pattern| &**pattern).collect(),
            Self::Both(both) => both.iter().flat_map(Self::patterns).collect(),
        }
    }
}

/// Whether a pattern fits a text. Only the last `*` is ever tried again, so that no pattern makes it slow.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut last: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&(ANY as u8)) {
            last = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((star, from)) = last {
            (p, t) = (star + 1, from + 1);
            last = Some((star, from + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == ANY as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grants(patterns: &[&str]) -> ModelGrants {
        ModelGrants::parse(patterns.iter().copied()).unwrap()
    }

    #[test]
    fn a_name_grants_itself_and_a_pattern_what_it_fits() {
        let grants = grants(&["smollm2", "mini*", "*-v2"]);
        for granted in ["smollm2", "mini", "minilm", "all-v2", "-v2"] {
            assert!(grants.allow(granted), "{granted}");
        }
        for other in ["smollm", "smollm22", "aminilm", "v2", "", "SMOLLM2"] {
            assert!(!grants.allow(other), "{other}");
        }
    }

    #[test]
    fn a_star_alone_is_every_model_and_an_empty_list_none() {
        assert_eq!(grants(&["a", "*"]), ModelGrants::All);
        assert!(ModelGrants::All.allow("anything") && !grants(&[]).allow("anything"));
    }

    #[test]
    fn what_cannot_be_a_name_is_refused() {
        for wrong in ["", "a b", "a/b", "ü", "[ab]", &"x".repeat(129)] {
            assert!(ModelGrants::parse([wrong]).is_err(), "{wrong:?} was taken");
        }
    }

    /// The same, said in the simplest way.
    fn fits_plainly(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                fits_plainly(rest, text) || text.split_first().is_some_and(|(_, after)| fits_plainly(pattern, after))
            }
            (Some((a, rest)), Some((b, after))) => a == b && fits_plainly(rest, after),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn both_allow_what_each_allows(a in "[ab*]{1,4}", b in "[ab*]{1,4}", model in "[ab]{0,6}") {
            let (a, b) = (grants(&[&a]), grants(&[&b]));
            prop_assert_eq!(a.clone().and(b.clone()).allow(&model), a.allow(&model) && b.allow(&model));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn a_pattern_means_what_the_plain_reading_says(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(fits(pattern.as_bytes(), text.as_bytes()), fits_plainly(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn no_pattern_is_taken_that_could_not_be_part_of_a_name(pattern in ".{0,140}") {
            if let Ok(read) = ModelGrants::parse([pattern.as_str()]) {
                prop_assert_eq!(read.patterns(), vec![pattern.as_str()]);
                prop_assert!(pattern.is_ascii() && pattern.len() <= LONGEST);
            }
        }
    }
}
