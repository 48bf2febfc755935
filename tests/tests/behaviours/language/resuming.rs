//! Answers whose worker is killed while it writes them: another one goes on with them.

use std::{fs, time::Duration};

use tempfile::TempDir;
use tokio::{sync::mpsc, task::JoinSet};
use torchmesh_api::text::v1::{FinishReason, GenerateRequest, GenerationSettings};
use torchmesh_tests::{
    MeshSandbox, Signal, bounded_by, client,
    language::{Answer, Told, ask, chat, generate, generate_telling, greedy, say, seeded},
    ledger::Ledger,
    models::Model,
    sandbox::Builder,
};

const TOKENS: u32 = 220;
const RESUMED: &str = "torchmesh_router_answers_resumed_total";

fn resuming(folder: &TempDir, model: Model, name: &str) -> Builder {
    let routes = folder.path().join("routes.toml");
    fs::write(&routes, format!("[[route]]\nmodel = '{name}'\nto = [{{}}]\nresume = true\n")).unwrap();
    MeshSandbox::builder().workers(2).model(model).set("router", "routes_file", routes.to_str().unwrap())
}

/// Greedy, with seeds, and with whatever chance has it; all of them as long as they may be.
fn questions() -> Vec<GenerateRequest> {
    let by_chance = GenerationSettings { temperature: Some(1.0), max_tokens: Some(TOKENS), ..Default::default() };
    let penalised = GenerationSettings { frequency_penalty: Some(0.5), repetition_penalty: Some(1.1), ..seeded(3, TOKENS) };
    let all =
        [greedy(TOKENS), seeded(1, TOKENS), seeded(2, TOKENS), penalised, greedy(TOKENS), seeded(4, TOKENS), by_chance.clone(), by_chance];
    let prompts = ["Once upon a time", "The big dog", "Lily and Tom"].into_iter().cycle();
    all.into_iter()
        .zip(prompts)
        .map(|(settings, prompt)| ask("stories", prompt, GenerationSettings { ignore_end: true, ..settings }))
        .collect()
}

/// Its text is that of its tokens, and there are as many as were asked for.
fn is_whole(answer: &Answer) {
    // These show in no text.
    let special = |bytes: &[u8]| matches!(bytes, b"<s>" | b"</s>" | b"<unk>");
    let bytes: Vec<u8> = answer.tokens.iter().map(|token| &token.bytes).filter(|bytes| !special(bytes)).flatten().copied().collect();
    assert_eq!((answer.tokens.len(), answer.reason), (TOKENS as usize, FinishReason::Length), "{}", answer.text);
    assert_eq!(answer.text, String::from_utf8_lossy(&bytes), "nothing is lost, and nothing comes twice");
}

#[test]
fn answers_whose_worker_is_killed_are_gone_on_with_by_another_and_billed_once() {
    bounded_by(Duration::from_secs(120), async {
        let (folder, ledger) = (TempDir::new().unwrap(), Ledger::default());
        let mut mesh = ledger.of(resuming(&folder, Model::stories(), "stories")).start().await;
        let (undisturbed, client) = (client::generation(mesh.workers[1].addr), client::generation(mesh.gateway()));
        let mut wanted = Vec::new();
        for question in questions() {
            wanted.push(generate(&undisturbed, question).await.unwrap().one());
        }
        let (begun, mut have_begun) = mpsc::channel(wanted.len());
        let mut writing = JoinSet::new();
        for (at, question) in questions().into_iter().enumerate() {
            let (client, begun) = (client.clone(), begun.clone());
            let mut request = tonic::Request::new(question);
            request.metadata_mut().insert("x-request-id", format!("story-{at}").parse().unwrap());
            writing.spawn(async move {
                let tells = move |pieces| {
                    if pieces == 3 {
                        begun.try_send(()).unwrap();
                    }
                };
                (at, generate_telling(&client, request, tells).await)
            });
        }
        for _ in &wanted {
            have_begun.recv().await.unwrap();
        }
        mesh.workers[0].end(Signal::KILL).await;
        while let Some(written) = writing.join_next().await {
            let (at, told) = written.unwrap();
            let Told { usage, .. } = told.clone().unwrap();
            let answer = told.unwrap().one();
            is_whole(&answer);
            assert!(at >= 6 || answer == wanted[at], "{at}: {:?}\n{:?}", answer.text, wanted[at].text);
            let line = ledger.line(&format!("story-{at}")).await;
            assert_eq!((line["completion_tokens"].as_u64(), usage.completion_tokens), (Some(u64::from(TOKENS)), TOKENS), "{line}");
            assert_eq!(line["prompt_tokens"].as_u64(), Some(u64::from(usage.prompt_tokens)), "what was written is no prompt: {line}");
        }
        assert_eq!(ledger.lines().len(), wanted.len(), "one answer, one line");
        let resumed = mesh.routers[0].metrics().await.count(RESUMED, &[("model", "stories"), ("version", "1")]);
        assert!((1..=8).contains(&resumed), "{resumed} were resumed");
    });
}

#[test]
fn a_worker_goes_on_behind_what_another_has_written() {
    bounded_by(Duration::from_secs(120), async {
        let mesh = torchmesh_tests::language::worker([Model::stories(), Model::smollm2()]).await;
        let client = client::generation(mesh.workers[0].addr);
        let question = |written: &[u32], settings: GenerationSettings| {
            ask("stories", "Once upon a time", GenerationSettings { written: written.to_vec(), ..settings })
        };
        let whole = generate(&client, question(&[], seeded(5, 40))).await.unwrap();
        let (usage, whole) = (whole.usage, whole.one());
        for at in [1, 17, 39] {
            let told = generate(&client, question(&whole.ids()[..at], seeded(5, 40))).await.unwrap();
            assert_eq!((told.usage.prompt_tokens, told.usage.completion_tokens), (usage.prompt_tokens, usage.completion_tokens));
            let rest = told.one();
            assert_eq!((&rest.tokens[..], rest.reason), (&whole.tokens[at..], whole.reason), "from {at} on");
            assert!(whole.text.ends_with(&rest.text), "{:?} of {:?}", rest.text, whole.text);
        }
        let all = generate(&client, question(&whole.ids(), seeded(5, 40))).await.unwrap();
        assert_eq!((all.usage.completion_tokens, all.one().reason), (usage.completion_tokens, whole.reason), "its end was not told");
        let said = |written: &[u32]| say("smollm2", "Say hello.", GenerationSettings { written: written.to_vec(), ..greedy(12) });
        let spoken = chat(&client, said(&[])).await.unwrap().one();
        let rest = chat(&client, said(&spoken.ids()[..4])).await.unwrap().one();
        assert_eq!(rest.tokens, spoken.tokens[4..]);
        let wrong =
            async |settings: GenerationSettings| generate(&client, question(&[7], settings)).await.unwrap_err().message().to_owned();
        assert!(wrong(GenerationSettings { n: Some(2), ..seeded(5, 40) }).await.starts_with("written: is for one answer"));
        let long = generate(&client, question(&whole.ids(), seeded(5, 3))).await.unwrap_err();
        assert!(long.message().contains("the answer may have 3"), "{long:?}");
        let unknown = generate(&client, question(&[4_000_000], seeded(5, 3))).await.unwrap_err();
        assert!(unknown.message().contains("written: token 4000000"), "{unknown:?}");
    });
}
