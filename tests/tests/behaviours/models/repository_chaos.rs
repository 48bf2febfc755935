//! Whatever lies in the model repository: the models that are good do not notice, and the index names what is wrong with the others.

use std::{
    ffi::OsStr,
    fs::{self, File},
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use torchmesh_api::inference::{RepositoryIndexRequest, repository_index_response::ModelIndex};
use torchmesh_tests::{
    MeshSandbox, bounded, client, eventually,
    load::{Load, Plan},
    models::Model,
    raw::{self, Call},
};

const PATIENCE: Duration = Duration::from_secs(20);
const TENSORS: &str = "task = \"tensor\"\n[[inputs]]\nname = \"INPUT0\"\ndatatype = \"FP32\"\nshape = [-1, 256]\n\
    [[outputs]]\nname = \"OUTPUT0\"\ndatatype = \"FP32\"\nshape = [-1, 256]\n";

async fn mesh() -> MeshSandbox {
    MeshSandbox::builder().set("worker", "models_poll", "50ms").model(Model::noop()).start().await
}

fn repository(mesh: &MeshSandbox) -> PathBuf {
    mesh.folder().join("models")
}

/// Calls of the good model, which must all be answered.
fn load(mesh: &MeshSandbox) -> Load {
    let call = Call::new(raw::MODEL_INFER, &client::noop()).with_key();
    Load::start(Plan { addresses: mesh.doors(), call, rate: 100.0, deadline: Duration::from_secs(2) })
}

/// A model with a manifest and, in version 1, whatever `fill` puts there.
fn add(repository: &Path, name: &str, manifest: &[u8], fill: impl FnOnce(&Path)) {
    let draft = repository.join(format!(".{name}"));
    fs::create_dir_all(draft.join("1")).unwrap();
    fs::write(draft.join("model.toml"), manifest).unwrap();
    fill(&draft.join("1"));
    fs::rename(draft, repository.join(name)).unwrap();
}

async fn index(mesh: &MeshSandbox) -> Vec<ModelIndex> {
    let answer = client::inference(mesh.workers[0].addr).repository_index(RepositoryIndexRequest::default()).await;
    answer.unwrap().into_inner().models
}

/// Waits until the index says of each model what is wrong with it.
async fn until_said(mesh: &MeshSandbox, expected: &[(&str, &str)]) {
    let mut last = Vec::new();
    for (name, part) in expected {
        eventually(&format!("{name}: {part}"), PATIENCE, async || {
            last = index(mesh).await;
            let line = last.iter().find(|line| line.name == *name)?;
            (line.state == "UNAVAILABLE" && line.reason.contains(part)).then_some(())
        })
        .await;
    }
}

#[test]
fn broken_models_of_every_kind_leave_the_good_one_serving_and_are_named_with_their_file_or_field() {
    bounded(async {
        let mesh = mesh().await;
        let all = repository(&mesh);
        let good = fs::read(all.join("noop/1/model.pt")).unwrap();
        let load = load(&mesh);
        load.answers(10).await;
        let manifest = TENSORS.as_bytes();
        add(&all, "absent", manifest, |_| ());
        add(&all, "corrupt", manifest, |version| fs::write(version.join("model.pt"), [0xff; 4096]).unwrap());
        add(&all, "dangling", manifest, |version| symlink("nowhere.pt", version.join("model.pt")).unwrap());
        add(&all, "endless", manifest, |version| symlink("model.pt", version.join("model.pt")).unwrap());
        add(&all, "field", TENSORS.replace("FP32", "FLOAT").as_bytes(), |_| ());
        add(&all, "half", manifest, |version| fs::write(version.join("model.pt"), &good[..good.len() / 2]).unwrap());
        add(&all, "huge", &vec![b'#'; 10 << 20], |_| ());
        add(&all, "mute", b"task = \"tensor\" \xff", |_| ());
        add(&all, "nested", manifest, |version| symlink("..", version.join("up")).unwrap());
        symlink("circle", all.join("circle")).unwrap();
        fs::create_dir(all.join(OsStr::from_bytes(b"n\xffme"))).unwrap();
        fs::create_dir_all(all.join("empty").join(OsStr::from_bytes(b"\xff1"))).unwrap();
        let expected = [
            ("absent", "model.pt"),
            ("corrupt", "model.pt"),
            ("dangling", "model.pt"),
            ("empty", "no version folder"),
            ("endless", "model.pt"),
            ("field", "inputs[0].datatype"),
            ("half", "model.pt"),
            ("huge", "huge/model.toml is longer than 1 MiB"),
            ("mute", "mute/model.toml cannot be read"),
            ("nested", "model.pt"),
        ];
        until_said(&mesh, &expected).await;
        let named: Vec<_> = index(&mesh).await.into_iter().map(|line| line.name).collect();
        assert_eq!(named.len(), expected.len() + 1, "{named:?}");
        // What is mended serves, without a restart.
        fs::write(all.join("half/1/model.pt"), &good).unwrap();
        let mended = async || index(&mesh).await.iter().any(|line| line.name == "half" && line.state == "READY").then_some(());
        eventually("the mended model is ready", PATIENCE, mended).await;
        load.answers(10).await;
        let report = load.stop().await;
        assert_eq!(report.failed(), 0, "{report:?}");
    });
}

#[test]
fn thousands_of_versions_and_clocks_that_jump_do_not_stop_a_model() {
    bounded(async {
        let mesh = mesh().await;
        let all = repository(&mesh);
        let load = load(&mesh);
        let good = fs::read(all.join("noop/1/model.pt")).unwrap();
        add(&all, "many", format!("versions = \"latest\"\n{TENSORS}").as_bytes(), |version| {
            let model = version.parent().unwrap();
            (2..=3000).for_each(|number| fs::create_dir(model.join(number.to_string())).unwrap());
            fs::write(model.join("3000/model.pt"), &good).unwrap();
        });
        let ready = async || index(&mesh).await.iter().any(|line| line.name == "many" && line.state == "READY").then_some(());
        eventually("the latest of thousands is ready", PATIENCE, ready).await;
        assert_eq!(index(&mesh).await.iter().filter(|line| line.name == "many").count(), 1);
        // A restored backup, and a machine whose clock is a century ahead: other times are other files, and are loaded again.
        let manifest = File::options().write(true).open(all.join("noop/model.toml")).unwrap();
        for (reloads, time) in [(1, SystemTime::UNIX_EPOCH), (2, SystemTime::UNIX_EPOCH + Duration::from_secs(4_102_444_800))] {
            manifest.set_modified(time).unwrap();
            let loaded =
                || mesh.workers[0].log().lines().filter(|line| line.contains("a model is ready") && line.contains("\"noop\"")).count();
            eventually("the model is loaded again", PATIENCE, async || (loaded() > reloads).then_some(())).await;
        }
        load.answers(10).await;
        let report = load.stop().await;
        assert_eq!(report.failed(), 0, "{report:?}");
    });
}
