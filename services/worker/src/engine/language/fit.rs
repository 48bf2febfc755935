//! Whether a step can be run at all.

use torchmesh_generation::{DecoderError, DecoderFacts, Span};

/// Refuses what does not fit the model or its cache, so that whoever runs the step need not ask.
pub(super) fn check(facts: &DecoderFacts, spans: &[Span<'_>]) -> Result<(), DecoderError> {
    let refuse = |message: String| Err(DecoderError { message, fatal: false });
    for span in spans {
        let end = span.cached + span.tokens.len();
        if span.tokens.is_empty() || end > facts.max_tokens || span.blocks.len() * facts.block_tokens < end {
            return refuse(format!("a sequence of {end} tokens does not fit its {} blocks, or the model", span.blocks.len()));
        }
        if let Some(block) = span.blocks.iter().find(|&&block| block as usize >= facts.blocks) {
            return refuse(format!("there is no block {block}"));
        }
        if let Some(token) = span.tokens.iter().find(|&&token| token as usize >= facts.vocabulary) {
            return refuse(format!("token {token} is not in the vocabulary of {}", facts.vocabulary));
        }
    }
    Ok(())
}
