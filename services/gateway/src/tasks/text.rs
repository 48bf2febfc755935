//! The tasks of text models.

use serde::Deserialize;
use torchmesh_api::{
    error::ApiError,
    text::v1::{
        ClassifyRequest, ClassifyResponse, ClassifyTokensRequest, ClassifyTokensResponse, EmbedRequest, EmbedResponse, FillRequest,
        FillResponse, RerankRequest, RerankResponse,
    },
};

use super::{
    input::{Input, Long, Scores, Words, options},
    output::{Answered, Output, Ranked},
};
use crate::{
    caller::Caller,
    catalogue::Described,
    mesh::{Mesh, Spent},
};

/// The options of the tasks; each has those that say something to it, and refuses the others.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Embed {
    truncation: Long,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Classify {
    truncation: Long,
    scores: Scores,
    top_k: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ClassifyTokens {
    truncation: Long,
    aggregation: Words,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Fill {
    truncation: Long,
    top_k: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Rerank {
    truncation: Long,
    scores: Scores,
    top_n: u32,
    return_documents: bool,
}

/// A question to a text model, before its options are read.
struct Asking<'a> {
    mesh: &'a Mesh,
    caller: &'a Caller,
    model: String,
    model_version: String,
    input: Input,
}

/// The version that answered, what it answered, and where its time went.
type Told = (String, Vec<Output>, Spent);

pub(super) async fn ask(mesh: &Mesh, caller: &Caller, described: &Described, input: Input) -> Result<(Answered, Spent), ApiError> {
    let Described { model, version, task, .. } = described.clone();
    let asking = Asking { mesh, caller, model: model.clone(), model_version: version, input };
    let (version, outputs, spent) = match task.as_str() {
        "embed" => asking.embed().await,
        "classify" => asking.classify().await,
        "token-classify" => asking.classify_tokens().await,
        "fill" => asking.fill().await,
        _ => asking.rerank().await,
    }?;
    Ok((Answered { model, version, task, outputs }, spent))
}

fn outputs<T: Into<Output>>(told: Vec<T>) -> Vec<Output> {
    told.into_iter().map(Into::into).collect()
}

impl Asking<'_> {
    async fn embed(self) -> Result<Told, ApiError> {
        let Self { mesh, caller, model, model_version, input } = self;
        let Embed { truncation } = options(input.options)?;
        let (texts, truncation) = (input.content.into_texts()?, truncation.into());
        let request = EmbedRequest { model, model_version, texts, truncation, ..Default::default() };
        let (told, spent): (EmbedResponse, _) = mesh.timed(caller, "/torchmesh.text.v1.TextService/Embed", &request).await?;
        Ok((told.model_version, outputs(told.embeddings), spent))
    }

    async fn classify(self) -> Result<Told, ApiError> {
        let Self { mesh, caller, model, model_version, input } = self;
        let Classify { truncation, scores, top_k } = options(input.options)?;
        let (texts, truncation, function) = (input.content.into_texts()?, truncation.into(), scores.into());
        let request = ClassifyRequest { model, model_version, texts, truncation, function, top_k, ..Default::default() };
        let (told, spent): (ClassifyResponse, _) = mesh.timed(caller, "/torchmesh.text.v1.TextService/Classify", &request).await?;
        Ok((told.model_version, outputs(told.classifications), spent))
    }

    async fn classify_tokens(self) -> Result<Told, ApiError> {
        let Self { mesh, caller, model, model_version, input } = self;
        let ClassifyTokens { truncation, aggregation } = options(input.options)?;
        let (texts, truncation, aggregation) = (input.content.into_texts()?, truncation.into(), aggregation.into());
        let request = ClassifyTokensRequest { model, model_version, texts, truncation, aggregation, ..Default::default() };
        let path = "/torchmesh.text.v1.TextService/ClassifyTokens";
        let (told, spent): (ClassifyTokensResponse, _) = mesh.timed(caller, path, &request).await?;
        Ok((told.model_version, outputs(told.classifications), spent))
    }

    async fn fill(self) -> Result<Told, ApiError> {
        let Self { mesh, caller, model, model_version, input } = self;
        let Fill { truncation, top_k } = options(input.options)?;
        let (texts, truncation) = (input.content.into_texts()?, truncation.into());
        let request = FillRequest { model, model_version, texts, truncation, top_k, ..Default::default() };
        let (told, spent): (FillResponse, _) = mesh.timed(caller, "/torchmesh.text.v1.TextService/Fill", &request).await?;
        Ok((told.model_version, outputs(told.filled), spent))
    }

    async fn rerank(self) -> Result<Told, ApiError> {
        let Self { mesh, caller, model, model_version, input } = self;
        let Rerank { truncation, scores, top_n, return_documents } = options(input.options)?;
        let (query, documents) = input.content.into_query()?;
        let request = RerankRequest {
            model,
            model_version,
            query,
            documents,
            truncation: truncation.into(),
            top_n,
            return_documents,
            function: scores.into(),
            ..Default::default()
        };
        let (told, spent): (RerankResponse, _) = mesh.timed(caller, "/torchmesh.text.v1.TextService/Rerank", &request).await?;
        let ranked = |one: torchmesh_api::text::v1::Ranked| Ranked {
            index: one.index,
            score: one.score,
            document: return_documents.then_some(one.document),
        };
        let results = told.results.into_iter().map(ranked).collect();
        Ok((told.model_version, vec![Output::Ranking { results }], spent))
    }
}
