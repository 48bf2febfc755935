//! What was read of a prompt serves the next one that begins so, and no other tenant's.

use torchmesh_api::text::v1::GenerateRequest;
use torchmesh_tests::{
    bounded, client,
    language::{ask, generate, greedy, of_tenant, worker},
    models::Model,
};

/// 1000 bytes, each a token.
fn story() -> String {
    (0..100).map(|number| ["line ", &format!("{number:>4}"), " "].concat()).collect()
}

fn question(end: &str) -> GenerateRequest {
    ask("endless", &format!("{}{end}", story()), greedy(4))
}

#[test]
fn a_prompt_s_beginning_is_read_once_for_a_tenant_and_not_for_another() {
    bounded(async {
        let mesh = worker([Model::endless(), Model::endless().called("common").with("share_prefixes = true")]).await;
        let client = client::generation(mesh.workers[0].addr);
        let ask = async |tenant, end: &str| generate(&client, of_tenant(tenant, question(end))).await.unwrap();
        let first = ask("ann", "one").await;
        assert_eq!((first.usage.prompt_tokens, first.usage.cached_tokens, first.usage.completion_tokens), (1003, 0, 4));
        let second = ask("ann", "another").await;
        assert_eq!(second.usage.prompt_tokens, 1007);
        assert!((900..=1000).contains(&second.usage.cached_tokens), "{:?}", second.usage);
        let other = ask("ben", "one").await;
        assert_eq!(other.usage.cached_tokens, 0, "what one tenant has asked is nothing to another");
        assert_eq!(other.answers, first.answers);
        // The same prompt again: all of it but what is needed for the next token.
        let again = ask("ann", "one").await;
        assert!((900..1003).contains(&again.usage.cached_tokens), "{:?}", again.usage);
        assert_eq!(again.answers, first.answers, "what is in the cache is what was computed");

        // A model whose owner allows it.
        let common = |tenant| of_tenant(tenant, GenerateRequest { model: "common".to_owned(), ..question("one") });
        assert_eq!(generate(&client, common("ann")).await.unwrap().usage.cached_tokens, 0);
        assert!(generate(&client, common("ben")).await.unwrap().usage.cached_tokens >= 900);
    });
}
