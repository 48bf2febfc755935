use tonic::Code;
use torchmesh_api::text::v1::{EmbedRequest, TokenIds, Truncation};

use super::Worker;

fn texts(texts: &[&str]) -> EmbedRequest {
    EmbedRequest { model: "embed".into(), texts: texts.iter().map(ToString::to_string).collect(), ..Default::default() }
}

#[tokio::test]
async fn texts_come_back_as_vectors_in_their_order() {
    let worker = Worker::start(|_| ()).await;
    let long = "a b c d e f g h";
    let answer = worker.text().embed(EmbedRequest { id: "q".into(), ..texts(&["a", long, "b b"]) }).await.unwrap().into_inner();
    assert_eq!((answer.model.as_str(), answer.model_version.as_str(), answer.id.as_str()), ("embed", "1", "q"));
    // The fake encoder gives each token its id; pooling takes the mean: (2 + 4 + 3) / 3 for "[CLS] a [SEP]".
    let seen: Vec<_> = answer.embeddings.iter().map(|e| (e.values[0], e.values[1], e.tokens, e.truncated)).collect();
    assert_eq!(seen, [(3.0, 1.0, 3, false), (5.5, 1.0, 8, true), (3.75, 1.0, 4, false)]);
}

#[tokio::test]
async fn a_text_has_the_same_vector_alone_and_among_others() {
    let worker = Worker::start(|_| ()).await;
    let many: Vec<_> = ["a", "b c", "d e f", "g h i j a b", "c"].into_iter().cycle().take(32).collect();
    let together = worker.text().embed(texts(&many)).await.unwrap().into_inner().embeddings;
    for (text, among) in many.iter().zip(together) {
        let alone = worker.text().embed(texts(&[text])).await.unwrap().into_inner().embeddings.remove(0);
        assert_eq!(alone, among, "{text}");
    }
}

#[tokio::test]
async fn token_ids_are_taken_in_the_place_of_text() {
    let worker = Worker::start(|_| ()).await;
    let request = EmbedRequest { tokens: vec![TokenIds { ids: vec![2, 4, 3] }], ..texts(&[]) };
    let answer = worker.text().embed(request).await.unwrap().into_inner();
    assert_eq!(answer.embeddings, worker.text().embed(texts(&["a"])).await.unwrap().into_inner().embeddings);
}

#[tokio::test]
async fn every_mistake_has_its_code_and_says_what_to_change() {
    let worker = Worker::start(|_| ()).await;
    let ids =
        |ids: &[u32]| EmbedRequest { tokens: vec![TokenIds { ids: ids.into() }], truncation: Truncation::Reject.into(), ..texts(&[]) };
    let reject = |text: &str| EmbedRequest { truncation: Truncation::Reject.into(), ..texts(&["a", text]) };
    let cases = [
        (texts(&[]), Code::InvalidArgument, "texts is empty"),
        (EmbedRequest { tokens: vec![TokenIds::default()], ..texts(&["a"]) }, Code::InvalidArgument, "both set"),
        (EmbedRequest { truncation: 9, ..texts(&["a"]) }, Code::InvalidArgument, "truncation is 9"),
        (EmbedRequest { id: "x".repeat(129), ..texts(&["a"]) }, Code::InvalidArgument, "id has 129 bytes"),
        (texts(&vec!["a"; 2049]), Code::InvalidArgument, "texts has 2049 entries, and this model takes 2048"),
        (reject("a b c d e f g"), Code::InvalidArgument, "texts[1] has more than the 8 tokens"),
        (reject(&"a".repeat(200)), Code::InvalidArgument, "texts[1] has 200 bytes"),
        (ids(&[]), Code::InvalidArgument, "tokens[0] is empty"),
        (ids(&[2, 99]), Code::InvalidArgument, "tokens[0] has id 99; ids of this model go from 0 to 13"),
        (ids(&[2; 9]), Code::InvalidArgument, "tokens[0] has 9 ids"),
        (EmbedRequest { model: "echo".into(), ..texts(&["a"]) }, Code::Unimplemented, "does not read text"),
        (EmbedRequest { model: "nobody".into(), ..texts(&["a"]) }, Code::NotFound, "\"nobody\" does not exist"),
        (EmbedRequest { model_version: "2".into(), ..texts(&["a"]) }, Code::NotFound, "has no version \"2\"; it has: 1"),
    ];
    for (request, code, part) in cases {
        let status = worker.text().embed(request).await.unwrap_err();
        assert_eq!(status.code(), code, "{status:?}");
        assert!(status.message().contains(part), "{part:?} is missing in {:?}", status.message());
    }
}
