//! `Fill`: a text with masks in, what may stand there out.

use torchmesh_api::{
    error::ApiError,
    text::v1::{FillCandidate, FillRequest, FillResponse, Filled, MaskFill},
};

use super::{TextCall, forward::Read, invalid, wire};
use crate::{
    manifest::Task,
    tensor::Tensor,
    text::{Place, Source, Tokeniser, characters::Characters, scores},
};

/// Candidates for each mask when the caller does not say.
const TOP: u32 = 5;
/// The most candidates for a mask.
const MOST: u32 = 100;
/// How WordPiece marks a token that goes on with a word.
const GOES_ON: &str = "##";

pub(super) async fn run(call: TextCall<'_>, request: FillRequest) -> Result<FillResponse, ApiError> {
    let tokeniser = &call.text.tokeniser;
    let (Task::Fill(_), Some(mask)) = (&call.serving.manifest.task, tokeniser.mask()) else {
        return Err(call.unfit("fill masks"));
    };
    call.count("texts", request.texts.len())?;
    let truncation = call.truncation_of_one(request.truncation)?;
    let top = if request.top_k == 0 { TOP } else { request.top_k };
    if top > MOST {
        return Err(invalid(format!("top_k is {top}; send 1 to {MOST}, or 0 for {TOP}")));
    }
    let tokenised = call.tokenise(request.texts.iter().cloned().map(Source::Text).collect(), truncation, true).await?;
    if let Some(at) = tokenised.iter().position(|text| !text.windows[0].ids.contains(&mask)) {
        let name = tokeniser.token(mask);
        return Err(invalid(format!("texts[{at}] has no {name} among the tokens that are read; put one where a word is to be found")));
    }
    let read = call.run(tokenised).await?;
    let filled = |(text, read): (&String, &Read)| filled(text, read, tokeniser, mask, top as usize);
    Ok(FillResponse {
        model: call.model_name(),
        model_version: call.model_version(),
        id: request.id,
        filled: request.texts.iter().zip(&read).map(filled).collect(),
    })
}

fn filled(text: &str, read: &Read, tokeniser: &Tokeniser, mask: u32, top: usize) -> Filled {
    let window = &read.tokenised.windows[0];
    let characters = Characters::of(text);
    let mut masks = Vec::new();
    let mut best = Vec::new();
    for ((at, &id), &place) in window.ids.iter().enumerate().zip(&window.places) {
        if id != mask || place.end == 0 {
            continue;
        }
        let probabilities = scores::softmax(&row(&read.answers[0], at, window.ids.len()));
        let chosen = scores::highest(&probabilities, top);
        let candidates: Vec<FillCandidate> =
            chosen.into_iter().map(|id| candidate(text, place, tokeniser, id, probabilities[id])).collect();
        best.push((place, candidates.first().map_or_else(String::new, |first| tokeniser.decoded(first.token_id))));
        let (start, end) = bare(text, place);
        masks.push(MaskFill {
            candidates,
            start_byte: wire(start),
            end_byte: wire(end),
            start_char: wire(characters.before(start)),
            end_char: wire(characters.before(end)),
        });
    }
    // From the end, so that the places before it stay right.
    let whole = best.into_iter().rev().fold(text.to_owned(), |text, (place, token)| put(&text, place, &token));
    Filled { masks, text: whole, tokens: wire(read.tokenised.tokens()), truncated: read.tokenised.truncated }
}

/// The scores of one token: a row of [1, tokens, vocabulary].
fn row(logits: &Tensor, at: usize, tokens: usize) -> Vec<f32> {
    let wide = logits.data.len() / tokens.max(1);
    let row = logits.data.get(at * wide..(at + 1) * wide).unwrap_or_default();
    row.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn candidate(text: &str, place: Place, tokeniser: &Tokeniser, id: usize, score: f32) -> FillCandidate {
    let id = wire(id);
    let token = tokeniser.decoded(id);
    FillCandidate { text: put(text, place, &token), token: token.trim().trim_start_matches(GOES_ON).to_owned(), token_id: id, score }
}

/// Where the mask itself is: some tokenizers count the blank before it in.
fn bare(text: &str, place: Place) -> (usize, usize) {
    let slice = text.get(place.start..place.end).unwrap_or_default();
    let start = place.start + (slice.len() - slice.trim_start().len());
    (start, start + slice.trim().len())
}

/// The text with a token in a mask's place.
fn put(text: &str, place: Place, token: &str) -> String {
    let (start, end) = bare(text, place);
    let (before, behind) = (text.get(..start).unwrap_or_default(), text.get(end..).unwrap_or_default());
    match token.strip_prefix(GOES_ON) {
        Some(rest) => format!("{}{rest}{behind}", before.trim_end()),
        None => format!("{before}{}{behind}", token.trim()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(start: usize, end: usize) -> Place {
        Place { start, end, ..Place::default() }
    }

    #[test]
    fn a_token_stands_in_the_masks_place_alone() {
        assert_eq!(put("a [MASK].", place(2, 8), "b"), "a b.");
        assert_eq!(put("a <mask>.", place(1, 8), " b"), "a b.", "the blank before the mask was counted in");
        assert_eq!(put("walk [MASK] on", place(5, 11), "##ing"), "walking on");
        assert_eq!(bare("a <mask>.", place(1, 8)), (2, 8));
    }
}
