//! SPIFFE ids, and patterns of them: which workload a client certificate is of, and what it may do.

use std::fmt;

/// The longest id, in bytes (SPIFFE-ID, section 2.3).
const LONGEST: usize = 2048;
const SCHEME: &str = "spiffe://";

/// An id that was checked, such as `spiffe://example.org/ns/search/sa/api`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SpiffeId<'a>(&'a str);

impl<'a> SpiffeId<'a> {
    /// Checks the text.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix(SCHEME).filter(|_| text.len() <= LONGEST)?;
        let (domain, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let good = is_domain(domain) && (path.is_empty() || path[1..].split('/').all(is_segment));
        good.then_some(Self(text))
    }

    /// The text.
    pub(super) fn as_str(self) -> &'a str {
        self.0
    }
}

fn is_domain(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'.' | b'-' | b'_'))
}

fn is_segment(text: &str) -> bool {
    !matches!(text, "" | "." | "..") && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_'))
}

/// An id in which `*` stands for one whole segment of the path, and `**` at the end for all that is below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(String);

impl Pattern {
    /// Checks the text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "must be a SPIFFE id such as spiffe://example.org/ns/*/sa/api, with * for a segment and ** for the rest".to_owned();
        // With a letter in the place of each star it must be an id.
        let (body, open) = text.strip_suffix("/**").map_or((text, false), |body| (body, true));
        let plain: Vec<_> = body.split('/').enumerate().map(|(at, segment)| if at > 2 && segment == "*" { "x" } else { segment }).collect();
        if SpiffeId::parse(&plain.join("/")).is_none() {
            return Err(wrong());
        }
        Ok(Self(if open { format!("{body}/**") } else { body.to_owned() }))
    }

    /// Whether it fits an id.
    pub(super) fn fits(&self, id: SpiffeId<'_>) -> bool {
        let mut segments = id.0.split('/');
        for (at, wanted) in self.0.split('/').enumerate() {
            match (wanted, segments.next()) {
                ("**", Some(_)) => return true,
                ("*", Some(_)) if at > 2 => {}
                (wanted, Some(segment)) if wanted == segment => {}
                _ => return false,
            }
        }
        segments.next().is_none()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fits(pattern: &str, id: &str) -> bool {
        Pattern::parse(pattern).unwrap().fits(SpiffeId::parse(id).unwrap())
    }

    #[test]
    fn a_star_is_one_segment_and_two_are_the_rest() {
        let id = "spiffe://example.org/ns/search/sa/api";
        for pattern in [id, "spiffe://example.org/ns/*/sa/api", "spiffe://example.org/ns/search/**", "spiffe://example.org/**"] {
            assert!(fits(pattern, id), "{pattern}");
        }
        for pattern in [
            "spiffe://example.org/ns/*/sa",
            "spiffe://example.org/ns/*",
            "spiffe://other.org/**",
            "spiffe://example.org/ns/search/sa/api/**",
            "spiffe://example.org",
            "spiffe://example.org/ns/search/sa/ap",
        ] {
            assert!(!fits(pattern, id), "{pattern}");
        }
    }

    #[test]
    fn what_is_no_id_is_none_and_the_trust_domain_has_no_stars() {
        for text in [
            "",
            "spiffe://",
            "https://example.org",
            "spiffe:///a",
            "spiffe://a/",
            "spiffe://a/../b",
            "spiffe://A/b",
            "spiffe://a/b c",
            "spiffe://a//b",
            "spiffe://a:1/b",
        ] {
            assert!(SpiffeId::parse(text).is_none(), "{text}");
        }
        for text in ["spiffe://*/a", "spiffe://**", "spiffe://a/b*", "spiffe://a/**/b", "x"] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100_000))]

        #[test]
        fn an_id_fits_itself_and_only_ids_are_taken(text in "(spiffe://)?[a-z./*A-Z -]{0,24}") {
            if let Some(id) = SpiffeId::parse(&text) {
                prop_assert!(Pattern::parse(&text).unwrap().fits(id));
                prop_assert!(!text.contains('*'));
            }
            let _ = Pattern::parse(&text);
        }
    }
}
