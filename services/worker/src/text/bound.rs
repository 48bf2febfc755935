//! How long a text may be before it is tokenised, so that nobody can keep the tokeniser busy with one.

use torchmesh_api::error::{ApiError, ErrorKind};

use crate::manifest::Truncation;

/// Bytes for each token that the model reads. A token of English has four or five, so what is cut here would have been cut as
/// tokens too, save in texts of nothing but very long words or blanks.
const BYTES_PER_TOKEN: usize = 16;

/// The part of text `index` that is worth tokenising, and whether that is less than all of it.
pub(super) fn bound(text: &str, index: usize, max_tokens: usize, truncation: Truncation) -> Result<(&str, bool), ApiError> {
    let limit = max_tokens.saturating_mul(BYTES_PER_TOKEN);
    if text.len() <= limit {
        return Ok((text, false));
    }
    match truncation {
        // A character has at most four bytes, so this takes at most three steps back.
        Truncation::End => {
            let end = (0..=limit).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            Ok((&text[..end], true))
        }
        Truncation::Reject => {
            let message = format!(
                "texts[{index}] has {} bytes, and this model reads at most {max_tokens} tokens ({limit} bytes); shorten it, or ask for truncation at the end",
                text.len()
            );
            Err(ApiError::new(ErrorKind::InvalidArgument, message))
        }
    }
}

/// What a caller is told whose text has too many tokens.
pub(super) fn too_many_tokens(index: usize, max_tokens: usize) -> ApiError {
    let message =
        format!("texts[{index}] has more than the {max_tokens} tokens that this model reads; shorten it, or ask for truncation at the end");
    ApiError::new(ErrorKind::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_huge_text_is_cut_at_a_character_before_it_is_tokenised() {
        let text = format!("x{}", "é".repeat(1 << 20));
        let (kept, cut) = bound(&text, 0, 8, Truncation::End).unwrap();
        assert!(cut);
        assert_eq!(kept.len(), 127, "128 would be in the middle of a character");
    }

    #[test]
    fn a_huge_text_is_refused_by_name_and_limit_when_it_may_not_be_cut() {
        let refused = bound(&"x".repeat(129), 3, 8, Truncation::Reject).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::InvalidArgument);
        assert!(refused.message.contains("texts[3] has 129 bytes") && refused.message.contains("8 tokens (128 bytes)"), "{refused}");
    }

    #[test]
    fn a_text_within_the_bound_is_left_alone() {
        assert_eq!(bound("hello", 0, 8, Truncation::Reject).unwrap(), ("hello", false));
    }
}
