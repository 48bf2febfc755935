//! Models that the repository has never seen serve as they are dropped in, without a restart and without code: what docs/serve-your-model.md shows.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use torchmesh_api::{
    inference::{ModelInferRequest, ModelInferResponse, RepositoryIndexRequest},
    text::v1::EmbedRequest,
};
use torchmesh_tests::{MeshSandbox, bounded, client, directories::Directory, eventually, models::Model};

const PATIENCE: Duration = Duration::from_secs(20);
/// How far from transformers a vector may be.
const TOLERANCE: f32 = 1e-4;

async fn mesh() -> MeshSandbox {
    MeshSandbox::builder().set("worker", "models_poll", "50ms").model(Model::noop()).start().await
}

fn repository(mesh: &MeshSandbox) -> PathBuf {
    mesh.folder().join("models")
}

/// Puts what `write` makes into the repository under `name`, at one stroke: written beside its place, where the worker does not look, and then moved.
fn drop_in(repository: &Path, name: &str, write: impl FnOnce(&Path)) {
    let draft = repository.join(".draft");
    write(&draft);
    fs::rename(draft.join(name), repository.join(name)).unwrap();
}

/// A request for `model` with whole tensors: name, datatype, shape, bytes.
fn infer(model: &str, inputs: &[(&str, &str, &[i64], Bytes)]) -> ModelInferRequest {
    ModelInferRequest {
        model_name: model.to_owned(),
        inputs: inputs.iter().map(|(name, datatype, shape, _)| client::tensor(name, datatype, shape)).collect(),
        raw_input_contents: inputs.iter().map(|(.., data)| data.clone()).collect(),
        ..Default::default()
    }
}

fn fp32(values: &[f32]) -> Bytes {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

async fn answer(mesh: &MeshSandbox, request: ModelInferRequest) -> ModelInferResponse {
    eventually(&format!("{} answers", request.model_name), PATIENCE, async || {
        mesh.inference().model_infer(request.clone()).await.ok().map(tonic::Response::into_inner)
    })
    .await
}

/// An output by its name: its shape and its numbers.
fn output(answer: &ModelInferResponse, name: &str) -> (Vec<i64>, Vec<f32>) {
    let at = answer.outputs.iter().position(|output| output.name == name).unwrap_or_else(|| panic!("no {name} in {:?}", answer.outputs));
    let values = answer.raw_output_contents[at].as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    (answer.outputs[at].shape.clone(), values)
}

#[test]
fn modules_with_a_tuple_with_free_height_and_width_and_with_inputs_of_several_datatypes_serve_as_they_are_dropped_in() {
    bounded(async {
        let mesh = mesh().await;
        for model in [Model::tuple(), Model::halve(), Model::pick()] {
            drop_in(&repository(&mesh), &model.name.clone(), |draft| model.install(draft));
        }
        let two = infer("tuple", &[("a", "FP32", &[1, 2], fp32(&[1.0, 2.0])), ("b", "FP32", &[1, 2], fp32(&[3.0, 6.0]))]);
        let two = answer(&mesh, two).await;
        assert_eq!(output(&two, "sum"), (vec![1, 2], vec![4.0, 8.0]));
        assert_eq!(output(&two, "mean"), (vec![1, 2], vec![2.0, 4.0]));

        for (height, width) in [(2, 6), (480, 270)] {
            let pixels = fp32(&vec![0.5; 3 * height * width]);
            let [height, width] = [height, width].map(|side| i64::try_from(side).unwrap());
            let image = answer(&mesh, infer("halve", &[("image", "FP32", &[1, 3, height, width], pixels)])).await;
            assert_eq!(output(&image, "half").0, [1, 3, height / 2, width / 2]);
        }

        let index: Bytes = [2_i64, 0].iter().flat_map(|place| place.to_le_bytes()).collect();
        let picked = infer(
            "pick",
            &[
                ("values", "FP32", &[1, 3], fp32(&[5.0, 6.0, 7.0])),
                ("index", "INT64", &[1, 2], index),
                ("keep", "BOOL", &[1, 2], Bytes::from_static(&[1, 0])),
            ],
        );
        assert_eq!(output(&answer(&mesh, picked).await, "picked"), (vec![1, 2], vec![7.0, 0.0]));
    });
}

#[test]
fn directories_of_any_depth_with_a_vocabulary_of_their_own_embed_as_transformers_as_they_are_dropped_in() {
    bounded(async {
        let mesh = mesh().await;
        let directories = Directory::all();
        for (at, directory) in directories.iter().enumerate() {
            let name = format!("encoder-{at}");
            drop_in(&repository(&mesh), &name, |draft| {
                fs::create_dir_all(draft.join(&name)).unwrap();
                directory.write(&draft.join(&name));
            });
        }
        for (at, directory) in directories.iter().enumerate() {
            let (texts, vectors): (Vec<_>, Vec<_>) = directory.known().into_iter().unzip();
            let request = EmbedRequest { model: format!("encoder-{at}"), texts, ..Default::default() };
            let what = format!("{} answers", request.model);
            let answer = eventually(&what, PATIENCE, async || mesh.text().embed(request.clone()).await.ok()).await;
            for (found, expected) in answer.into_inner().embeddings.iter().zip(&vectors) {
                let difference = found.values.iter().zip(expected).map(|(left, right)| (left - right).abs()).fold(0.0, f32::max);
                assert!(found.values.len() == expected.len() && difference < TOLERANCE, "encoder-{at}: {difference}");
            }
        }
    });
}

#[test]
fn a_directory_that_is_copied_slowly_says_what_it_lacks_and_serves_when_it_is_whole() {
    bounded(async {
        let mesh = mesh().await;
        let directory = Directory::all().remove(4);
        let (whole, copy) = (mesh.folder().join("whole"), repository(&mesh).join("slow"));
        fs::create_dir_all(&whole).unwrap();
        fs::create_dir_all(&copy).unwrap();
        directory.write(&whole);
        let reason = async || {
            let index = mesh.inference().repository_index(RepositoryIndexRequest::default()).await.unwrap().into_inner();
            index.models.into_iter().find(|model| model.name == "slow").map(|model| model.reason)
        };
        let says = async |part: &str| {
            eventually(part, PATIENCE, async || reason().await.filter(|reason| reason.contains(part))).await;
        };
        for (file, told) in [("config.json", "no model.safetensors"), ("model.safetensors", "tokenizer.json is missing")] {
            fs::copy(whole.join(file), copy.join(file)).unwrap();
            says(told).await;
        }
        for file in ["vocab.json", "merges.txt"] {
            fs::copy(whole.join(file), copy.join(file)).unwrap();
        }
        let request = EmbedRequest { model: "slow".to_owned(), texts: vec!["A man is eating food.".to_owned()], ..Default::default() };
        eventually("it answers", PATIENCE, async || mesh.text().embed(request.clone()).await.ok()).await;
        eventually("nothing is to be said any more", PATIENCE, async || reason().await.filter(String::is_empty)).await;
    });
}
