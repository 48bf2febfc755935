//! A real model answers through the whole mesh as its reference implementation does, alone and beside others.

use serde_json::Value;
use torchmesh_api::{
    inference::ModelInferRequest,
    text::v1::{EmbedRequest, TokenIds, Truncation},
};
use torchmesh_tests::{MeshSandbox, bounded, client, models::Model, places};

/// How far from the reference a number may be.
const TOLERANCE: f32 = 1e-4;

/// A text, its tokens and its embedding, as PyTorch and transformers have them.
struct Known {
    text: String,
    ids: Vec<i64>,
    embedding: Vec<f32>,
}

fn golden() -> Vec<Known> {
    let path = places::repository().join("tests/golden/minilm.json");
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let known = |item: &Value| Known {
        text: item["text"].as_str().unwrap().to_owned(),
        ids: item["input_ids"].as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect(),
        embedding: item["embedding"].as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect(),
    };
    golden["items"].as_array().unwrap().iter().map(known).collect()
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn assert_close(got: &[f32], known: &Known, what: &str) {
    let difference = difference(got, &known.embedding);
    assert!(difference <= TOLERANCE, "{what}: {:?} differs by {difference}", known.text);
}

fn tokens(known: &[&Known]) -> ModelInferRequest {
    client::tokens(&known.iter().map(|known| known.ids.clone()).collect::<Vec<_>>())
}

#[test]
fn each_text_alone_has_the_embedding_of_the_reference() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::minilm()]).await;
        let (mut texts, mut tensors) = (mesh.text(), mesh.inference());
        for known in golden() {
            let answer = texts.embed(client::embed([known.text.as_str()])).await.unwrap().into_inner();
            assert_close(&answer.embeddings[0].values, &known, "as text");
            assert_eq!(answer.embeddings[0].tokens as usize, known.ids.len());
            let answer = tensors.model_infer(tokens(&[&known])).await.unwrap().into_inner();
            assert_eq!((answer.outputs[0].name.as_str(), answer.outputs[0].shape.as_slice()), ("embedding", &[1, 384][..]));
            assert_close(&client::floats(&answer), &known, "as tokens");
        }
    });
}

#[test]
fn in_a_mixed_batch_of_32_each_text_has_the_same_embedding_as_alone() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::minilm()]).await;
        let golden = golden();
        let mixed: Vec<_> = golden.iter().cycle().take(32).collect();
        let answer = mesh.text().embed(client::embed(mixed.iter().map(|known| known.text.as_str()))).await.unwrap().into_inner();
        assert_eq!(answer.embeddings.len(), 32);
        for (embedding, known) in answer.embeddings.iter().zip(&mixed) {
            assert_close(&embedding.values, known, "among 32 texts");
        }
        let answer = mesh.inference().model_infer(tokens(&mixed)).await.unwrap().into_inner();
        for (row, known) in client::floats(&answer).chunks(384).zip(&mixed) {
            assert_close(row, known, "in a tensor of 32 rows");
        }
    });
}

#[test]
fn requests_that_arrive_together_are_batched_and_each_gets_its_own_answer() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::minilm()]).await;
        let golden = std::sync::Arc::new(golden());
        let mut calls = tokio::task::JoinSet::new();
        for at in 0..64 {
            let (mut client, golden) = (mesh.text(), std::sync::Arc::clone(&golden));
            calls.spawn(async move {
                let known = &golden[at % golden.len()];
                let answer = client.embed(client::embed([known.text.as_str()])).await.unwrap().into_inner();
                assert_close(&answer.embeddings[0].values, known, "among 64 requests");
            });
        }
        calls.join_all().await;
        let forwards = mesh.workers[0].metrics().await.count("torchmesh_worker_forward_seconds_count", &[("model", "minilm")]);
        assert!(forwards < 48, "64 requests at once took {forwards} forwards");
    });
}

#[test]
fn the_well_known_pair_has_its_cosine() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::minilm()]).await;
        let pair = ["A man is eating food.", "A man is eating a piece of bread."];
        let answer = mesh.text().embed(client::embed(pair)).await.unwrap().into_inner();
        let [a, b] = &answer.embeddings[..] else { panic!("two texts, {} embeddings", answer.embeddings.len()) };
        let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        assert!((product(&a.values, &a.values) - 1.0).abs() < 1e-5, "the norm is 1");
        let cosine = product(&a.values, &b.values);
        assert!((cosine - 0.7553).abs() < 5e-5, "{cosine}");
    });
}

#[test]
fn tokens_of_the_callers_own_give_the_same_embedding_as_the_text() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::minilm()]).await;
        let golden = golden();
        let ids = |known: &Known| TokenIds { ids: known.ids.iter().map(|&id| u32::try_from(id).unwrap()).collect() };
        let request =
            EmbedRequest { model: "minilm".into(), tokens: golden.iter().map(ids).collect(), id: "mine".into(), ..Default::default() };
        let answer = mesh.text().embed(request).await.unwrap().into_inner();
        assert_eq!((answer.id.as_str(), answer.model_version.as_str()), ("mine", "1"));
        for (embedding, known) in answer.embeddings.iter().zip(&golden) {
            assert_close(&embedding.values, known, "as tokens");
        }
    });
}

#[test]
fn a_text_that_is_too_long_is_cut_and_says_so_or_is_refused_as_the_caller_wishes() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::minilm()]).await;
        let long = "word ".repeat(1000);
        let request = |truncation: Truncation| EmbedRequest { truncation: truncation.into(), ..client::embed([long.as_str()]) };
        for truncation in [Truncation::Unspecified, Truncation::End] {
            let answer = mesh.text().embed(request(truncation)).await.unwrap().into_inner();
            assert_eq!((answer.embeddings[0].tokens, answer.embeddings[0].truncated), (256, true));
        }
        let refused = mesh.text().embed(request(Truncation::Reject)).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        assert!(refused.message().contains("texts[0]") && refused.message().contains("256"), "{}", refused.message());
    });
}
