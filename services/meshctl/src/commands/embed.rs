//! `meshctl embed`: texts to vectors.

use std::io::BufRead as _;

use serde::Serialize;
use torchmesh_api::text::v1::{EmbedRequest, EmbedResponse, Truncation, text_service_client::TextServiceClient};

use crate::{
    cli::EmbedArgs,
    client::{Caller, MAX_ANSWER},
    error::{FAILED, Failure, Result, USAGE},
    home::Home,
    output::{Screen, short, table},
};

/// The whole result. (Not made with `json!`, which would write out each number as the longer double.)
#[derive(Debug, Serialize)]
struct Answer {
    model: String,
    model_version: String,
    embeddings: Vec<Row>,
    cosine: Vec<Vec<f64>>,
}

/// One text and its vector.
#[derive(Debug, Serialize)]
struct Row {
    text: String,
    tokens: u32,
    truncated: bool,
    values: Vec<f32>,
}

/// Asks for the vectors and shows them.
pub(crate) async fn embed(args: &EmbedArgs, home: &Home, screen: &Screen) -> Result<()> {
    let texts = texts(&args.texts)?;
    let caller = Caller::connect(&args.client, home).await?;
    let truncation = if args.truncate { Truncation::End } else { Truncation::Unspecified };
    let request = EmbedRequest {
        model: args.model.clone(),
        model_version: args.version.clone(),
        texts: texts.clone(),
        truncation: truncation.into(),
        ..EmbedRequest::default()
    };
    let mut client = TextServiceClient::new(caller.channel.clone()).max_decoding_message_size(MAX_ANSWER);
    let answer = client.embed(caller.request(request)).await.map_err(Failure::from)?.into_inner();
    let (model, model_version) = (answer.model.clone(), answer.model_version.clone());
    let embeddings = rows(texts, answer)?;
    let answer = Answer { model, model_version, cosine: cosines(&embeddings), embeddings };
    screen.show(&answer, || text(&answer, args.values))
}

/// The texts of the arguments; `-` stands for the lines of standard input.
pub(super) fn texts(arguments: &[String]) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for argument in arguments {
        if argument == "-" {
            let lines = std::io::stdin().lock().lines().collect::<std::io::Result<Vec<_>>>();
            let lines = lines.map_err(|error| Failure::new(USAGE, format!("standard input is not text: {error}")))?;
            texts.extend(lines.into_iter().filter(|line| !line.trim().is_empty()));
        } else {
            texts.push(argument.clone());
        }
    }
    if texts.is_empty() { Err(Failure::new(USAGE, "standard input has no text")) } else { Ok(texts) }
}

fn rows(texts: Vec<String>, answer: EmbedResponse) -> Result<Vec<Row>> {
    if texts.len() != answer.embeddings.len() {
        let problem = format!("the mesh answered with {} vectors for {} texts", answer.embeddings.len(), texts.len());
        return Err(Failure::new(FAILED, problem));
    }
    let pairs = texts.into_iter().zip(answer.embeddings);
    Ok(pairs.map(|(text, one)| Row { text, tokens: one.tokens, truncated: one.truncated, values: one.values }).collect())
}

/// How alike each pair of vectors is, 1 for the same direction.
fn cosines(rows: &[Row]) -> Vec<Vec<f64>> {
    rows.iter().map(|a| rows.iter().map(|b| cosine(&a.values, &b.values)).collect()).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let length = (dot(a, a) * dot(b, b)).sqrt();
    if length == 0.0 { 0.0 } else { dot(a, b) / length }
}

fn text(answer: &Answer, shown: usize) -> String {
    let Answer { model, model_version, embeddings: rows, cosine: cosines } = answer;
    let line = |(at, row): (usize, &Row)| {
        let values: Vec<_> = row.values.iter().take(shown).map(|value| format!("{value:+.4}")).collect();
        let more = if row.values.len() > shown { " …" } else { "" };
        let tokens = if row.truncated { format!("{} (cut)", row.tokens) } else { row.tokens.to_string() };
        [(at + 1).to_string(), short(&row.text, 48), tokens, row.values.len().to_string(), values.join(" ") + more]
    };
    let vectors = table(["#", "text", "tokens", "dims", "values"], rows.iter().enumerate().map(line));
    let mut shown = format!("model {model} {model_version}\n\n{vectors}");
    let pairs: Vec<_> = (0..rows.len()).flat_map(|a| (a + 1..rows.len()).map(move |b| (a, b))).collect();
    // Ten texts have 45 pairs; beyond that the table says less than the JSON.
    if (1..=45).contains(&pairs.len()) {
        let pair = |&(a, b): &(usize, usize)| [format!("{} and {}", a + 1, b + 1), format!("{:.4}", cosines[a][b])];
        shown.push_str("\n\n");
        shown.push_str(&table(["pair", "cosine"], pairs.iter().map(pair)));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str, values: &[f32]) -> Row {
        Row { text: text.to_owned(), tokens: 3, truncated: false, values: values.to_vec() }
    }

    #[test]
    fn the_cosine_is_of_directions_whatever_the_length() {
        assert!((cosine(&[1.0, 0.0], &[2.0, 0.0]) - 1.0).abs() < 1e-12);
        assert!(cosine(&[1.0, 0.0], &[0.0, 3.0]).abs() < 1e-12);
        assert!((cosine(&[1.0, 1.0], &[-1.0, -1.0]) + 1.0).abs() < 1e-12);
        assert!(cosine(&[0.0], &[1.0]).abs() < 1e-12);
    }

    fn answer(embeddings: Vec<Row>) -> Answer {
        Answer { model: "m".to_owned(), model_version: "1".to_owned(), cosine: cosines(&embeddings), embeddings }
    }

    #[test]
    fn two_texts_are_compared_and_one_is_not() {
        let shown = text(&answer(vec![row("a", &[1.0, 0.0]), row("b", &[1.0, 1.0])]), 1);
        assert!(shown.contains("1 and 2  0.7071") && shown.contains("+1.0000 …"), "{shown}");
        let alone = text(&answer(vec![row("a", &[1.0, 0.0])]), 5);
        assert!(!alone.contains("COSINE") && !alone.contains('…'), "{alone}");
    }

    #[test]
    fn an_answer_of_another_length_is_not_paired_up() {
        assert!(rows(vec!["a".into()], EmbedResponse::default()).is_err());
    }
}
