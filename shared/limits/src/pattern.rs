//! Names with a star in them.

/// Matches names; `*` stands for any text, also for none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern(String);

impl Default for Pattern {
    fn default() -> Self {
        Self::any()
    }
}

impl Pattern {
    /// Matches every name.
    pub fn any() -> Self {
        Self("*".to_owned())
    }

    /// As it is written.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether a name is one of those.
    pub fn matches(&self, name: &str) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else { return self.0 == name };
        let Some(mut name) = name.strip_prefix(first) else { return false };
        let mut parts = rest.split('*').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return name.ends_with(part);
            }
            // The first place is as good as any later one: it leaves the most for the parts behind it.
            let Some(at) = name.find(part) else { return false };
            name = &name[at + part.len()..];
        }
        true
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        let fits = |pattern: &str, name: &str| Pattern::new(pattern).matches(name);
        assert!(
            fits("smollm2", "smollm2") && fits("*", "") && fits("smol*", "smollm2") && fits("*llm*", "smollm2") && fits("s*m2", "smollm2")
        );
        assert!(!fits("smollm2", "smollm") && !fits("smol*", "mol") && !fits("*llm", "smollm2") && !fits("aa*aa", "aaa") && !fits("", "a"));
    }
}
