//! Which language a browser would like.

use super::Language;

/// By `Accept-Language`: the one of ours with the highest weight, the first of those that are alike; English when none is asked for.
pub fn negotiate(header: &str) -> Language {
    let mut best: Option<(Language, f32)> = None;
    for item in header.split(',').take(32) {
        let mut parts = item.split(';').map(str::trim);
        let tag = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok()).unwrap_or(0.0);
        let language = match tag.split('-').next() {
            Some("en") => Language::English,
            Some("zh") => Language::Chinese,
            _ => continue,
        };
        if weight > 0.0 && best.is_none_or(|(_, so_far)| weight > so_far) {
            best = Some((language, weight));
        }
    }
    best.map_or(Language::English, |(language, _)| language)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_highest_weight_wins_and_english_is_for_everybody_else() {
        for (header, wanted) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", Language::Chinese),
            ("en-GB,en;q=0.9,zh;q=0.8", Language::English),
            ("fr, zh;q=0.3, en;q=0.2", Language::Chinese),
            ("de", Language::English),
            ("", Language::English),
            ("zh;q=0", Language::English),
        ] {
            assert_eq!(negotiate(header), wanted, "{header:?}");
        }
    }

    proptest! {
        #[test]
        fn no_header_breaks_it(header in ".*") {
            let _ = negotiate(&header);
        }
    }
}
