use std::{collections::HashMap, path::Path};

use tonic::Code;
use torchmesh_api::text::v1::{
    ClassifyRequest, ClassifyTokensRequest, EmbedRequest, ExplainRequest, FillRequest, RerankRequest, ScoreFunction, Truncation,
};

use super::{Worker, add};
use crate::text::{LinearHead, TINY_TOKENIZER};

/// A classifier of sentence vectors: the fake encoder gives each token its id and 1, so the logits are the mean id, and 1 less it.
pub(super) fn classifier(dir: &Path) {
    add(
        dir,
        "classify",
        "task = 'classify'\nhead = 'head.safetensors'\nlabels = ['high', 'low']\nscores = 'none'\nmax_tokens = 8\noverlap = 2\n\
         normalize = false\n[warmup]\nbatch_sizes = [1]\nlengths = [8]\n",
    );
    let head = LinearHead { labels: Vec::new(), weight: vec![vec![1.0, 0.0], vec![-1.0, 1.0]], bias: vec![0.0, 0.0] };
    std::fs::write(dir.join("classify/1/head.safetensors"), head.to_bytes(HashMap::new()).unwrap()).unwrap();
    std::fs::write(dir.join("classify/tokenizer.json"), TINY_TOKENIZER).unwrap();
}

fn classify(texts: &[&str]) -> ClassifyRequest {
    ClassifyRequest { model: "classify".into(), texts: texts.iter().map(ToString::to_string).collect(), ..Default::default() }
}

#[tokio::test]
async fn a_head_on_an_encoder_scores_the_pooled_vector() {
    let worker = Worker::start(classifier).await;
    let answer = worker.text().classify(ClassifyRequest { id: "q".into(), ..classify(&["a", "b b"]) }).await.unwrap().into_inner();
    assert_eq!((answer.model.as_str(), answer.model_version.as_str(), answer.id.as_str()), ("classify", "1", "q"));
    let seen: Vec<_> = answer.classifications[0].labels.iter().map(|label| (label.label.as_str(), label.score, label.index)).collect();
    assert_eq!(seen, [("high", 3.0, 0), ("low", -2.0, 1)], "(2 + 4 + 3) / 3 for \"[CLS] a [SEP]\"");
    let first = &answer.classifications[1];
    assert_eq!((first.labels[0].score, first.tokens, first.truncated, first.windows), (3.75, 4, false, 1));
    let softmax = ClassifyRequest { function: ScoreFunction::Softmax.into(), top_k: 1, ..classify(&["a"]) };
    let labels = worker.text().classify(softmax).await.unwrap().into_inner().classifications.remove(0).labels;
    assert!(labels.len() == 1 && (labels[0].score - 0.993_307).abs() < 1e-5, "{labels:?}");
}

#[tokio::test]
async fn a_long_text_is_read_in_windows_when_it_is_to_be_split() {
    let worker = Worker::start(classifier).await;
    let long = "a b c d e f g h i j a b";
    let split = ClassifyRequest { truncation: Truncation::Split.into(), ..classify(&[long]) };
    let answer = worker.text().classify(split).await.unwrap().into_inner().classifications.remove(0);
    // [CLS] a b c d e f [SEP], [CLS] e f g h i j [SEP], [CLS] i j a b [SEP]
    let mean = (44.0 / 8.0 + 68.0 / 8.0 + 39.0 / 6.0) / 3.0;
    assert!((answer.labels[0].score - mean).abs() < 1e-5, "{answer:?}");
    assert_eq!((answer.tokens, answer.windows, answer.truncated), (22, 3, false));
    let embed =
        EmbedRequest { model: "embed".into(), texts: vec![long.into()], truncation: Truncation::Split.into(), ..Default::default() };
    let embedding = worker.text().embed(embed).await.unwrap().into_inner().embeddings.remove(0);
    // Its windows share one token: [CLS] a b c d e f [SEP], [CLS] f g h i j a [SEP], [CLS] a b [SEP], weighted by 8, 8 and 4.
    assert_eq!((embedding.windows, embedding.tokens), (3, 20));
    assert!((embedding.values[0] - (44.0 + 64.0 + 14.0) / 20.0).abs() < 1e-5, "{embedding:?}");
}

#[tokio::test]
async fn every_mistake_has_its_code_and_says_what_to_change() {
    let worker = Worker::start(classifier).await;
    let cases = [
        (classify(&[]), Code::InvalidArgument, "texts is empty"),
        (ClassifyRequest { function: 9, ..classify(&["a"]) }, Code::InvalidArgument, "function is 9"),
        (ClassifyRequest { truncation: 9, ..classify(&["a"]) }, Code::InvalidArgument, "truncation is 9"),
        (ClassifyRequest { id: "x".repeat(129), ..classify(&["a"]) }, Code::InvalidArgument, "id has 129 bytes"),
        (ClassifyRequest { model: "echo".into(), ..classify(&["a"]) }, Code::Unimplemented, "does not read text"),
        (
            ClassifyRequest { model: "embed".into(), ..classify(&["a"]) },
            Code::Unimplemented,
            "does not classify text; its task is \"embed\"",
        ),
    ];
    for (request, code, part) in cases {
        let status = worker.text().classify(request).await.unwrap_err();
        assert!(status.code() == code && status.message().contains(part), "{part:?} is missing in {status:?}");
    }
    let explain = ExplainRequest { model: "classify".into(), text: "a b".into(), ..Default::default() };
    for (request, part) in [
        (ExplainRequest { text: String::new(), ..explain.clone() }, "text is empty"),
        (ExplainRequest { steps: 513, ..explain.clone() }, "steps is 513; send 1 to 512"),
        (ExplainRequest { method: 1, ..explain.clone() }, "cannot differentiate; send 2 (occlusion)"),
        (ExplainRequest { method: 7, ..explain.clone() }, "method is 7"),
        (ExplainRequest { truncation: 3, ..explain }, "truncation is 3 (split), which this method does not do"),
    ] {
        let status = worker.text().explain(request).await.unwrap_err();
        assert!(status.message().contains(part), "{part:?} is missing in {status:?}");
    }
}

#[tokio::test]
async fn a_method_of_another_task_says_what_the_model_is_for() {
    let worker = Worker::start(classifier).await;
    let (model, text) = (|| "classify".to_owned(), || vec!["a".to_owned()]);
    let mut client = worker.text();
    let tokens = client.classify_tokens(ClassifyTokensRequest { model: model(), texts: text(), ..Default::default() }).await;
    let fill = client.fill(FillRequest { model: model(), texts: text(), ..Default::default() }).await;
    let rerank = client.rerank(RerankRequest { model: model(), query: "a".into(), documents: text(), ..Default::default() }).await;
    for (status, does) in
        [(tokens.unwrap_err(), "classify tokens"), (fill.unwrap_err(), "fill masks"), (rerank.unwrap_err(), "rerank documents")]
    {
        assert_eq!(status.code(), Code::Unimplemented);
        assert!(status.message().contains(&format!("does not {does}; its task is \"classify\"")), "{status:?}");
    }
}

#[tokio::test]
async fn a_model_whose_scores_are_not_as_many_as_its_labels_is_unavailable() {
    let worker = Worker::start(|dir| {
        classifier(dir);
        let manifest = dir.join("classify/model.toml");
        let text = std::fs::read_to_string(&manifest).unwrap().replace("'high', 'low'", "'high', 'middle', 'low'");
        std::fs::write(manifest, text).unwrap();
    })
    .await;
    let (state, reason) = worker.line("classify", "1").unwrap();
    assert_eq!((state, reason.as_str()), ("UNAVAILABLE", "labels names 3 scores, and the model gives 2"));
}

#[tokio::test]
async fn a_classifier_answers_tensors_with_its_logits() {
    let worker = Worker::start(classifier).await;
    let mut request = super::row(&[2, 4, 3]);
    request.model_name = "classify".into();
    request.inputs[0].name = "input_ids".into();
    let mask =
        torchmesh_api::inference::model_infer_request::InferInputTensor { name: "attention_mask".into(), ..request.inputs[0].clone() };
    request.inputs.push(mask);
    request.raw_input_contents.push(crate::tensor::Tensor::from_i64s([1, 3], &[1, 1, 1]).data);
    let answer = worker.oip().model_infer(request).await.unwrap().into_inner();
    assert_eq!((answer.outputs[0].name.as_str(), answer.outputs[0].shape.as_slice()), ("logits", &[1, 2][..]));
    assert_eq!(answer.raw_output_contents[0], crate::tensor::Tensor::from_f32s([1, 2], &[3.0, -2.0]).data);
}
