//! How many answers there are, how long they are, what they begin and end with, and what they cost.

use std::collections::HashMap;

use torchmesh_api::text::v1::{FinishReason, GenerateRequest, GenerationSettings};
use torchmesh_tests::{
    MeshSandbox, bounded,
    client::{self, Generation},
    language::{Answer, Told, ask, generate, golden, greedy, seeded, worker},
    models::Model,
};

const PROMPT: &str = "Once upon a time";
/// The tokens of [`PROMPT`].
const READ: u32 = 5;
/// What stories15M takes.
const CONTEXT: u32 = 256;
/// The token that ends a story.
const END: u32 = 2;

async fn stories() -> (MeshSandbox, Generation) {
    let mesh = worker([Model::stories()]).await;
    let client = client::generation(mesh.workers[0].addr);
    (mesh, client)
}

async fn told(client: &Generation, settings: GenerationSettings) -> Told {
    generate(client, ask("stories", PROMPT, settings)).await.unwrap()
}

async fn one(client: &Generation, settings: GenerationSettings) -> Answer {
    told(client, settings).await.one()
}

fn mean(answer: &Answer) -> f64 {
    let all = answer.tokens.iter().map(|token| f64::from(token.logprob.expect("logarithms were asked for")));
    all.sum::<f64>() / answer.tokens.len() as f64
}

#[test]
fn several_answers_are_numbered_and_the_likeliest_are_those_of_all_that_were_written() {
    bounded(async {
        let (_mesh, client) = stories().await;
        let all = GenerationSettings { n: Some(5), logprobs: Some(0), ..seeded(7, 24) };
        let five = told(&client, all.clone()).await;
        assert_eq!((five.answers.len(), five.usage.prompt_tokens), (5, READ));
        assert_eq!(five.usage.completion_tokens as usize, five.answers.iter().map(|answer| answer.tokens.len()).sum::<usize>());
        let mut order: Vec<&Answer> = five.answers.iter().collect();
        order.sort_by(|one, other| mean(other).total_cmp(&mean(one)));
        let best = told(&client, GenerationSettings { n: Some(3), best_of: Some(5), ..all }).await;
        assert_eq!(best.answers.iter().collect::<Vec<_>>(), order[..3]);
        assert_eq!(best.usage.completion_tokens, five.usage.completion_tokens, "what was dropped was written too");
        // The first of several is what one alone would be.
        assert_eq!(one(&client, seeded(7, 24)).await.text, five.answers[0].text);
    });
}

#[test]
fn an_answer_says_at_its_beginning_how_busy_the_model_is() {
    bounded(async {
        let (_mesh, client) = stories().await;
        let answer = client.clone().generate(ask("stories", PROMPT, greedy(4))).await.unwrap();
        let load = answer.metadata().get("x-torchmesh-load").unwrap().to_str().unwrap();
        assert!(load.starts_with("depth=") && load.ends_with("wait-us=0"), "an idle model says {load}");
    });
}

#[test]
fn an_echoed_prompt_comes_first_with_its_own_logarithms() {
    bounded(async {
        let (_mesh, client) = stories().await;
        let case = &golden("stories")[0];
        assert_eq!(case.text, PROMPT);
        let settings = GenerationSettings { logprobs: Some(2), ..greedy(8) };
        let plain = one(&client, settings.clone()).await;
        let request = GenerateRequest { echo: true, ..ask("stories", PROMPT, settings.clone()) };
        let told = generate(&client, request).await.unwrap();
        assert_eq!((told.usage.prompt_tokens, told.usage.completion_tokens), (READ, 8));
        let echoed = told.one();
        assert_eq!(echoed.text, format!("{PROMPT}{}", plain.text));
        assert_eq!(echoed.ids(), [&case.tokens[..], &case.generated[..8]].concat());
        assert!(echoed.tokens[0].logprob.is_none() && echoed.tokens[0].likeliest.is_empty(), "nothing stands before it");
        assert!(echoed.tokens[1..].iter().all(|token| token.logprob.is_some() && token.likeliest.len() == 2));
        // What is written after a prompt, and the same read as the end of one, is as likely.
        let tokens = [&case.tokens[..], &case.generated[..8]].concat();
        let request = GenerateRequest { tokens, echo: true, ..ask("stories", "", GenerationSettings { max_tokens: Some(1), ..settings }) };
        let read = generate(&client, request).await.unwrap().one();
        for (place, (written, read)) in echoed.tokens.iter().zip(&read.tokens).enumerate().skip(1) {
            let (written, read) = (written.logprob.unwrap(), read.logprob.unwrap());
            assert!((written - read).abs() < 1e-3, "at {place}: {written} and {read}");
        }
    });
}

#[test]
fn a_stop_text_ends_the_answer_wherever_tokens_meet_and_is_no_part_of_it() {
    bounded(async {
        let (_mesh, client) = stories().await;
        let whole = one(&client, greedy(48)).await;
        let words = whole.text.clone();
        // Every text of three characters, over borders of tokens and within them; a few are enough.
        let places: Vec<usize> = words.char_indices().map(|(place, _)| place).skip(20).step_by(13).collect();
        for place in places {
            let stop: String = words[place..].chars().take(3).collect();
            if stop.chars().count() < 3 {
                break;
            }
            let settings = GenerationSettings { stop: vec!["never said".to_owned(), stop.clone()], ..greedy(48) };
            let told = told(&client, settings).await;
            let written = told.usage.completion_tokens as usize;
            let answer = told.one();
            assert_eq!((answer.text.as_str(), answer.reason), (words.split(&stop).next().unwrap(), FinishReason::Stop), "{stop:?}");
            assert_eq!(answer.ids(), whole.ids()[..written], "no token is chosen behind the stop text");
        }
    });
}

#[test]
fn biases_choose_and_forbid_tokens() {
    bounded(async {
        let (_mesh, client) = stories().await;
        let plain = one(&client, greedy(6)).await.ids();
        let chosen = one(&client, GenerationSettings { logit_bias: HashMap::from([(4257, 100.0)]), ..greedy(6) }).await;
        assert_eq!(chosen.ids(), [4257; 6]);
        let without = one(&client, GenerationSettings { logit_bias: HashMap::from([(plain[0], -100.0)]), ..greedy(6) }).await;
        assert!(!without.ids().contains(&plain[0]));
    });
}

#[test]
fn stop_tokens_and_the_model_s_own_end_the_answer_unless_they_are_ignored() {
    bounded(async {
        let (_mesh, client) = stories().await;
        let whole = one(&client, greedy(20)).await;
        let stopped = told(&client, GenerationSettings { stop_tokens: vec![whole.ids()[7]], ..greedy(20) }).await;
        let first = whole.ids().iter().position(|&id| id == whole.ids()[7]).unwrap();
        assert_eq!(stopped.usage.completion_tokens as usize, first + 1);
        let stopped = stopped.one();
        assert_eq!((stopped.reason, stopped.ids()), (FinishReason::Stop, whole.ids()[..=first].to_vec()));
        assert!(whole.text.starts_with(&stopped.text));

        let at_once = GenerationSettings { logit_bias: HashMap::from([(END, 100.0)]), ..greedy(5) };
        let ended = told(&client, at_once.clone()).await;
        assert_eq!(ended.usage.completion_tokens, 1);
        let ended = ended.one();
        assert_eq!((ended.text.as_str(), ended.ids(), ended.reason), ("", vec![END], FinishReason::Stop));
        let on = one(&client, GenerationSettings { ignore_end: true, ..at_once }).await;
        assert_eq!((on.text.as_str(), on.ids(), on.reason), ("", vec![END; 5], FinishReason::Length));
    });
}

#[test]
fn an_answer_is_as_long_as_is_asked_for_or_as_the_context_leaves_room_for() {
    bounded(async {
        let (_mesh, client) = stories().await;
        for most in [1, 2, 17] {
            let told = told(&client, greedy(most)).await;
            assert_eq!((told.usage.prompt_tokens, told.usage.completion_tokens), (READ, most));
            assert_eq!(told.one().reason, FinishReason::Length);
        }
        for asked in [None, Some(CONTEXT), Some(u32::MAX)] {
            let settings = GenerationSettings { max_tokens: asked, ignore_end: true, ..greedy(1) };
            let told = told(&client, settings).await;
            assert_eq!(told.usage.prompt_tokens + told.usage.completion_tokens, CONTEXT);
            let answer = told.one();
            assert_eq!((answer.tokens.len() as u32, answer.reason), (CONTEXT - READ, FinishReason::Length));
        }
        // A prompt that fills the context but for one token.
        let tokens = golden("stories")[0].tokens.iter().copied().cycle().take(CONTEXT as usize - 1).collect();
        let request = GenerateRequest { tokens, ..ask("stories", "", greedy(9)) };
        let told = generate(&client, request).await.unwrap();
        assert_eq!((told.usage.prompt_tokens, told.usage.completion_tokens), (CONTEXT - 1, 1));
    });
}
