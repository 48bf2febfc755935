//! Names that were checked once, where they entered, and can be trusted afterwards.

use std::{fmt, sync::Arc};

use thiserror::Error;

/// Why a name was refused. The message says what a good one looks like.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdError {
    /// Nothing, or too much.
    #[error("{what} must have 1 to {max} characters, not {len}")]
    Length {
        /// What was being named.
        what: &'static str,
        /// The longest allowed, in bytes.
        max: usize,
        /// How long it was, in bytes.
        len: usize,
    },
    /// A character that a name may not have.
    #[error("{what} has {found:?} at position {at}; {allowed}")]
    Character {
        /// What was being named.
        what: &'static str,
        /// The first wrong character.
        found: char,
        /// Its byte offset.
        at: usize,
        /// What is allowed, as a sentence.
        allowed: &'static str,
    },
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $ok:expr, $allowed:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                if text.is_empty() || text.len() > $max {
                    return Err(IdError::Length { what: $what, max: $max, len: text.len() });
                }
                let ok: fn(usize, char) -> bool = $ok;
                match text.char_indices().find(|&(at, c)| !ok(at, c)) {
                    Some((at, found)) => Err(IdError::Character { what: $what, found, at, allowed: $allowed }),
                    None => Ok(Self(text.into())),
                }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }
    };
}

name_type!(
    /// A model's name, such as `minilm`: 1 to 128 of `A-Z a-z 0-9 . _ -`, beginning with a letter or digit.
    ModelName,
    "a model name",
    128,
    |at, c| c.is_ascii_alphanumeric() || (at > 0 && matches!(c, '.' | '_' | '-')),
    "letters, digits, '.', '_' and '-' are allowed, the first a letter or digit"
);
name_type!(
    /// One instance of a service: 1 to 128 of `A-Z a-z 0-9 . _ : -`.
    InstanceId,
    "an instance id",
    128,
    |_, c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':'),
    "letters, digits, '.', '_', ':' and '-' are allowed"
);
name_type!(
    /// Who pays: 1 to 64 of `A-Z a-z 0-9 _ -`.
    TenantId,
    "a tenant id",
    64,
    |_, c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'),
    "letters, digits, '_' and '-' are allowed"
);

/// A model version: a whole number from 1 up, as in the repository's folder names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelVersion(u64);

impl ModelVersion {
    /// Checks the text: decimal digits, no sign, no leading zero, at least 1.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|_| plain).map(Self)
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ModelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_model_name_is_kept_as_it_is() {
        assert_eq!(ModelName::parse("all-MiniLM_L6.v2").unwrap().as_str(), "all-MiniLM_L6.v2");
    }

    #[test]
    fn a_model_name_cannot_climb_out_of_its_folder() {
        for bad in ["", "..", ".hidden", "a/b", "a\\b", "a b", "ü", &"x".repeat(129)] {
            assert!(ModelName::parse(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_refused_name_is_told_where_it_went_wrong() {
        let message = ModelName::parse("mini lm").unwrap_err().to_string();
        assert!(message.contains("' ' at position 4"), "{message}");
    }

    #[test]
    fn a_version_is_a_plain_number_from_one() {
        assert_eq!(ModelVersion::parse("12").unwrap().get(), 12);
        for bad in ["", "0", "01", "-1", "+1", "1.0", "v1", "99999999999999999999"] {
            assert!(ModelVersion::parse(bad).is_none(), "{bad:?} was taken");
        }
    }
}
