//! Which files of a source are wanted.

use std::fmt;

/// The longest pattern, in bytes.
const MAX: usize = 256;

/// A file name in which `*` stands for any characters, `/` included.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pattern(String);

impl Pattern {
    /// Checks the text. The error says what a pattern looks like.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX || !is_plain(text) {
            return Err("must be a file name or a pattern such as \"*.json\", relative, without . or .. in it".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether the name is meant.
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }

    /// The name itself, if there is no `*` in it.
    pub fn literal(&self) -> Option<&str> {
        (!self.0.contains('*')).then_some(&self.0)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a name stays inside the folder that it is relative to, on any file system, and is not one of our own.
pub(crate) fn is_plain(name: &str) -> bool {
    let part =
        |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', ':']) && !part.chars().any(char::is_control);
    name.len() <= 1024 && name.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(name)
    }

    #[test]
    fn a_star_is_any_run_of_characters() {
        for (pattern, name) in [
            ("*.json", "1_Pooling/config.json"),
            ("model*.safetensors", "model.safetensors"),
            ("*", "x"),
            ("a*b*c", "abbc"),
            ("x.pt", "x.pt"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("*.json", "config.json.bak"), ("x.pt", "x.pt2"), ("a*b*c", "acb"), ("ab*ba", "aba")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_name_that_leaves_its_folder_is_not_plain() {
        for bad in ["", "/x", "../x", "a/../b", "a//b", "a\\b", "c:x", "a\nb", ".hidden", "a/.b", "a/"] {
            assert!(!is_plain(bad) && Pattern::parse(bad).is_err(), "{bad:?}");
        }
        assert!(is_plain("1_Pooling/config.json") && is_plain("modèle.pt"));
    }

    proptest! {
        #[test]
        fn a_pattern_matches_what_its_stars_were_filled_with(parts in prop::collection::vec("[ab]{0,3}", 1..5), fill in "[abc/]{0,4}") {
            let pattern = Pattern(parts.join("*"));
            prop_assert!(pattern.matches(&parts.join(&fill)));
        }
    }
}
