//! `Embed`: text in, vectors out.

use torchmesh_api::{
    error::ApiError,
    text::v1::{EmbedRequest, EmbedResponse, Embedding, TokenIds},
};

use super::{
    TextCall,
    forward::{Read, floats},
    invalid, wire,
};
use crate::{
    manifest::{Task, Truncation},
    tensor::Tensor,
    text::{Source, Tokenised, Window, pooling, scores},
};

pub(super) async fn run(call: TextCall<'_>, request: EmbedRequest) -> Result<EmbedResponse, ApiError> {
    let Task::Embed(settings) = &call.serving.manifest.task else { return Err(call.unfit("embed text")) };
    match (request.texts.len(), request.tokens.len()) {
        (texts, 0) => call.count("texts", texts)?,
        (0, tokens) => call.count("tokens", tokens)?,
        _ => return Err(invalid("texts and tokens are both set; send one of the two")),
    }
    let truncation = call.truncation(request.truncation)?;
    let tokenised = if request.texts.is_empty() {
        given(request.tokens, &call, truncation)?
    } else {
        call.tokenise(request.texts.into_iter().map(Source::Text).collect(), truncation, false).await?
    };
    let read = call.run(tokenised).await?;
    Ok(EmbedResponse {
        model: call.model_name(),
        model_version: call.model_version(),
        id: request.id,
        embeddings: read.into_iter().map(|read| embedding(read, settings.pool.normalize)).collect(),
    })
}

/// Token ids that the caller made: checked, because an id outside the vocabulary would fail the whole batch.
fn given(tokens: Vec<TokenIds>, call: &TextCall<'_>, truncation: Truncation) -> Result<Vec<Tokenised>, ApiError> {
    let (limit, vocabulary) = (call.text.settings.max_tokens, call.text.tokeniser.vocabulary());
    let one = |(at, TokenIds { mut ids }): (usize, TokenIds)| {
        if ids.is_empty() {
            return Err(invalid(format!("tokens[{at}] is empty; send at least one id")));
        }
        if let Some(id) = ids.iter().find(|&&id| id as usize >= vocabulary) {
            return Err(invalid(format!("tokens[{at}] has id {id}; ids of this model go from 0 to {}", vocabulary.saturating_sub(1))));
        }
        let truncated = ids.len() > limit;
        // Where special tokens stand in them is not known, so that they cannot be split.
        if truncated && truncation != Truncation::End {
            return Err(invalid(format!(
                "tokens[{at}] has {} ids, and this model reads {limit}; shorten it, or ask for truncation at the end",
                ids.len()
            )));
        }
        ids.truncate(limit);
        Ok(Tokenised { windows: vec![Window { ids, ..Window::default() }], truncated, overlap: 0 })
    };
    tokens.into_iter().enumerate().map(one).collect()
}

fn embedding(Read { tokenised, mut answers }: Read, normalize: bool) -> Embedding {
    let values = match answers.len() {
        1 => floats(&answers.swap_remove(0)),
        _ => mean(&tokenised, &answers, normalize),
    };
    let (tokens, windows) = (wire(tokenised.tokens()), wire(tokenised.windows.len()));
    Embedding { values, tokens, truncated: tokenised.truncated, windows }
}

/// The mean of a split text's vectors, weighted by their tokens.
fn mean(tokenised: &Tokenised, answers: &[Tensor], normalize: bool) -> Vec<f32> {
    let vectors: Vec<Vec<f32>> = answers.iter().map(floats).collect();
    let weights = tokenised.windows.iter().map(|window| window.ids.len() as f64);
    let mut mean = scores::mean(vectors.iter().map(Vec::as_slice).zip(weights));
    if normalize {
        pooling::scale_to_one(&mut mean);
    }
    mean
}
