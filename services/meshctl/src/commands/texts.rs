//! `meshctl classify`, `entities`, `rerank`, `fill` and `explain`: what the models of text say.

use serde::Serialize;
use tonic::transport::Channel;
use torchmesh_api::text::v1::{
    ClassifyRequest, ClassifyTokensRequest, ExplainRequest, FillRequest, RerankRequest, Truncation, text_service_client::TextServiceClient,
};

use super::embed::texts;
use crate::{
    cli::{ClassifyArgs, EntitiesArgs, ExplainArgs, FillArgs, RerankArgs, TextModelArgs},
    client::{Caller, MAX_ANSWER},
    error::{Failure, Result},
    home::Home,
    output::{Screen, short, table},
};

/// How much of a text a table shows, in characters.
const SHOWN: usize = 48;

/// An answer to one method, for scripts.
#[derive(Debug, Serialize)]
struct Answer<T> {
    model: String,
    model_version: String,
    results: Vec<T>,
}

#[derive(Debug, Serialize)]
struct Labelled {
    text: String,
    truncated: bool,
    windows: u32,
    labels: Vec<Score>,
}

#[derive(Debug, Serialize)]
struct Score {
    label: String,
    score: f32,
}

#[derive(Debug, Serialize)]
struct Found {
    text: String,
    entities: Vec<Entity>,
}

#[derive(Debug, Serialize)]
struct Entity {
    label: String,
    score: f32,
    text: String,
    start_byte: u32,
    end_byte: u32,
    start_char: u32,
    end_char: u32,
}

#[derive(Debug, Serialize)]
struct Ranked {
    index: u32,
    score: f32,
    document: String,
}

#[derive(Debug, Serialize)]
struct Filled {
    text: String,
    masks: Vec<Vec<Candidate>>,
}

#[derive(Debug, Serialize)]
struct Candidate {
    token: String,
    score: f32,
    text: String,
}

#[derive(Debug, Serialize)]
struct Explained {
    label: String,
    score: f32,
    logit: f32,
    method: String,
    convergence_delta: f32,
    tokens: Vec<Attributed>,
}

#[derive(Debug, Serialize)]
struct Attributed {
    token: String,
    attribution: f32,
    start_char: u32,
    end_char: u32,
}

/// A caller, and the service behind it.
async fn service(args: &TextModelArgs, home: &Home) -> Result<(Caller, TextServiceClient<Channel>)> {
    let caller = Caller::connect(&args.client, home).await?;
    let client = TextServiceClient::new(caller.channel.clone()).max_decoding_message_size(MAX_ANSWER);
    Ok((caller, client))
}

fn truncation(args: &TextModelArgs) -> i32 {
    (if args.truncate { Truncation::End } else { Truncation::Unspecified }).into()
}

impl<T> Answer<T> {
    fn heading(&self) -> String {
        format!("model {} {}\n\n", self.model, self.model_version)
    }
}

/// Labels and their scores.
pub(crate) async fn classify(args: &ClassifyArgs, home: &Home, screen: &Screen) -> Result<()> {
    let texts = texts(&args.texts)?;
    let (caller, mut client) = service(&args.model, home).await?;
    let request = ClassifyRequest {
        model: args.name.clone(),
        model_version: args.model.version.clone(),
        texts: texts.clone(),
        truncation: truncation(&args.model),
        top_k: args.top,
        ..Default::default()
    };
    let answer = client.classify(caller.request(request)).await.map_err(Failure::from)?.into_inner();
    let results = texts.into_iter().zip(answer.classifications).map(|(text, one)| Labelled {
        text,
        truncated: one.truncated,
        windows: one.windows,
        labels: one.labels.into_iter().map(|label| Score { label: label.label, score: label.score }).collect(),
    });
    let answer = Answer { model: answer.model, model_version: answer.model_version, results: results.collect() };
    let row = |(at, one): (usize, &Labelled)| {
        let rest: Vec<_> = one.labels.iter().skip(1).take(4).map(|other| format!("{} {:.4}", other.label, other.score)).collect();
        let (label, score) = one.labels.first().map_or_else(Default::default, |best| (best.label.clone(), format!("{:.4}", best.score)));
        [(at + 1).to_string(), short(&one.text, SHOWN), label, score, rest.join(", ")]
    };
    let rows = || table(["#", "text", "label", "score", "others"], answer.results.iter().enumerate().map(row));
    screen.show(&answer, || answer.heading() + &rows())
}

/// Entities and where they are.
pub(crate) async fn entities(args: &EntitiesArgs, home: &Home, screen: &Screen) -> Result<()> {
    let texts = texts(&args.texts)?;
    let (caller, mut client) = service(&args.model, home).await?;
    let request = ClassifyTokensRequest {
        model: args.name.clone(),
        model_version: args.model.version.clone(),
        texts: texts.clone(),
        truncation: truncation(&args.model),
        ..Default::default()
    };
    let answer = client.classify_tokens(caller.request(request)).await.map_err(Failure::from)?.into_inner();
    let entity = |one: torchmesh_api::text::v1::Entity| Entity {
        label: one.label,
        score: one.score,
        text: one.text,
        start_byte: one.start_byte,
        end_byte: one.end_byte,
        start_char: one.start_char,
        end_char: one.end_char,
    };
    let found = texts.into_iter().zip(answer.classifications);
    let results = found.map(|(text, one)| Found { text, entities: one.entities.into_iter().map(entity).collect() }).collect();
    let answer = Answer { model: answer.model, model_version: answer.model_version, results };
    let rows = answer.results.iter().enumerate().flat_map(|(at, found)| found.entities.iter().map(move |entity| (at, entity)));
    let row = |(at, entity): (usize, &Entity)| {
        let place = format!("{}..{}", entity.start_char, entity.end_char);
        [(at + 1).to_string(), short(&entity.text, SHOWN), entity.label.clone(), format!("{:.4}", entity.score), place]
    };
    screen.show(&answer, || answer.heading() + &table(["#", "entity", "label", "score", "characters"], rows.map(row)))
}

/// Documents, the best first.
pub(crate) async fn rerank(args: &RerankArgs, home: &Home, screen: &Screen) -> Result<()> {
    let documents = texts(&args.documents)?;
    let (caller, mut client) = service(&args.model, home).await?;
    let request = RerankRequest {
        model: args.name.clone(),
        model_version: args.model.version.clone(),
        query: args.query.clone(),
        documents,
        truncation: truncation(&args.model),
        top_n: args.top,
        return_documents: true,
        ..Default::default()
    };
    let answer = client.rerank(caller.request(request)).await.map_err(Failure::from)?.into_inner();
    let ranked = |one: torchmesh_api::text::v1::Ranked| Ranked { index: one.index, score: one.score, document: one.document };
    let results = answer.results.into_iter().map(ranked).collect();
    let answer = Answer { model: answer.model, model_version: answer.model_version, results };
    let row = |one: &Ranked| [(one.index + 1).to_string(), format!("{:.4}", one.score), short(&one.document, SHOWN)];
    screen.show(&answer, || answer.heading() + &table(["#", "score", "document"], answer.results.iter().map(row)))
}

/// What may stand in the place of masks.
pub(crate) async fn fill(args: &FillArgs, home: &Home, screen: &Screen) -> Result<()> {
    let texts = texts(&args.texts)?;
    let (caller, mut client) = service(&args.model, home).await?;
    let request = FillRequest {
        model: args.name.clone(),
        model_version: args.model.version.clone(),
        texts,
        truncation: truncation(&args.model),
        top_k: args.top,
        ..Default::default()
    };
    let answer = client.fill(caller.request(request)).await.map_err(Failure::from)?.into_inner();
    let candidate = |one: torchmesh_api::text::v1::FillCandidate| Candidate { token: one.token, score: one.score, text: one.text };
    let masks = |one: torchmesh_api::text::v1::Filled| Filled {
        text: one.text,
        masks: one.masks.into_iter().map(|mask| mask.candidates.into_iter().map(candidate).collect()).collect(),
    };
    let results = answer.filled.into_iter().map(masks).collect();
    let answer = Answer { model: answer.model, model_version: answer.model_version, results };
    let of_text = |(at, filled): (usize, &Filled)| {
        let line = move |(mask, one): (usize, &Candidate)| {
            [format!("{}.{}", at + 1, mask + 1), one.token.clone(), format!("{:.4}", one.score), short(&one.text, SHOWN)]
        };
        let all = filled.masks.iter().enumerate().flat_map(|(mask, all)| all.iter().map(move |one| (mask, one)));
        all.map(line).collect::<Vec<_>>()
    };
    let rows = || answer.results.iter().enumerate().flat_map(of_text);
    screen.show(&answer, || answer.heading() + &table(["mask", "token", "score", "text"], rows()))
}

/// Which tokens speak for a label.
pub(crate) async fn explain(args: &ExplainArgs, home: &Home, screen: &Screen) -> Result<()> {
    let (caller, mut client) = service(&args.model, home).await?;
    let request = ExplainRequest {
        model: args.name.clone(),
        model_version: args.model.version.clone(),
        text: args.text.clone(),
        label: args.label.clone(),
        steps: args.steps,
        truncation: truncation(&args.model),
        ..Default::default()
    };
    let answer = client.explain(caller.request(request)).await.map_err(Failure::from)?.into_inner();
    let method = answer.method().as_str_name().trim_start_matches("EXPLAIN_METHOD_").to_lowercase().replace('_', " ");
    let token = |one: torchmesh_api::text::v1::TokenAttribution| Attributed {
        token: one.token,
        attribution: one.attribution,
        start_char: one.start_char,
        end_char: one.end_char,
    };
    let explained = Explained {
        label: answer.label,
        score: answer.score,
        logit: answer.logit,
        method,
        convergence_delta: answer.convergence_delta,
        tokens: answer.tokens.into_iter().map(token).collect(),
    };
    let answer = Answer { model: answer.model, model_version: answer.model_version, results: vec![explained] };
    let shown = || {
        let one = &answer.results[0];
        let rows = one.tokens.iter().map(|token| [short(&token.token, SHOWN), format!("{:+.4}", token.attribution)]);
        let facts = format!("label {}, score {:.4}, by {} (off by {:+.4})\n\n", one.label, one.score, one.method, one.convergence_delta);
        facts + &table(["token", "attribution"], rows)
    };
    screen.show(&answer, || answer.heading() + &shown())
}
