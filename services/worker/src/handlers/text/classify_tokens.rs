//! `ClassifyTokens`: text in, entities out.

use torchmesh_api::{
    error::ApiError,
    text::v1::{self as pb, ClassifyTokensRequest, ClassifyTokensResponse, TokenClassification},
};

use super::{
    TextCall,
    forward::{Read, floats},
    invalid, wire,
};
use crate::{
    manifest::{Aggregation, Task},
    text::{
        Source,
        characters::Characters,
        entities::{self, Entity},
    },
};

pub(super) async fn run(call: TextCall<'_>, request: ClassifyTokensRequest) -> Result<ClassifyTokensResponse, ApiError> {
    let Task::TokenClassify(settings) = &call.serving.manifest.task else { return Err(call.unfit("classify tokens")) };
    call.count("texts", request.texts.len())?;
    let truncation = call.truncation(request.truncation)?;
    let aggregation = aggregation(request.aggregation, settings.aggregation)?;
    let tokenised = call.tokenise(request.texts.iter().cloned().map(Source::Text).collect(), truncation, true).await?;
    let read = call.run(tokenised).await?;
    Ok(ClassifyTokensResponse {
        model: call.model_name(),
        model_version: call.model_version(),
        id: request.id,
        classifications: request.texts.iter().zip(&read).map(|(text, read)| classification(&call, text, read, aggregation)).collect(),
    })
}

fn aggregation(asked: i32, own: Aggregation) -> Result<Aggregation, ApiError> {
    match pb::Aggregation::try_from(asked) {
        Ok(pb::Aggregation::Unspecified) => Ok(own),
        Ok(pb::Aggregation::None) => Ok(Aggregation::None),
        Ok(pb::Aggregation::Simple) => Ok(Aggregation::Simple),
        Ok(pb::Aggregation::First) => Ok(Aggregation::First),
        Ok(pb::Aggregation::Average) => Ok(Aggregation::Average),
        Ok(pb::Aggregation::Max) => Ok(Aggregation::Max),
        Err(_) => Err(invalid(format!(
            "aggregation is {asked}; send 0 (the model's own), 1 (none), 2 (simple), 3 (first), 4 (average) or 5 (max)"
        ))),
    }
}

fn classification(call: &TextCall<'_>, text: &str, read: &Read, aggregation: Aggregation) -> TokenClassification {
    let Read { tokenised, answers } = read;
    let logits: Vec<Vec<f32>> = answers.iter().map(floats).collect();
    let tokens = entities::tokens(text, &call.text.tokeniser, &tokenised.windows, &logits, tokenised.overlap);
    let found = entities::entities(&tokens, aggregation, |index| call.serving.manifest.task.label(index));
    let characters = Characters::of(text);
    TokenClassification {
        entities: found.into_iter().map(|entity| on_wire(entity, text, &characters)).collect(),
        tokens: wire(tokenised.tokens()),
        truncated: tokenised.truncated,
        windows: wire(tokenised.windows.len()),
    }
}

fn on_wire(Entity { label, score, start, end }: Entity, text: &str, characters: &Characters) -> pb::Entity {
    pb::Entity {
        label,
        score,
        start_byte: wire(start),
        end_byte: wire(end),
        start_char: wire(characters.before(start)),
        end_char: wire(characters.before(end)),
        text: text.get(start..end).unwrap_or_default().to_owned(),
    }
}
