//! The models that sandboxes serve: made by the worker itself, once for each build of it.

use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use crate::{places, tiny::Tiny};

/// What a tensor model's manifest says of one tensor: name, datatype, shape.
type TensorLine = (&'static str, &'static str, &'static str);

/// A model of a sandbox: the file that is served and the manifest that it is served by.
#[derive(Debug, Clone)]
pub struct Model {
    /// What it is called.
    pub name: String,
    source: Source,
    manifest: String,
}

#[derive(Debug, Clone)]
enum Source {
    Fixture(&'static str),
    MiniLm,
    Spam,
    Vad,
    Lite,
    Stories,
    SmolLm2,
    Endless,
}

impl Model {
    /// `noop`: gives `INPUT0` (FP32, 256 wide) back as `OUTPUT0`.
    pub fn noop() -> Self {
        Self::fixture("noop", "noop", &[("INPUT0", "FP32", "[-1, 256]")], &[("OUTPUT0", "FP32", "[-1, 256]")])
    }

    /// `wide`: gives `INPUT0` (FP32, of any width) back as `OUTPUT0`.
    pub fn wide() -> Self {
        Self::fixture("wide", "noop", &[("INPUT0", "FP32", "[-1, -1]")], &[("OUTPUT0", "FP32", "[-1, -1]")])
    }

    /// `slow`: computes for as many milliseconds as `INPUT0` (INT64) says, one request after another.
    pub fn slow() -> Self {
        Self::fixture("slow", "slow", &[("INPUT0", "INT64", "[-1, 1]")], &[("OUTPUT0", "INT64", "[-1, 1]")])
            .with("[batching]\nmax_batch = 1")
    }

    /// `fails_on_negative`: gives `INPUT0` (FP32) back, and fails inside the model when one of its numbers is negative.
    pub fn fails_on_negative() -> Self {
        let name = "fails_on_negative";
        Self::fixture(name, name, &[("INPUT0", "FP32", "[-1, 2]")], &[("OUTPUT0", "FP32", "[-1, 2]")])
    }

    /// `tuple`: gives the sum of `a` and `b` (FP32) and their mean, as a tuple.
    pub fn tuple() -> Self {
        let of = |name| (name, "FP32", "[-1, -1]");
        Self::fixture("tuple", "sum_mean", &[of("a"), of("b")], &[of("sum"), of("mean")])
    }

    /// `halve`: gives images (FP32, of any height and width) back at half their size.
    pub fn halve() -> Self {
        let of = |name| (name, "FP32", "[-1, 3, -1, -1]");
        Self::fixture("halve", "halve", &[of("image")], &[of("half")])
    }

    /// `pick`: gives the `values` (FP32) at `index` (INT64), and zero where `keep` (BOOL) says no.
    pub fn pick() -> Self {
        let inputs = [("values", "FP32", "[-1, -1]"), ("index", "INT64", "[-1, 2]"), ("keep", "BOOL", "[-1, 2]")];
        Self::fixture("pick", "pick", &inputs, &[("picked", "FP32", "[-1, 2]")])
    }

    /// `minilm`: the demo model, with the manifest that `make setup` gives it.
    pub fn minilm() -> Self {
        Self::demo("minilm", Source::MiniLm)
    }

    /// `spam`: the demo's classifier of mails, with the manifest that `make setup` gives it, its head trained here on a handful of mails.
    pub fn spam() -> Self {
        Self::demo("spam", Source::Spam)
    }

    /// `vad`: the demo model that hears speech, with the manifest that `make setup` gives it.
    pub fn vad() -> Self {
        Self::demo("vad", Source::Vad)
    }

    /// `efficientnet-lite0`: the demo model that sees, with the manifest that `make setup` gives it.
    pub fn lite() -> Self {
        Self::demo("efficientnet-lite0", Source::Lite)
    }

    /// `stories`: goes on with a story for children; 15 million parameters, 256 tokens of context.
    pub fn stories() -> Self {
        Self::demo("stories", Source::Stories)
    }

    /// `smollm2`: a chat model of 135 million parameters. A template that shows tools as Hermes does lies beside it as `tools.jinja`, for
    /// `chat_template = "tools.jinja"`.
    pub fn smollm2() -> Self {
        Self::demo("smollm2", Source::SmolLm2)
    }

    /// `endless`: writes bytes without a meaning, and has room for 32768 of them.
    pub fn endless() -> Self {
        Self { name: "endless".to_owned(), source: Source::Endless, manifest: "task = \"generate\"\n".to_owned() }
    }

    fn demo(name: &str, source: Source) -> Self {
        let manifest = places::repository().join("setup/models").join(name).join("model.toml");
        let manifest = fs::read_to_string(&manifest).unwrap_or_else(|error| panic!("{}: {error}", manifest.display()));
        Self { name: name.to_owned(), source, manifest }
    }

    fn fixture(name: &str, fixture: &'static str, inputs: &[TensorLine], outputs: &[TensorLine]) -> Self {
        let tables = |kind: &str, lines: &[TensorLine]| {
            let table = |(name, datatype, shape): &TensorLine| {
                format!("[[{kind}]]\nname = \"{name}\"\ndatatype = \"{datatype}\"\nshape = {shape}\n")
            };
            lines.iter().map(table).collect::<String>()
        };
        let manifest = format!("task = \"tensor\"\n{}{}", tables("inputs", inputs), tables("outputs", outputs));
        Self { name: name.to_owned(), source: Source::Fixture(fixture), manifest }
    }

    /// Adds lines to the end of the manifest.
    #[must_use]
    pub fn with(mut self, lines: &str) -> Self {
        self.manifest.push_str(lines);
        self.manifest.push('\n');
        self
    }

    /// Adds lines to the beginning of the manifest, in front of its tables.
    #[must_use]
    pub fn headed(mut self, lines: &str) -> Self {
        self.manifest = format!("{lines}\n{}", self.manifest);
        self
    }

    /// The same model with another manifest.
    #[must_use]
    pub fn described_as(mut self, manifest: &str) -> Self {
        manifest.clone_into(&mut self.manifest);
        self
    }

    /// The same model under another name.
    #[must_use]
    pub fn called(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Puts the model into a model repository, as version 1.
    pub fn install(&self, repository: &Path) {
        let folder = repository.join(&self.name);
        fs::create_dir_all(&folder).expect("a folder for the model");
        fs::write(folder.join("model.toml"), &self.manifest).expect("the manifest");
        self.add_version(repository, 1);
    }

    /// Puts another version of the model, with the same file, into a model repository that has it.
    pub fn add_version(&self, repository: &Path, version: u64) {
        symlink(self.source.version_folder(), repository.join(&self.name).join(version.to_string()))
            .expect("a link to the model's version");
    }
}

impl Source {
    /// The folder with the model file, made now if this build of the worker has not made it yet.
    fn version_folder(&self) -> PathBuf {
        let name = match self {
            Self::Fixture(name) => name,
            Self::MiniLm => "minilm",
            Self::Spam => "spam",
            Self::Vad => "vad",
            Self::Lite => "efficientnet-lite0",
            Self::Stories => "stories",
            Self::SmolLm2 => "smollm2",
            Self::Endless => "endless",
        };
        let all = places::programs().join("test-models");
        let folder = all.join(name);
        fs::create_dir_all(&folder).expect("a folder for the tests' models");
        // Held by one test at a time, whatever process it is in; the others find the model made.
        let lock = File::create(all.join(format!("{name}.lock"))).expect("a lock file");
        lock.lock().expect("the lock");
        let worker = places::program("torchmesh-worker");
        if !is_newer(&folder.join("made"), places::built_at(&worker)) {
            self.make(&worker, &folder);
            fs::write(folder.join("made"), "").expect("a mark that the model is made");
        }
        folder
    }

    fn make(&self, worker: &Path, folder: &Path) {
        let draft = folder.join("model.pt.draft");
        let mut command = Command::new(worker);
        match self {
            Self::Fixture("noop") => command.arg("export-noop"),
            Self::Fixture(name) => command.args(["export-fixture", name]),
            Self::Vad => {
                let weights = "silero_vad.jit";
                fs::copy(fetched("silero-vad").join(weights), folder.join(weights)).expect("the weights");
                return;
            }
            Self::Stories => return link(&fetched("stories15M"), folder, &["model.bin", "tokenizer.bin"]),
            Self::SmolLm2 => {
                fs::write(folder.join("tools.jinja"), include_str!("tools.jinja")).expect("a chat template");
                return link(&fetched("SmolLM2-135M-Instruct"), folder, &["SmolLM2-135M-Instruct.Q4_1.gguf"]);
            }
            Self::Endless => return Tiny::endless().write(folder),
            Self::Lite => {
                let (fetched, weights) = (fetched("efficientnet-lite0"), folder.join("weights.safetensors"));
                fs::copy(fetched.join("labels.json"), folder.join("labels.json")).expect("the names of the classes");
                read_state_dict(&fetched.join("efficientnet-lite0.pth"), &weights);
                command.args(["export-network", "efficientnet-lite0"]).arg(weights)
            }
            Self::Spam => return train(worker, folder),
            Self::MiniLm => {
                let fetched = fetched("all-MiniLM-L6-v2");
                fs::copy(fetched.join("tokenizer.json"), folder.join("tokenizer.json")).expect("the tokenizer");
                command.arg("export").arg(fetched)
            }
        };
        let made = command.arg("--out").arg(&draft).output().expect("the worker can be run");
        assert!(made.status.success(), "the worker cannot make the model: {}", String::from_utf8_lossy(&made.stderr));
        fs::rename(draft, folder.join("model.pt")).expect("the model in its place");
    }
}

/// As `make setup` does it, with fewer mails.
fn train(worker: &Path, folder: &Path) {
    let encoder = fetched("all-MiniLM-L6-v2");
    let files = ["config.json", "model.safetensors", "tokenizer.json", "modules.json", "sentence_bert_config.json", "1_Pooling"];
    link(&encoder, folder, &files);
    let (mails, head) = (folder.join("mails.jsonl"), folder.join("head.safetensors"));
    fs::write(&mails, include_str!("mails.jsonl")).expect("the mails");
    let trained = Command::new(worker).arg("train-head").arg(encoder).arg("--data").arg(mails).arg("--out").arg(head).output();
    let trained = trained.expect("the worker can be run");
    assert!(trained.status.success(), "the worker cannot train: {}", String::from_utf8_lossy(&trained.stderr));
}

/// As `make setup` does it.
fn link(fetched: &Path, folder: &Path, names: &[&str]) {
    for name in names {
        // One of an earlier build.
        let _ = fs::remove_file(folder.join(name));
        symlink(fetched.join(name), folder.join(name)).expect("a link to what was fetched");
    }
}

/// What `make setup` fetched.
fn fetched(item: &str) -> PathBuf {
    let folder = places::cache().join("models").join(item);
    assert!(folder.is_dir(), "{} is not there; run `make setup`, which fetches it", folder.display());
    folder
}

/// As `make setup` does it.
fn read_state_dict(file: &Path, out: &Path) {
    let script = places::repository().join("setup/state_dict.py");
    let made = Command::new("python3").arg(script).arg(file).arg("--out").arg(out).output().expect("Python can be run");
    assert!(made.status.success(), "the state dict cannot be read: {}", String::from_utf8_lossy(&made.stderr));
}

fn is_newer(file: &Path, than: SystemTime) -> bool {
    file.metadata().and_then(|metadata| metadata.modified()).is_ok_and(|made| made > than)
}
