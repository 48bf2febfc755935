//! What a credential may do.

use std::fmt;

use thiserror::Error;

/// One thing that a credential may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `infer`: call models.
    Infer,
    /// `models:read`: list models, and read what is said of them.
    ModelsRead,
    /// `models:write`: load and unload models.
    ModelsWrite,
    /// `priority:high`: be served before others.
    PriorityHigh,
    /// `admin`: all of it, and what is for operators only.
    Admin,
}

impl Scope {
    /// Every scope, in the order in which they are written.
    pub const ALL: [Self; 5] = [Self::Infer, Self::ModelsRead, Self::ModelsWrite, Self::PriorityHigh, Self::Admin];

    /// The word for it, in files and in tokens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Infer => "infer",
            Self::ModelsRead => "models:read",
            Self::ModelsWrite => "models:write",
            Self::PriorityHigh => "priority:high",
            Self::Admin => "admin",
        }
    }

    /// The scope that a word stands for.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a scope; there are infer, models:read, models:write, priority:high and admin")]
pub struct ScopeError(String);

/// A set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// None at all.
    pub const NONE: Self = Self(0);
    /// What a credential has of which nobody has said more: calling models and reading about them.
    pub const USUAL: Self = Self(1 << Scope::Infer as u8 | 1 << Scope::ModelsRead as u8);

    /// Reads a list of words.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, ScopeError> {
        let read = |word: &str| Scope::parse(word).ok_or_else(|| ScopeError(word.chars().take(64).collect()));
        words.into_iter().map(read).collect()
    }

    /// Whether it may do this; `admin` may do everything.
    pub fn has(self, scope: Scope) -> bool {
        self.0 & (scope.bit() | Scope::Admin.bit()) != 0
    }

    /// Whether all that `other` may do is among what this may do.
    pub fn covers(self, other: Self) -> bool {
        other.iter().all(|scope| self.has(scope))
    }

    /// What is in both; `admin` has everything in it.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Scope::ALL.into_iter().filter(|scope| self.has(*scope) && other.has(*scope)).collect()
    }

    /// What is in either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that were given by name.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.0 & scope.bit() != 0)
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl fmt::Display for Scopes {
    /// As OAuth writes them: with blanks between.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, scope) in self.iter().enumerate() {
            write!(f, "{}{scope}", if at == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_scope_allows_itself_and_admin_allows_everything() {
        let infer = Scopes::parse(["infer"]).unwrap();
        assert!(infer.has(Scope::Infer) && !infer.has(Scope::ModelsRead) && !infer.has(Scope::Admin));
        let admin = Scopes::parse(["admin"]).unwrap();
        assert!(Scope::ALL.into_iter().all(|scope| admin.has(scope)));
    }

    #[test]
    fn a_word_that_is_no_scope_is_named_with_those_there_are() {
        let message = Scopes::parse(["infer", "write"]).unwrap_err().to_string();
        assert!(message.contains("\"write\"") && message.contains("models:write"), "{message}");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(bits in 0_u8..32) {
            let scopes = Scopes(bits);
            prop_assert_eq!(Scopes::parse(scopes.to_string().split_whitespace()), Ok(scopes));
        }

        #[test]
        fn what_two_have_in_common_is_covered_by_both(a in 0_u8..32, b in 0_u8..32) {
            let both = Scopes(a).and(Scopes(b));
            prop_assert!(Scopes(a).covers(both) && Scopes(b).covers(both));
            prop_assert!(Scopes(a).or(Scopes(b)).covers(Scopes(a)));
        }
    }
}
