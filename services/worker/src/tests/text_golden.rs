//! Every task of text from end to end on the real engine, against transformers' pipelines (tests/golden/text_tasks.py).

use std::{collections::BTreeMap, path::Path, sync::Arc};

use serde_json::Value;
use torchmesh_api::text::v1::{
    Aggregation, ClassifyRequest, ClassifyTokensRequest, ExplainMethod, ExplainRequest, FillRequest, LabelScore, RerankRequest,
};

use super::Worker;
use crate::{
    engine::{self, encoder::tests::write_directory},
    golden,
    text::LinearHead,
};

const TOLERANCE: f64 = 1e-4;

fn reference() -> Value {
    serde_json::from_str(include_str!("../../../../tests/golden/text_tasks.json")).unwrap()
}

/// A worker that serves one model of the reference from its directory, without a manifest, under the name `m`.
async fn serve(case: &str) -> (Worker, Value) {
    let mut reference = reference();
    let (case, tokenizer) = (reference[case].take(), reference["tokenizer"].take());
    let worker = Worker::start_with(Arc::new(engine::load), |dir| write(&dir.join("m"), &case, &tokenizer)).await;
    assert_eq!(worker.line("m", "1"), Some(("READY", String::new())));
    (worker, case)
}

fn write(folder: &Path, case: &Value, tokenizer: &Value) {
    std::fs::create_dir(folder).unwrap();
    let shapes: BTreeMap<String, Vec<i64>> = serde_json::from_value(case["tensors"].clone()).unwrap();
    write_directory(folder, &case["config"], &shapes, 4.0);
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
}

/// The best label of each text by MiniLM and a head, served from its directory without a manifest.
pub(crate) async fn classified(encoder: &Path, head: &Path, texts: &[&str]) -> Vec<String> {
    let answer = by_head(encoder, head, texts).await;
    answer.into_iter().map(|mut labels| labels.swap_remove(0).label).collect()
}

async fn by_head(encoder: &Path, head: &Path, texts: &[&str]) -> Vec<Vec<LabelScore>> {
    let worker = Worker::start_with(Arc::new(engine::load), |dir| {
        let folder = dir.join("m");
        std::fs::create_dir(&folder).unwrap();
        for file in std::fs::read_dir(encoder).unwrap().map(|file| file.unwrap().path()) {
            std::os::unix::fs::symlink(&file, folder.join(file.file_name().unwrap())).unwrap();
        }
        std::fs::copy(head, folder.join("head.safetensors")).unwrap();
    })
    .await;
    assert_eq!(worker.line("m", "1"), Some(("READY", String::new())));
    let texts = texts.iter().map(ToString::to_string).collect();
    let answer = worker.text().classify(ClassifyRequest { model: "m".into(), texts, ..Default::default() }).await.unwrap();
    answer.into_inner().classifications.into_iter().map(|classification| classification.labels).collect()
}

#[tokio::test]
async fn a_head_scores_the_vectors_of_transformers() {
    let golden = golden::golden();
    let weight: Vec<Vec<f32>> = (0..3).map(|label| (0..384).map(|at| ((at * 7 + label * 13) % 19) as f32 - 9.0).collect()).collect();
    let head = LinearHead { labels: ["a", "b", "c"].map(str::to_owned).into(), weight, bias: vec![0.5, 0.0, -0.5] };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("head.safetensors");
    std::fs::write(&file, head.to_bytes(std::collections::HashMap::new()).unwrap()).unwrap();
    let texts: Vec<&str> = golden.items.iter().map(|item| item.text.as_str()).collect();
    let answer = by_head(&golden::fetched("all-MiniLM-L6-v2"), &file, &texts).await;
    for (item, labels) in golden.items.iter().zip(answer) {
        let powers = head.logits(&item.embedding).into_iter().map(|logit| f64::from(logit).exp()).collect::<Vec<_>>();
        for label in labels {
            near(label.score, &(powers[label.index as usize] / powers.iter().sum::<f64>()).into());
        }
    }
}

fn strings(value: &Value) -> Vec<String> {
    serde_json::from_value(value.clone()).unwrap()
}

fn near(found: f32, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    assert!((f64::from(found) - expected).abs() < TOLERANCE, "{found} is not {expected}");
}

#[tokio::test]
async fn labels_and_scores_are_those_of_the_pipeline() {
    for case in ["softmax", "sigmoid"] {
        let (worker, case) = serve(case).await;
        let request = ClassifyRequest { model: "m".into(), texts: strings(&case["texts"]), ..Default::default() };
        let answer = worker.text().classify(request).await.unwrap().into_inner();
        for (found, expected) in answer.classifications.iter().zip(case["answers"].as_array().unwrap()) {
            for (found, expected) in found.labels.iter().zip(expected.as_array().unwrap()) {
                assert_eq!(found.label, expected[0].as_str().unwrap());
                near(found.score, &expected[1]);
            }
            assert_eq!(found.labels.len(), 3);
        }
        assert_eq!(answer.classifications.len(), 5);
    }
}

#[tokio::test]
async fn entities_and_their_places_are_those_of_the_pipeline() {
    let (worker, case) = serve("entities").await;
    let texts = strings(&case["texts"]);
    let strategies = [
        ("none", Aggregation::None),
        ("simple", Aggregation::Unspecified),
        ("first", Aggregation::First),
        ("average", Aggregation::Average),
        ("max", Aggregation::Max),
    ];
    for (name, aggregation) in strategies {
        let request =
            ClassifyTokensRequest { model: "m".into(), texts: texts.clone(), aggregation: aggregation.into(), ..Default::default() };
        let answer = worker.text().classify_tokens(request).await.unwrap().into_inner();
        for ((text, found), expected) in texts.iter().zip(&answer.classifications).zip(case["answers"][name].as_array().unwrap()) {
            let labelled = |entity: &torchmesh_api::text::v1::Entity| (entity.label.clone(), entity.start_char, entity.end_char);
            let place = |value: &Value| u32::try_from(value.as_u64().unwrap()).unwrap();
            let expected = expected.as_array().unwrap();
            let wanted: Vec<_> =
                expected.iter().map(|entity| (entity[0].as_str().unwrap().to_owned(), place(&entity[2]), place(&entity[3]))).collect();
            assert_eq!(found.entities.iter().map(labelled).collect::<Vec<_>>(), wanted, "{name}: {text}");
            for (entity, expected) in found.entities.iter().zip(expected) {
                near(entity.score, &expected[1]);
                assert_eq!(entity.text, text[entity.start_byte as usize..entity.end_byte as usize]);
                let characters = text.chars().skip(entity.start_char as usize).take((entity.end_char - entity.start_char) as usize);
                assert_eq!(entity.text, characters.collect::<String>());
            }
        }
    }
}

#[tokio::test]
async fn masks_are_filled_as_the_pipeline_does() {
    let (worker, case) = serve("masks").await;
    let request = FillRequest { model: "m".into(), texts: strings(&case["texts"]), top_k: 3, ..Default::default() };
    let answer = worker.text().fill(request).await.unwrap().into_inner();
    for (found, expected) in answer.filled.iter().zip(case["answers"].as_array().unwrap()) {
        assert_eq!(found.masks.len(), expected.as_array().unwrap().len());
        for (found, expected) in found.masks.iter().zip(expected.as_array().unwrap()) {
            for (found, expected) in found.candidates.iter().zip(expected.as_array().unwrap()) {
                assert_eq!(u64::from(found.token_id), expected[0].as_u64().unwrap());
                near(found.score, &expected[1]);
            }
        }
    }
    let second = &answer.filled[1];
    assert!(!second.text.contains("[MASK]") && second.masks[0].candidates[0].text.contains("[MASK]"), "{second:?}");
    assert_eq!((answer.filled[2].masks[0].start_byte, answer.filled[2].masks[0].start_char), (7, 6));
}

#[tokio::test]
async fn documents_are_ranked_by_pairs_with_their_token_types() {
    let (worker, case) = serve("ranks").await;
    let documents = strings(&case["documents"]);
    let request = RerankRequest {
        model: "m".into(),
        query: case["query"].as_str().unwrap().into(),
        documents: documents.clone(),
        return_documents: true,
        ..Default::default()
    };
    let answer = worker.text().rerank(request.clone()).await.unwrap().into_inner();
    assert!(answer.results.is_sorted_by(|one, next| one.score >= next.score));
    for ranked in &answer.results {
        near(ranked.score, &case["answers"][ranked.index as usize]);
        assert_eq!(ranked.document, documents[ranked.index as usize]);
    }
    let top = worker.text().rerank(RerankRequest { top_n: 1, return_documents: false, ..request }).await.unwrap().into_inner();
    assert_eq!((top.results.len(), top.results[0].index, top.results[0].document.as_str()), (1, answer.results[0].index, ""));
}

#[tokio::test]
async fn explanations_are_the_integrated_gradients_of_autograd() {
    let (worker, case) = serve("softmax").await;
    for (text, expected) in strings(&case["texts"]).into_iter().zip(case["explained"].as_array().unwrap()) {
        let request = ExplainRequest { model: "m".into(), text, ..Default::default() };
        let answer = worker.text().explain(request.clone()).await.unwrap().into_inner();
        assert_eq!((answer.method(), answer.steps), (ExplainMethod::IntegratedGradients, 32));
        assert_eq!(answer.label, expected["label"].as_str().unwrap());
        near(answer.logit, &expected["logit"]);
        let attributions = expected["attributions"].as_array().unwrap();
        assert_eq!(answer.tokens.len(), attributions.len());
        for (token, expected) in answer.tokens.iter().zip(attributions) {
            assert!((f64::from(token.attribution) - expected.as_f64().unwrap()).abs() < 1e-3, "{token:?} is not {expected}");
        }
        let sum: f32 = answer.tokens.iter().map(|token| token.attribution).sum();
        let change = answer.logit - answer.baseline_logit;
        assert!((sum - change - answer.convergence_delta).abs() < 1e-4, "{sum} {change} {}", answer.convergence_delta);
        let fine = worker.text().explain(ExplainRequest { steps: 256, ..request }).await.unwrap().into_inner();
        assert!(fine.convergence_delta.abs() < 0.02, "more steps are nearer: {}", fine.convergence_delta);
    }
}

#[tokio::test]
async fn occlusion_is_what_masking_each_token_changes() {
    let (worker, case) = serve("softmax").await;
    let text = strings(&case["texts"]).remove(3);
    let explain = |text: String, label: &str| ExplainRequest {
        model: "m".into(),
        text,
        label: label.into(),
        method: ExplainMethod::Occlusion.into(),
        ..Default::default()
    };
    let whole = worker.text().explain(explain(text.clone(), "spam")).await.unwrap().into_inner();
    let masked = worker.text().explain(explain(text.replace("money", "[MASK]"), "spam")).await.unwrap().into_inner();
    let money = whole.tokens.iter().find(|token| token.token == "money").unwrap();
    assert!((money.attribution - (whole.logit - masked.logit)).abs() < 1e-4, "{money:?}");
    assert_eq!((whole.label.as_str(), whole.steps), ("spam", 3));
    assert!(whole.tokens[0].special && whole.tokens[0].token == "[CLS]");
    let unknown = worker.text().explain(explain(text, "eggs")).await.unwrap_err();
    assert!(unknown.message().contains("label \"eggs\" is not a label of this model; it has: ham, spam, other"), "{unknown:?}");
}
