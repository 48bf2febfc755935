//! Models of Triton and TorchServe, taken over and served.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use serde_json::Value;
use torchmesh_api::inference::ModelInferRequest;
use torchmesh_tests::{MeshSandbox, bounded, client, eventually, models::Model, places};
use zip::{ZipWriter, write::FileOptions};

const PATIENCE: Duration = Duration::from_secs(20);

fn import(models: &Path, source: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(places::program("meshctl"));
    command.arg("import").arg(source).arg("--models").arg(models).args(arguments).output().expect("meshctl starts")
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What was written, by name: a folder's whole contents.
fn listed(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

/// A repository of Triton's with `noop` as it is served here.
fn triton(folder: &Path, noop: &[u8]) -> PathBuf {
    let repository = folder.join("triton");
    fs::create_dir_all(repository.join("identity/3")).unwrap();
    fs::write(repository.join("identity/3/model.pt"), noop).unwrap();
    let config = r#"
        name: "identity"
        platform: "pytorch_libtorch"
        max_batch_size: 8
        input [ { name: "INPUT__0" data_type: TYPE_FP32 dims: [ 256 ] } ]
        output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 256 ] } ]
        dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 100 }
        instance_group [ { count: 2 kind: KIND_CPU } ]
    "#;
    fs::write(repository.join("identity/config.pbtxt"), config).unwrap();
    repository
}

/// An archive of TorchServe's with the same model.
fn archive(folder: &Path, noop: &[u8]) -> PathBuf {
    let path = folder.join("archived.mar");
    let mut writer = ZipWriter::new(File::create(&path).unwrap());
    let manifest = r#"{"createdOn": "25/11/2026", "runtime": "python", "archiverVersion": "0.12.0",
        "model": {"modelName": "archived", "serializedFile": "noop.pt", "handler": "custom.py", "modelVersion": "2.0"}}"#;
    for (name, content) in [("MAR-INF/MANIFEST.json", manifest.as_bytes()), ("noop.pt", noop), ("custom.py", b"print()")] {
        let options = FileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        writer.start_file(name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap();
    path
}

#[test]
fn a_model_of_triton_and_one_of_torchserve_are_imported_into_a_mesh_that_runs_and_answer() {
    bounded(async {
        let mesh = MeshSandbox::builder().set("worker", "models_poll", "50ms").model(Model::noop()).start().await;
        let models = mesh.folder().join("models");
        let noop = fs::read(models.join("noop/1/model.pt")).unwrap();
        let output = import(&models, &triton(mesh.folder(), &noop), &[]);
        assert!(output.status.success(), "{}", told(&output));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("identity is imported") && said.contains("dynamic_batching.preferred_batch_size"), "{said}");
        let tensors = ["--input", "x:FP32:-1,256", "--output-tensor", "y:FP32:-1,256"];
        let output = import(&models, &archive(mesh.folder(), &noop), &tensors);
        assert!(output.status.success(), "{}", told(&output));
        for (model, input, version) in [("identity", "INPUT__0", "3"), ("archived", "x", "2")] {
            let mut request = ModelInferRequest { model_name: model.to_owned(), ..client::noop() };
            request.inputs[0].name = input.to_owned();
            let answer = eventually(&format!("{model} answers"), PATIENCE, async || {
                mesh.inference().model_infer(request.clone()).await.ok().map(tonic::Response::into_inner)
            })
            .await;
            assert_eq!(answer.model_version, version);
            assert_eq!(client::floats(&answer).len(), 256);
        }
    });
}

#[test]
fn a_dry_run_writes_nothing_and_a_model_that_is_there_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("models");
    fs::create_dir(&models).unwrap();
    let source = triton(folder.path(), b"weights");
    let output = import(&models, &source, &["--dry-run", "--output", "json"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer[0]["model"], &answer[0]["written"], &answer[0]["versions"][0]), (&"identity".into(), &false.into(), &3.into()));
    assert!(answer[0]["manifest"].as_str().unwrap().contains("max_batch = 8"), "{answer}");
    assert_eq!(listed(&models), Vec::<PathBuf>::new());

    assert!(import(&models, &source, &["--link"]).status.success());
    assert!(models.join("identity/3/model.pt").is_symlink());
    let again = import(&models, &source, &[]);
    assert_eq!(again.status.code(), Some(64));
    assert!(told(&again).contains("is there already"), "{}", told(&again));
    assert!(import(&models, &source, &["--name", "other"]).status.success());
}

#[test]
fn what_cannot_be_imported_is_named_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("models");
    fs::create_dir(&models).unwrap();
    let source = triton(folder.path(), b"weights");
    fs::create_dir(source.join("identity/4")).unwrap();
    let output = import(&models, &source, &[]);
    assert!(told(&output).contains("4/model.pt: is missing"), "{}", told(&output));
    let output = import(&models, &archive(folder.path(), b"a state dictionary"), &[]);
    assert!(told(&output).contains("model.serializedFile (noop.pt): is no TorchScript file"), "{}", told(&output));
    let cut = folder.path().join("cut.mar");
    fs::write(&cut, &fs::read(archive(folder.path(), b"x")).unwrap()[..200]).unwrap();
    assert!(told(&import(&models, &cut, &[])).contains("the archive: "));
    let output = import(&models, &folder.path().join("nowhere"), &[]);
    assert_eq!(output.status.code(), Some(74), "{}", told(&output));
    assert_eq!(listed(&models), Vec::<PathBuf>::new());
}
