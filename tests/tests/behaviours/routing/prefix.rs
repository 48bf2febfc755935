//! Which worker is sent a prompt when the route goes by how prompts begin.

use std::{collections::HashSet, fs, time::Duration};

use tempfile::TempDir;
use tokio::task::JoinSet;
use torchmesh_api::text::v1::{ChatMessage, ChatRequest, FinishReason};
use torchmesh_tests::{
    MeshSandbox, bounded, client, eventually,
    language::chat,
    writer::{Asked, MODEL, Step, Writer, ends, used, words},
};

const PATIENCE: Duration = Duration::from_secs(20);
const BLOCKS: &str = "torchmesh_router_prefix_blocks_total";
const KNOWN: &str = "torchmesh_router_prefix_blocks_known_total";

/// A mesh with a route by prefix, and its two workers. They answer at once, and what begins with "hot" never.
async fn mesh(folder: &TempDir) -> (MeshSandbox, [Writer; 2]) {
    let routes = folder.path().join("routes.toml");
    fs::write(&routes, format!("[[route]]\nmodel = '{MODEL}'\nto = [{{}}]\nbalance = 'prefix'\n")).unwrap();
    let script = |asked: &Asked| {
        if asked.as_a::<ChatRequest>().messages[0].content.starts_with("hot") {
            vec![words(0, "one"), Step::Stalls]
        } else {
            vec![words(0, "said"), ends(0, FinishReason::Stop), used()]
        }
    };
    let workers = [Writer::start(script).await, Writer::start(script).await];
    let builder = MeshSandbox::builder().set("router", "routes_file", routes.to_str().unwrap()).set("router", "threads", "1");
    let mesh = workers.iter().fold(builder, |builder, worker| builder.worker_at(worker.addr)).start().await;
    eventually("both workers are known", PATIENCE, async || mesh.routers[0].log().contains("\"workers\":2").then_some(())).await;
    (mesh, workers)
}

fn message(role: &str, content: String) -> ChatMessage {
    ChatMessage { role: role.to_owned(), content, ..Default::default() }
}

/// The `turn`-th prompt of a conversation: everything that was said before, and something new.
fn conversation(number: usize, turn: usize) -> ChatRequest {
    let said = |turn| {
        let asked = message("user", format!("{number} asks {turn}: {}", "what about this? ".repeat(40)));
        [asked, message("assistant", "I have no idea. ".repeat(30))]
    };
    let mut messages: Vec<_> = (0..=turn).flat_map(said).collect();
    messages.pop();
    ChatRequest { model: MODEL.to_owned(), messages, ..Default::default() }
}

#[test]
fn every_conversation_goes_on_where_it_was_and_all_workers_have_some() {
    bounded(async {
        let folder = TempDir::new().unwrap();
        let (mesh, workers) = mesh(&folder).await;
        let client = client::generation(mesh.gateway());
        for turn in 0..4 {
            for number in 0..20 {
                chat(&client, conversation(number, turn)).await.unwrap();
            }
        }
        let of = |worker: &Writer| {
            let first = |asked: &Asked| asked.as_a::<ChatRequest>().messages[0].content.clone();
            let asked = worker.asked();
            let conversations: HashSet<_> = asked.iter().map(first).collect();
            assert_eq!(asked.len(), 4 * conversations.len(), "a worker has a part of a conversation");
            conversations.len()
        };
        let [one, other] = [of(&workers[0]), of(&workers[1])];
        assert!(one + other == 20 && one.min(other) > 0, "{one} and {other} conversations");
        let metrics = mesh.routers[0].metrics().await;
        let (blocks, known) = (metrics.count(BLOCKS, &[]), metrics.count(KNOWN, &[]));
        assert!(known * 3 > blocks && known < blocks, "{known} of {blocks} blocks");
    });
}

#[test]
fn a_prompt_that_everybody_sends_at_once_keeps_all_workers_busy() {
    bounded(async {
        let folder = TempDir::new().unwrap();
        let (mesh, workers) = mesh(&folder).await;
        let hot = |number| ChatRequest {
            model: MODEL.to_owned(),
            messages: vec![message("system", "hot ".repeat(400)), message("user", format!("{number}?"))],
            ..Default::default()
        };
        let mut asking = JoinSet::new();
        for number in 0..16 {
            let client = client::generation(mesh.gateway());
            asking.spawn(async move { chat(&client, hot(number)).await });
        }
        let counts = || [workers[0].asked().len(), workers[1].asked().len()];
        eventually("all are being answered", PATIENCE, async || (counts().iter().sum::<usize>() == 16).then_some(())).await;
        // One and a half times the average of eight.
        assert!(counts().iter().all(|count| (4..=12).contains(count)), "{:?}", counts());
        assert!(asking.try_join_next().is_none(), "none has ended");
    });
}
