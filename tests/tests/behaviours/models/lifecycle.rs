//! Models come, change and go while the mesh serves them.

use std::{fs, os::unix::fs::symlink, path::PathBuf, time::Duration};

use tonic::Code;
use torchmesh_api::inference::{
    ModelConfigRequest, ModelInferRequest, RepositoryModelLoadRequest, RepositoryModelUnloadRequest, model_config::SchedulingChoice,
};
use torchmesh_tests::{
    MeshSandbox, bounded, client, eventually,
    load::{Load, Plan},
    models::Model,
    places,
    raw::{self, Call},
    sandbox::Builder,
};

const PATIENCE: Duration = Duration::from_secs(20);

async fn mesh(models: impl IntoIterator<Item = Model>) -> MeshSandbox {
    let builder = MeshSandbox::builder().set("worker", "models_poll", "50ms");
    models.into_iter().fold(builder, Builder::model).start().await
}

fn repository(mesh: &MeshSandbox) -> PathBuf {
    mesh.folder().join("models")
}

/// The version that answers a call which names none.
async fn answering(mesh: &MeshSandbox, request: ModelInferRequest) -> Result<String, Code> {
    let answer = mesh.inference().model_infer(request).await;
    answer.map(|answer| answer.into_inner().model_version).map_err(|status| status.code())
}

async fn until_version(mesh: &MeshSandbox, version: &str) {
    eventually(&format!("version {version} answers"), PATIENCE, async || {
        (answering(mesh, client::noop()).await.as_deref() == Ok(version)).then_some(())
    })
    .await;
}

#[test]
fn a_version_is_added_becomes_the_default_and_replaces_the_first_under_load_and_no_call_fails() {
    bounded(async {
        let mesh = mesh([Model::noop()]).await;
        let call = Call::new(raw::MODEL_INFER, &client::noop()).with_key();
        let load = Load::start(Plan { addresses: mesh.doors(), call, rate: 200.0, deadline: Duration::from_secs(2) });
        load.answers(50).await;
        Model::noop().add_version(&repository(&mesh), 2);
        until_version(&mesh, "2").await;
        load.answers(50).await;
        fs::remove_file(repository(&mesh).join("noop/1")).unwrap();
        load.answers(50).await;
        Model::noop().add_version(&repository(&mesh), 3);
        until_version(&mesh, "3").await;
        fs::remove_file(repository(&mesh).join("noop/3")).unwrap();
        until_version(&mesh, "2").await;
        load.answers(50).await;
        let report = load.stop().await;
        assert_eq!(report.failed(), 0, "{report:?}");
    });
}

#[test]
fn a_changed_manifest_reloads_the_model_under_load_and_no_call_fails() {
    bounded(async {
        let mesh = mesh([Model::noop()]).await;
        let call = Call::new(raw::MODEL_INFER, &client::noop()).with_key();
        let load = Load::start(Plan { addresses: mesh.doors(), call, rate: 200.0, deadline: Duration::from_secs(2) });
        let manifest = repository(&mesh).join("noop/model.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        for delay in ["1ms", "2ms", "3ms"] {
            fs::write(&manifest, format!("{text}[batching]\nmax_queue_delay = \"{delay}\"\n")).unwrap();
            let micros = delay.trim_end_matches("ms").parse::<u64>().unwrap() * 1000;
            eventually("the new manifest is in force", PATIENCE, async || {
                let request = ModelConfigRequest { name: "noop".into(), version: String::new() };
                let config = client::inference(mesh.workers[0].addr).model_config(request).await.ok()?.into_inner().config?;
                let SchedulingChoice::DynamicBatching(batching) = config.scheduling_choice? else { return None };
                (batching.max_queue_delay_microseconds == micros).then_some(())
            })
            .await;
            load.answers(50).await;
        }
        let report = load.stop().await;
        assert_eq!(report.failed(), 0, "{report:?}");
    });
}

#[test]
fn a_published_sentence_encoder_is_served_from_its_directory_without_a_manifest_and_without_a_restart() {
    bounded(async {
        let mesh = mesh([Model::noop(), Model::minilm()]).await;
        symlink(places::cache().join("models/all-MiniLM-L6-v2"), repository(&mesh).join("sentences")).unwrap();
        let ids = [vec![101, 1037, 2158, 2003, 5983, 2833, 1012, 102]];
        let of = |model: &str| ModelInferRequest { model_name: model.to_owned(), ..client::tokens(&ids) };
        eventually("the new model answers", PATIENCE, async || answering(&mesh, of("sentences")).await.ok()).await;
        let vector = async |model: &str| client::floats(&mesh.inference().model_infer(of(model)).await.unwrap().into_inner());
        let (native, traced) = (vector("sentences").await, vector("minilm").await);
        assert_eq!(native.len(), 384);
        let difference = native.iter().zip(&traced).map(|(left, right)| (left - right).abs()).fold(0.0, f32::max);
        assert!(difference < 1e-4, "{difference}");
    });
}

#[test]
fn a_file_that_is_not_a_model_leaves_the_version_before_it_serving() {
    bounded(async {
        let mesh = mesh([Model::noop()]).await;
        let folder = repository(&mesh).join("noop/2");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("model.pt"), "half of a mod").unwrap();
        eventually("the worker has tried it", PATIENCE, async || mesh.workers[0].log().contains("a model is unavailable").then_some(()))
            .await;
        assert_eq!(answering(&mesh, client::noop()).await.unwrap(), "1");
    });
}

#[test]
fn memory_comes_back_when_a_model_is_unloaded_again_and_again() {
    /// minilm has 90 MB of weights.
    const WEIGHTS: u64 = 80 << 20;
    const NOISE: u64 = 30 << 20;
    bounded(async {
        let mesh = mesh([Model::noop(), Model::minilm()]).await;
        let worker = &mesh.workers[0];
        let mut oip = client::inference(worker.addr);
        let mut least = u64::MAX;
        for _ in 0..5 {
            let loaded = worker.resident();
            oip.repository_model_unload(RepositoryModelUnloadRequest { model_name: "minilm".into(), ..Default::default() }).await.unwrap();
            let bound = (loaded - WEIGHTS).min(least.saturating_add(NOISE));
            let unloaded =
                eventually("the weights are given back", PATIENCE, async || Some(worker.resident()).filter(|now| *now <= bound)).await;
            least = least.min(unloaded);
            oip.repository_model_load(RepositoryModelLoadRequest { model_name: "minilm".into(), ..Default::default() }).await.unwrap();
        }
        assert_eq!(answering(&mesh, client::noop()).await.unwrap(), "1");
    });
}
