//! A home of its own with stand-ins for the services, and the `meshctl` under test.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    thread::park_timeout,
    time::{Duration, Instant},
};

use serde_json::Value;

/// How long anything may take; a machine that is busy with a build is slow.
const LIMIT: Duration = Duration::from_secs(60);

/// A mesh's surroundings. Whatever still runs is stopped when this goes away.
pub(crate) struct Stage {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
    began: Instant,
}

/// What a command said, and how it ended.
pub(crate) struct Outcome {
    /// Whether it succeeded.
    pub(crate) ok: bool,
    /// The exit code.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

impl Outcome {
    /// Everything, for a message.
    pub(crate) fn all(&self) -> String {
        format!("code {}\n{}\n{}", self.code, self.out, self.err)
    }
}

impl Stage {
    /// An empty home, three stand-ins, and a gateway on a free port.
    pub(crate) fn new() -> Self {
        let stage = Self { folder: tempfile::tempdir().unwrap(), environment: Vec::new(), began: Instant::now() };
        fs::create_dir(stage.bin_dir()).unwrap();
        for service in ["gateway", "router", "worker"] {
            let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake_service.py");
            symlink(fake, stage.bin_dir().join(format!("torchmesh-{service}"))).unwrap();
        }
        let model = stage.home().join("models/sample");
        fs::create_dir_all(&model).unwrap();
        fs::write(model.join("model.toml"), "task = \"embed\"\n").unwrap();
        stage
    }

    /// Adds an environment variable.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The folder of the stand-ins.
    pub(crate) fn bin_dir(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    /// The mesh's home.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// How long this stage has been up.
    pub(crate) fn took(&self) -> Duration {
        self.began.elapsed()
    }

    /// A program in these surroundings.
    pub(crate) fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("TORCHMESH_HOME", self.home()).env("TORCHMESH_BIN_DIR", self.bin_dir());
        command.env("TORCHMESH_GATEWAY_ADDR", "127.0.0.1:0").env("FAKE_STORY", self.folder.path().join("story"));
        command.env_remove("TORCHMESH_KEY").envs(self.environment.iter().cloned());
        command
    }

    /// `meshctl` with arguments.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(env!("CARGO_BIN_EXE_meshctl"));
        command.args(arguments);
        command
    }

    /// Runs `meshctl` to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        output(&mut self.command(arguments))
    }

    /// Brings the mesh up.
    pub(crate) fn up(&self) {
        self.up_with(&[]);
    }

    /// Brings the mesh up with more arguments.
    pub(crate) fn up_with(&self, arguments: &[&str]) {
        let up = self.run(&[&["up", "--detach"], arguments].concat());
        assert!(up.ok, "{}", up.all());
    }

    /// What is in `run.json`; null while it is absent.
    pub(crate) fn run_file(&self) -> Value {
        fs::read(self.home().join("run.json")).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// How far the mesh is.
    pub(crate) fn state(&self) -> String {
        self.run_file()["meshctl"]["state"].as_str().unwrap_or_default().to_owned()
    }

    /// The processes of the mesh, `meshctl` first.
    pub(crate) fn pids(&self) -> Vec<u64> {
        let run = self.run_file();
        let services = run["services"].as_object().unwrap().values().filter_map(|service| service["pid"].as_u64());
        run["meshctl"]["pid"].as_u64().into_iter().chain(services).collect()
    }

    /// What is in `discovery.toml`.
    pub(crate) fn discovery(&self) -> String {
        fs::read_to_string(self.home().join("discovery.toml")).unwrap_or_default()
    }

    /// What the stand-ins did, in order.
    pub(crate) fn story(&self) -> Vec<String> {
        let story = fs::read_to_string(self.folder.path().join("story")).unwrap_or_default();
        story.lines().map(str::to_owned).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.command(&["down", "--now"]).output();
    }
}

/// Runs a command to its end.
pub(crate) fn output(command: &mut Command) -> Outcome {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Outcome { ok: output.status.success(), code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

/// Whether a process runs; one that ended and was not waited for does not.
pub(crate) fn alive(pid: u64) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// Sends a signal.
pub(crate) fn kill(signal: &str, pid: u64) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

/// Waits until the condition holds.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < LIMIT, "waited in vain: {what}");
        park_timeout(Duration::from_millis(5));
    }
}
