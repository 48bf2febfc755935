//! The models write what the reference implementation writes, and the same whoever else is written for.

use std::collections::HashMap;

use tokio::task::JoinSet;
use torchmesh_api::text::v1::{ChatRequest, FinishReason, GenerateRequest, GenerationSettings};
use torchmesh_tests::{
    bounded,
    client::{self, Generation},
    language::{Answer, Case, Told, ask, chat, generate, golden, greedy, seeded, worker},
    models::Model,
};

/// Of logarithms of probabilities: what sums in another order may change.
const TOLERANCE: f32 = 1e-3;

fn with_logprobs() -> GenerationSettings {
    GenerationSettings { logprobs: Some(5), ..greedy(64) }
}

fn by_tokens(model: &str, case: &Case) -> GenerateRequest {
    GenerateRequest { tokens: case.tokens.clone(), ..ask(model, "", with_logprobs()) }
}

fn check(case: &Case, told: Told) {
    let (prompt, written) = (told.usage.prompt_tokens as usize, told.usage.completion_tokens as usize);
    assert_eq!((prompt, written), (case.tokens.len(), case.generated.len()), "the usage of {:?}", case.text);
    let answer = told.one();
    assert_eq!(answer.ids(), case.generated, "the answer to {:?}", case.text);
    for (at, scores) in &case.decided {
        let token = &answer.tokens[*at];
        let own: HashMap<u32, f32> = token.likeliest.iter().map(|likely| (likely.id, likely.logprob)).collect();
        assert_eq!(own.len(), 5);
        for (id, logprob) in scores.tokens.iter().zip(&scores.logprobs) {
            let told = own.get(id).unwrap_or_else(|| panic!("{id} is not among the likeliest at {at} of {:?}", case.text));
            assert!((told - logprob).abs() < TOLERANCE, "{id} at {at} of {:?}: {told}, and {logprob} is right", case.text);
        }
        assert_eq!(token.logprob, own.get(&token.id).copied());
    }
}

/// All at once.
async fn together<F, T>(asked: impl IntoIterator<Item = F>) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let mut running = JoinSet::new();
    for (place, future) in asked.into_iter().enumerate() {
        running.spawn(async move { (place, future.await) });
    }
    let mut all = running.join_all().await;
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, told)| told).collect()
}

fn asked(client: &Generation, request: GenerateRequest) -> impl Future<Output = Told> + Send + 'static {
    let client = client.clone();
    async move { generate(&client, request).await.unwrap() }
}

#[test]
fn stories_are_those_of_the_reference_alone_and_in_company() {
    bounded(async {
        let mesh = worker([Model::stories()]).await;
        let client = client::generation(mesh.workers[0].addr);
        let cases = golden("stories");
        assert_eq!(cases.len(), 20);
        for case in &cases {
            let request = if case.text.is_empty() { by_tokens("stories", case) } else { ask("stories", &case.text, with_logprobs()) };
            check(case, generate(&client, request).await.unwrap());
        }
        let all = together(cases.iter().map(|case| asked(&client, by_tokens("stories", case)))).await;
        cases.iter().zip(all).for_each(|(case, told)| check(case, told));
    });
}

#[test]
fn chats_are_those_of_the_reference_alone_and_in_company() {
    bounded(async {
        // What comes out of the file is 4 bits a weight; the reference computes in 32.
        let mesh = worker([Model::smollm2().headed("dtype = \"fp32\"")]).await;
        let client = client::generation(mesh.workers[0].addr);
        let cases = golden("smollm2");
        assert_eq!(cases.len(), 20);
        let conversation = |case: &Case| ChatRequest {
            model: "smollm2".to_owned(),
            messages: case.messages.clone(),
            settings: Some(with_logprobs()),
            ..Default::default()
        };
        let all = cases.iter().map(|case| {
            let (client, request) = (client.clone(), conversation(case));
            async move { chat(&client, request).await.unwrap() }
        });
        cases.iter().zip(together(all).await).for_each(|(case, told)| check(case, told));
        for case in &cases {
            check(case, generate(&client, by_tokens("smollm2", case)).await.unwrap());
        }
    });
}

#[test]
fn a_seed_writes_the_same_tokens_alone_and_in_company_and_another_seed_others() {
    bounded(async {
        let mesh = worker([Model::stories()]).await;
        let client = client::generation(mesh.workers[0].addr);
        let request = |seed: u64| ask("stories", "Once upon a time", seeded(seed, 48));
        let mut alone = Vec::new();
        for seed in 0..4 {
            alone.push(asked(&client, request(seed)).await.one());
        }
        let company = together((0..16).map(|seed| asked(&client, request(seed)))).await;
        let company: Vec<Answer> = company.into_iter().map(Told::one).collect();
        assert_eq!(company[..4], alone);
        for (place, answer) in company.iter().enumerate() {
            assert_eq!((answer.tokens.len(), answer.reason), (48, FinishReason::Length));
            assert!(company[..place].iter().all(|other| other.text != answer.text), "two seeds wrote {:?}", answer.text);
        }
        // A seed that nobody chose is a new one each time.
        let free = || ask("stories", "Once upon a time", GenerationSettings { seed: None, ..seeded(0, 48) });
        assert_ne!(asked(&client, free()).await.one().text, asked(&client, free()).await.one().text);
    });
}
