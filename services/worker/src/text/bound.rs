//! How long a text may be before it is tokenised, so that nobody can keep the tokeniser busy with one.

use torchmesh_api::error::{ApiError, ErrorKind};

use crate::manifest::Truncation;

/// Bytes for each token that the model reads. A token of English has four or five, so what is cut here would have been cut as
/// tokens too, save in texts of nothing but very long words or blanks.
const BYTES_PER_TOKEN: usize = 16;
/// The most windows that a text is split into.
pub(super) const MAX_WINDOWS: usize = 64;

/// The part of text `name` that is worth tokenising, and whether that is less than all of it.
pub(crate) fn bound<'a>(text: &'a str, name: &str, max_tokens: usize, truncation: Truncation) -> Result<(&'a str, bool), ApiError> {
    let windows = if truncation == Truncation::Split { MAX_WINDOWS } else { 1 };
    let limit = max_tokens.saturating_mul(BYTES_PER_TOKEN).saturating_mul(windows);
    if text.len() <= limit {
        return Ok((text, false));
    }
    let advice = match truncation {
        // A character has at most four bytes, so this takes at most three steps back.
        Truncation::End => {
            let end = (0..=limit).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            return Ok((&text[..end], true));
        }
        Truncation::Reject => {
            format!("this model reads at most {max_tokens} tokens ({limit} bytes); shorten it, or ask for truncation at the end")
        }
        Truncation::Split => format!("it is split into at most {MAX_WINDOWS} windows ({limit} bytes); send it in parts"),
    };
    Err(ApiError::new(ErrorKind::InvalidArgument, format!("{name} has {} bytes, and {advice}", text.len())))
}

/// What a caller is told whose text has too many tokens.
pub(super) fn too_many_tokens(name: &str, max_tokens: usize) -> ApiError {
    let message =
        format!("{name} has more than the {max_tokens} tokens that this model reads; shorten it, or ask for truncation at the end");
    ApiError::new(ErrorKind::InvalidArgument, message)
}

/// What a caller is told whose text has too many windows.
pub(super) fn too_many_windows(name: &str, windows: usize) -> ApiError {
    let message = format!("{name} makes {windows} windows, and at most {MAX_WINDOWS} are read; send it in parts");
    ApiError::new(ErrorKind::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_huge_text_is_cut_at_a_character_before_it_is_tokenised() {
        let text = format!("x{}", "é".repeat(1 << 20));
        let (kept, cut) = bound(&text, "texts[0]", 8, Truncation::End).unwrap();
        assert!(cut);
        assert_eq!(kept.len(), 127, "128 would be in the middle of a character");
    }

    #[test]
    fn a_huge_text_is_refused_by_name_and_limit_when_it_may_not_be_cut() {
        let refused = bound(&"x".repeat(129), "texts[3]", 8, Truncation::Reject).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::InvalidArgument);
        assert!(refused.message.contains("texts[3] has 129 bytes") && refused.message.contains("8 tokens (128 bytes)"), "{refused}");
        let refused = bound(&"x".repeat(64 * 128 + 1), "texts[0]", 8, Truncation::Split).unwrap_err();
        assert!(refused.message.contains("at most 64 windows (8192 bytes)"), "{refused}");
    }

    #[test]
    fn a_text_within_the_bound_is_left_alone() {
        assert_eq!(bound("hello", "texts[0]", 8, Truncation::Reject).unwrap(), ("hello", false));
        assert!(!bound(&"x".repeat(129), "texts[0]", 8, Truncation::Split).unwrap().1, "it is read in windows");
    }
}
