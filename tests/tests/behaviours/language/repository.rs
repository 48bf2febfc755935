//! Folders as they are published: served from themselves alone, as soon as they are there, and what is wrong with them is said by file and tensor.

use std::{fs, path::Path, time::Duration};

use torchmesh_api::{
    inference::RepositoryIndexRequest,
    text::v1::{FinishReason, GenerationSettings},
};
use torchmesh_tests::{
    MeshSandbox, bounded, client, eventually,
    language::{ask, generate, greedy},
    models::Model,
    places,
    tiny::Tiny,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// No power of two anywhere.
fn odd() -> Tiny {
    Tiny { hidden: 48, layers: 3, heads: (6, 2), head: 10, inner: 72, vocabulary: 300, theta: 12_345.0, context: 200 }
}

async fn watching(model: Model) -> MeshSandbox {
    let builder = MeshSandbox::builder().gateways(0).routers(0).model(model).set("worker", "models_poll", "50ms");
    builder.start().await
}

/// What the repository index says of a model, once it is neither being loaded nor unknown: its state and why.
async fn verdict(mesh: &MeshSandbox, name: &str) -> (String, String) {
    let mut client = client::inference(mesh.workers[0].addr);
    eventually(&format!("{name} is decided"), PATIENCE, async || {
        let index = client.repository_index(RepositoryIndexRequest::default()).await.unwrap().into_inner();
        let line = index.models.into_iter().find(|model| model.name == name)?;
        let over = line.state == "READY" || line.state == "UNAVAILABLE" && !line.reason.is_empty() && line.reason != "loading";
        over.then_some((line.state, line.reason))
    })
    .await
}

/// Moves a folder into the repository, so that it is there whole or not at all.
fn drop_in(mesh: &MeshSandbox, name: &str, write: impl FnOnce(&Path)) {
    let draft = mesh.folder().join("draft");
    write(&draft.join("1"));
    fs::rename(draft, mesh.folder().join("models").join(name)).unwrap();
}

#[test]
fn a_folder_of_a_kind_that_nobody_listed_is_served_from_itself_alone_as_soon_as_it_is_there() {
    bounded(async {
        let mesh = watching(Model::noop()).await;
        drop_in(&mesh, "odd", |folder| odd().write(folder));
        drop_in(&mesh, "turned", |folder| Tiny { theta: 50.0, ..odd() }.write(folder));
        let client = client::generation(mesh.workers[0].addr);
        let mut texts = Vec::new();
        for name in ["odd", "turned"] {
            assert_eq!(verdict(&mesh, name).await, ("READY".to_owned(), String::new()));
            let request = || ask(name, "Grüße", GenerationSettings { ignore_end: true, ..greedy(40) });
            let told = generate(&client, request()).await.unwrap();
            assert_eq!((told.usage.prompt_tokens, told.usage.completion_tokens), (7, 40), "a byte is a token");
            let again = generate(&client, request()).await.unwrap();
            assert_eq!(told.answers, again.answers);
            let answer = told.one();
            assert_eq!((answer.tokens.len(), answer.reason), (40, FinishReason::Length));
            assert!(answer.ids().iter().all(|&id| id < 300));
            texts.push(answer.ids());
        }
        assert_ne!(texts[0], texts[1], "the rotary base is the folder's own");
    });
}

#[test]
fn what_is_wrong_with_a_file_is_said_by_its_name_and_its_tensors() {
    bounded(async {
        let mesh = watching(Model::noop()).await;
        let tensor = "model.layers.1.mlp.down_proj.weight";
        drop_in(&mesh, "cut", |folder| {
            odd().write(folder);
            let file = folder.join("model.safetensors");
            let whole = fs::read(&file).unwrap();
            fs::write(&file, &whole[..whole.len() - 100]).unwrap();
        });
        drop_in(&mesh, "lacking", |folder| {
            odd().write(folder);
            let file = folder.join("model.safetensors");
            let other = tensor.replace("down", "dawn");
            let at = |bytes: &[u8]| bytes.windows(tensor.len()).position(|window| window == tensor.as_bytes()).unwrap();
            let mut whole = fs::read(&file).unwrap();
            let at = at(&whole);
            whole[at..at + tensor.len()].copy_from_slice(other.as_bytes());
            fs::write(&file, whole).unwrap();
        });
        drop_in(&mesh, "wider", |folder| {
            odd().write(folder);
            let config =
                fs::read_to_string(folder.join("config.json")).unwrap().replace("\"intermediate_size\":72", "\"intermediate_size\":80");
            fs::write(folder.join("config.json"), config).unwrap();
        });
        drop_in(&mesh, "gguf", |folder| {
            fs::create_dir_all(folder).unwrap();
            let whole = places::cache().join("models/SmolLM2-135M-Instruct/SmolLM2-135M-Instruct.Q4_1.gguf");
            let whole = fs::read(whole).unwrap();
            fs::write(folder.join("model.gguf"), &whole[..whole.len() / 2]).unwrap();
        });
        for (name, parts) in [
            ("cut", &["model.safetensors", "weight"][..]),
            ("lacking", &[tensor]),
            ("wider", &["model.layers.0.mlp.gate_proj.weight", "[72, 48]", "[80, 48]"]),
            ("gguf", &["model.gguf", "blk."]),
        ] {
            let (state, reason) = verdict(&mesh, name).await;
            assert_eq!(state, "UNAVAILABLE", "{name}: {reason}");
            assert!(parts.iter().all(|part| reason.contains(part)), "{name}: {reason}");
            assert!(!reason.contains(&*mesh.folder().to_string_lossy()), "{name}: {reason} has a path of this machine");
        }
    });
}
