//! Models that come from elsewhere: fetched, pinned, resumed, and never served by half.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::Mutex,
    time::Duration,
};

use tokio::process::Command;
use tonic::Code;
use torchmesh_api::inference::{ModelInferRequest, RepositoryIndexRequest, RepositoryModelLoadRequest};
use torchmesh_fetch::{FetchError, Outcome, Shelf, Source, Watch};
use torchmesh_tests::{
    MeshSandbox, bounded, client, eventually,
    models::Model,
    origin::{Mishap, Origin},
    places,
};

const PATIENCE: Duration = Duration::from_secs(20);
const MEGABYTE: usize = 1 << 20;

/// Different bytes everywhere, so that a wrong join shows.
fn weights(seed: usize) -> Vec<u8> {
    (0..MEGABYTE).map(|at| (at.wrapping_mul(31) ^ (at >> 8) ^ seed) as u8).collect()
}

/// What a fetch has told.
#[derive(Debug, Default)]
struct Heard(Mutex<Vec<String>>);

impl Watch for Heard {
    fn begins(&self, files: usize, bytes: u64, here: u64) {
        self.0.lock().unwrap().push(format!("{files} files, {bytes} bytes, {here} here"));
    }

    fn moves(&self, _bytes: u64) {}

    fn stumbles(&self, file: &str, reason: &str) {
        self.0.lock().unwrap().push(format!("{file}: {reason}"));
    }
}

fn source(text: &str) -> Source {
    let table: toml::Table = format!("[[source]]\n{text}").parse().unwrap();
    let (mut sources, mistakes) = torchmesh_fetch::read(&table["source"]);
    assert_eq!(mistakes, []);
    sources.remove(0)
}

struct Place {
    origin: Origin,
    folder: tempfile::TempDir,
    heard: Heard,
}

impl Place {
    async fn new() -> Self {
        Self { origin: Origin::start().await, folder: tempfile::tempdir().unwrap(), heard: Heard::default() }
    }

    fn shelf(&self) -> Shelf {
        Shelf::new(self.folder.path(), self.folder.path().join("cache"))
    }

    async fn fetch(&self, source: &Source) -> Result<Outcome, FetchError> {
        torchmesh_fetch::fetch(source, &self.shelf(), 2, &self.heard).await
    }

    fn file(&self, path: &str) -> Vec<u8> {
        fs::read(self.folder.path().join(path)).unwrap()
    }

    /// Two files of a web server's folder.
    fn web(&self) -> Source {
        source(&format!("url = '{}'\nfiles = ['model.pt', 'config.json']", self.origin.url("m/")))
    }
}

#[test]
fn a_download_that_breaks_off_goes_on_where_it_stopped() {
    bounded(async {
        let place = Place::new().await;
        place.origin.put("m/model.pt", weights(0));
        place.origin.put("m/config.json", "{}");
        place.origin.mishap("m/model.pt", Mishap::Breaks(600_000));
        let outcome = place.fetch(&place.web()).await.unwrap();
        assert_eq!(place.file("cache/1/model.pt"), weights(0));
        assert_eq!(outcome.locked.files["model.pt"].bytes, MEGABYTE as u64);
        let ranges = place.origin.ranges("m/model.pt");
        assert_eq!(ranges.len(), 2, "{ranges:?}");
        let from: usize = ranges[1].trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
        assert!((1..=600_000).contains(&from), "{ranges:?}");
        assert!(place.heard.0.lock().unwrap()[1].contains("model.pt"), "{:?}", place.heard);
        assert!(!place.fetch(&place.web()).await.unwrap().fetched, "it is there already");
    });
}

#[test]
fn a_file_that_changed_since_it_was_pinned_is_refused_and_the_version_before_stays() {
    bounded(async {
        let place = Place::new().await;
        place.origin.put("m/model.pt", weights(1));
        place.origin.put("m/config.json", "{}");
        place.fetch(&place.web()).await.unwrap();
        let lock = fs::read_to_string(place.folder.path().join("model.lock")).unwrap();
        assert!(lock.contains("model.pt"), "{lock}");
        // A worker elsewhere has the lock file and an empty cache; one byte is another by now.
        fs::remove_dir_all(place.folder.path().join("cache")).unwrap();
        let mut other = weights(1);
        other[MEGABYTE / 2] ^= 1;
        place.origin.put("m/model.pt", other);
        let error = place.fetch(&place.web()).await.unwrap_err().to_string();
        assert!(error.contains("1/model.pt is not what model.lock says") && error.contains("remove the version's entry"), "{error}");
        assert!(!place.folder.path().join("cache/1").exists());
        place.origin.put("m/model.pt", weights(1));
        place.fetch(&place.web()).await.unwrap();
        let pinned = source(&format!("url = '{}'\nsha256 = {{ 'model.pt' = '{}' }}", place.origin.url("m/model.pt"), "0".repeat(64)));
        let error = place.fetch(&pinned).await.unwrap_err().to_string();
        assert!(error.contains("model.toml says"), "{error}");
        assert_eq!(place.file("cache/1/model.pt"), weights(1), "the old version is untouched");
    });
}

#[test]
fn what_is_not_there_or_not_for_us_is_said_with_its_name() {
    bounded(async {
        let place = Place::new().await;
        place.origin.put("m/model.pt", "x");
        let error = place.fetch(&place.web()).await.unwrap_err().to_string();
        assert!(error.contains("/m/config.json does not exist"), "{error}");
        place.origin.require_token("secret");
        let error = place.fetch(&place.web()).await.unwrap_err().to_string();
        assert!(error.contains("refused (HTTP status 401)"), "{error}");
        let nowhere = source("url = 'http://127.0.0.1:1/model.pt'");
        let error = place.fetch(&nowhere).await.unwrap_err().to_string();
        assert!(error.contains("http://127.0.0.1:1/model.pt cannot be read now"), "{error}");
    });
}

#[test]
fn two_that_fetch_at_once_fetch_once() {
    bounded(async {
        let place = Place::new().await;
        place.origin.put("m/model.pt", weights(2));
        place.origin.put("m/config.json", "{}");
        let source = place.web();
        let (one, two) = tokio::join!(place.fetch(&source), place.fetch(&source));
        let fetched = [one, two].map(|outcome| outcome.unwrap().fetched);
        assert!(fetched[0] != fetched[1], "{fetched:?}");
        assert_eq!(place.origin.ranges("m/model.pt").len(), 1);
    });
}

/// `meshctl pull` with a hub of the test's own.
fn pull(home: &Path, origin: &Origin, token: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(places::program("meshctl"));
    command.arg("--home").arg(home).arg("pull").args(arguments).env("HF_ENDPOINT", origin.url("")).env("HF_TOKEN", token);
    command.env("HF_HOME", home).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn finished(mut command: Command) -> Output {
    tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends").expect("it starts")
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn meshctl_pulls_a_repository_of_a_hub_at_the_commit_that_its_branch_was() {
    bounded(async {
        let (origin, home) = (Origin::start().await, tempfile::tempdir().unwrap());
        let weights = weights(3);
        let files: &[(&str, &[u8])] =
            &[("config.json", b"{}"), ("1_Pooling/config.json", b"{}"), ("model.safetensors", &weights), ("pytorch_model.bin", b"pickle")];
        origin.put_repository("org/name", "main", "c0ffee", files);
        origin.require_token("secret-token");
        let refused = finished(pull(home.path(), &origin, "", &["m", "--from", "hf://org/name"])).await;
        assert!(told(&refused).contains("HF_TOKEN") && refused.status.code() == Some(1), "{refused:?}");
        let output = finished(pull(home.path(), &origin, "secret-token", &["m", "--from", "hf://org/name", "--output", "json"])).await;
        assert!(output.status.success(), "{}", told(&output));
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer[0]["commit"], "c0ffee");
        let model = home.path().join("models/m");
        assert_eq!(fs::read(home.path().join("models/.cache/m/1/model.safetensors")).unwrap(), weights);
        assert!(home.path().join("models/.cache/m/1/1_Pooling/config.json").is_file());
        assert!(!home.path().join("models/.cache/m/1/pytorch_model.bin").exists());
        // The branch moves on; a machine with the lock file gets what the first one got.
        origin.put_repository("org/name", "main", "beef", &[("config.json", b"{\"new\": 1}")]);
        fs::remove_dir_all(home.path().join("models/.cache")).unwrap();
        let output = finished(pull(home.path(), &origin, "secret-token", &["m"])).await;
        assert!(output.status.success(), "{}", told(&output));
        assert_eq!(fs::read(home.path().join("models/.cache/m/1/config.json")).unwrap(), b"{}");
        let written = [model.join("model.toml"), model.join("model.lock")].map(|file| fs::read_to_string(file).unwrap()).concat();
        assert!(written.contains("hf://org/name") && !written.contains("secret"), "{written}");
        assert!(!told(&output).contains("secret"));
    });
}

#[test]
fn a_pull_that_is_killed_in_the_middle_is_resumed_by_the_next() {
    bounded(async {
        let (origin, home) = (Origin::start().await, tempfile::tempdir().unwrap());
        origin.put_repository("org/name", "main", "c0ffee", &[("model.safetensors", &weights(4))]);
        origin.mishap("org/name/resolve/c0ffee/model.safetensors", Mishap::Stalls(700_000));
        let mut child = pull(home.path(), &origin, "", &["m", "--from", "hf://org/name"]).spawn().unwrap();
        let part = home.path().join("models/.cache/m/.1.partial/model.safetensors.part");
        eventually("most of it is on the disk", PATIENCE, async || (fs::metadata(&part).ok()?.len() == 700_000).then_some(())).await;
        child.kill().await.unwrap();
        let output = finished(pull(home.path(), &origin, "", &["m"])).await;
        assert!(output.status.success(), "{}", told(&output));
        assert_eq!(fs::read(home.path().join("models/.cache/m/1/model.safetensors")).unwrap(), weights(4));
        assert_eq!(origin.ranges("org/name/resolve/c0ffee/model.safetensors"), ["", "bytes=700000-"]);
    });
}

fn repository(mesh: &MeshSandbox) -> PathBuf {
    mesh.folder().join("models")
}

async fn answers(mesh: &MeshSandbox, model: &str) -> Result<String, Code> {
    let request = ModelInferRequest { model_name: model.to_owned(), ..client::noop() };
    mesh.inference().model_infer(request).await.map(|answer| answer.into_inner().model_version).map_err(|status| status.code())
}

/// `noop` without a folder of its own: version 1 comes from the server.
fn remote_noop(origin: &Origin, mesh: &MeshSandbox, sha256: &str) {
    let manifest = fs::read_to_string(repository(mesh).join("noop/model.toml")).unwrap();
    let folder = repository(mesh).join("remote");
    fs::create_dir_all(&folder).unwrap();
    let text = format!("{manifest}\n[[source]]\nurl = '{}'\n{sha256}", origin.url("noop/model.pt"));
    fs::write(folder.join("model.draft"), text).unwrap();
    fs::rename(folder.join("model.draft"), folder.join("model.toml")).unwrap();
}

#[test]
fn a_worker_fetches_what_a_manifest_names_and_a_source_that_fails_leaves_what_serves_alone() {
    bounded(async {
        let mesh = MeshSandbox::builder().set("worker", "models_poll", "50ms").model(Model::noop()).start().await;
        let origin = Origin::start().await;
        origin.put("noop/model.pt", fs::read(repository(&mesh).join("noop/1/model.pt")).unwrap());
        origin.set_down(true);
        remote_noop(&origin, &mesh, "");
        let worker = &mesh.workers[0];
        let reason = async || {
            let index = client::inference(worker.addr).repository_index(RepositoryIndexRequest::default()).await.ok()?.into_inner().models;
            index.into_iter().find(|line| line.name == "remote").map(|line| (line.state, line.reason))
        };
        eventually("the source is tried", PATIENCE, async || {
            reason().await.filter(|(state, why)| state == "UNAVAILABLE" && why.contains("503"))
        })
        .await;
        assert_eq!(answers(&mesh, "noop").await.unwrap(), "1", "the others do not notice");
        // It comes back, and nobody has to tell the worker.
        origin.set_down(false);
        eventually("the fetched model answers", PATIENCE, async || answers(&mesh, "remote").await.ok()).await;
        let fetched = worker.metrics().await.count("torchmesh_worker_fetched_bytes_total", &[("model", "remote")]);
        assert!(fetched > 0);
        // A pin that nothing fits: what serves goes on, and the index says why.
        remote_noop(&origin, &mesh, &format!("sha256 = {{ 'model.pt' = '{}' }}", "0".repeat(64)));
        let said = |(state, why): &(String, String)| state == "READY" && why.contains("1/model.pt is not what model.toml says");
        eventually("the index says why", PATIENCE, async || reason().await.filter(said)).await;
        assert_eq!(answers(&mesh, "remote").await.unwrap(), "1");
        let load = RepositoryModelLoadRequest { model_name: "remote".into(), ..Default::default() };
        let refused = client::inference(worker.addr).repository_model_load(load).await.unwrap_err();
        assert!(refused.message().contains("not what model.toml says"), "{refused}");
        assert_eq!(answers(&mesh, "remote").await.unwrap(), "1");
    });
}

/// A file system of its own, as large as said; `None` where this user may not make one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, bytes: usize) -> Option<Self> {
        let made = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "none"]).arg(at).output();
        made.is_ok_and(|made| made.status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).output();
    }
}

#[test]
fn a_full_disk_ends_a_fetch_with_its_reason_and_the_next_one_goes_on() {
    bounded(async {
        let place = Place::new().await;
        let cache = place.folder.path().join("cache");
        fs::create_dir(&cache).unwrap();
        let Some(disk) = SmallDisk::mount(&cache, MEGABYTE / 2) else {
            eprintln!("skipped: only root may mount the small file system that this test fills");
            return;
        };
        place.origin.put("m/model.pt", weights(5));
        place.origin.put("m/config.json", "{}");
        let error = place.fetch(&place.web()).await.unwrap_err().to_string();
        assert!(error.contains("model.pt cannot be written to the cache of models") && error.contains("No space left"), "{error}");
        let grown = std::process::Command::new("mount").args(["-o", "remount,size=8m"]).arg(&disk.0).status().unwrap();
        assert!(grown.success());
        place.fetch(&place.web()).await.unwrap();
        assert_eq!(place.file("cache/1/model.pt"), weights(5));
        assert!(place.origin.ranges("m/model.pt").last().unwrap().starts_with("bytes="), "it went on where it stopped");
    });
}
