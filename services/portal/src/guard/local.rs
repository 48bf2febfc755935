//! Where somebody is sent after a form: to a page of ours, whatever the address says.

/// The path, when it is one of this site; `otherwise` when it would lead anywhere else.
pub fn local_path<'a>(told: &'a str, otherwise: &'a str) -> &'a str {
    // `//evil.example` and `/\evil.example` are other sites to a browser, which also drops tabs and line ends.
    let starts_well = told.starts_with('/') && !told[1..].starts_with(['/', '\\']);
    let is_plain = told.len() <= 1024 && told.bytes().all(|byte| byte.is_ascii_graphic()) && !told.contains('\\');
    if starts_well && is_plain { told } else { otherwise }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn other_sites_are_refused_in_every_spelling() {
        for evil in [
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "\\\\evil.example",
            "javascript:alert(1)",
            "",
            "evil",
            "/\t/evil.example",
            "/\n/evil.example",
            "/a\\b",
            " /a",
            "/ä",
        ] {
            assert_eq!(local_path(evil, "/console"), "/console", "{evil:?}");
        }
        assert_eq!(local_path("/console/usage?days=7&by=key", "/"), "/console/usage?days=7&by=key");
    }

    proptest! {
        #[test]
        fn whatever_is_given_leads_to_this_host(told in ".*") {
            let base = reqwest::Url::parse("https://portal.example").unwrap();
            let there = base.join(local_path(&told, "/console")).unwrap();
            prop_assert_eq!(there.origin(), base.origin());
        }
    }
}
