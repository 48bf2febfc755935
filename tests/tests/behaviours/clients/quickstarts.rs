//! The clients that `make clients` makes: each guide in `docs/clients` shows the program that is tried, and what that prints.

use std::{
    fs,
    io::{self, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::process::Command;
use torchmesh_tests::{KEY, MeshSandbox, bounded_by, models::Model, places, python::run_within, tls::Certificate};

/// Compiling included, where `make quickstarts` has not done that.
const BOUND: Duration = Duration::from_secs(300);

/// The quickstart of a language.
struct Quickstart {
    language: &'static str,
    /// Its source, in `clients/` and as the guide calls its language.
    source: (&'static str, &'static str),
    /// What the guide runs it with, in the client's folder.
    command: &'static [&'static str],
}

const PYTHON: Quickstart = Quickstart {
    language: "python",
    source: ("python/quickstart.py", "python"),
    // The environment that the package was installed into.
    command: &[".venv/bin/python", "quickstart.py"],
};

const GO: Quickstart = Quickstart { language: "go", source: ("go/quickstart/main.go", "go"), command: &["go", "run", "./quickstart"] };

const TYPESCRIPT: Quickstart =
    Quickstart { language: "typescript", source: ("typescript/quickstart.ts", "ts"), command: &["npm", "run", "-s", "quickstart"] };

const JAVA: Quickstart = Quickstart {
    language: "java",
    source: ("java/src/test/java/Quickstart.java", "java"),
    command: &["mvn", "-q", "test-compile", "exec:java"],
};

impl Quickstart {
    fn guide(&self) -> String {
        let path = places::repository().join("docs/clients").join(self.language).with_extension("md");
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// What the guide says that it prints.
    fn printed(&self) -> String {
        let guide = self.guide();
        let shown = guide.split("```").find(|block| block.starts_with("\nembedding: "));
        shown.expect("the guide shows what is printed").trim().to_owned()
    }

    /// Where the client is; none where its tools are not installed. Panics with what to do where no client was made.
    fn folder(&self) -> Option<PathBuf> {
        let made = |language| {
            Some(places::programs().with_file_name("clients").join(language)).filter(|folder| folder.join(".made-from").is_file())
        };
        // Nothing has to be installed for it.
        assert!(made(PYTHON.language).is_some(), "there are no clients; run `make test`, or `make quickstarts` before this test");
        let folder = made(self.language);
        if folder.is_none() {
            // Not by a macro, which would be heard only where the test fails.
            let _ = writeln!(io::stderr(), "skipped: the {} client is not there; `make quickstarts` says what it lacks", self.language);
        }
        folder
    }

    /// Runs it against a gateway, and looks whether it does as the guide says.
    async fn is_content_with(&self, folder: &Path, gateway: SocketAddr, authority: Option<&str>) {
        // A program of the client's own folder, or one of the path.
        let own = folder.join(self.command[0]);
        let mut command = Command::new(if own.is_file() { own.into_os_string() } else { self.command[0].into() });
        command.args(&self.command[1..]).current_dir(folder).env("TORCHMESH_KEY", KEY).env_remove("TORCHMESH_CA");
        match authority {
            Some(file) => command.env("TORCHMESH_URL", format!("https://localhost:{}", gateway.port())).env("TORCHMESH_CA", file),
            None => command.env("TORCHMESH_URL", format!("http://{gateway}")),
        };
        let (printed, wanted) = (run_within(command, BOUND).await, self.printed());
        assert!(printed.contains(&wanted), "the guide says:\n{wanted}\n\nit prints:\n{printed}");
    }

    /// The same through plain text and through TLS.
    fn does_as_its_guide_says(&self) {
        let Some(folder) = self.folder() else { return };
        bounded_by(BOUND, async {
            let mesh = MeshSandbox::with([Model::minilm(), Model::smollm2()]).await;
            self.is_content_with(&folder, mesh.gateway(), None).await;
            let secured = MeshSandbox::builder().router_at(mesh.routers[0].addr);
            let certificate = Certificate::make(mesh.folder());
            let secured = secured.set("gateway", "tls.cert", &certificate.cert).set("gateway", "tls.key", &certificate.key);
            let secured = secured.start().await;
            self.is_content_with(&folder, secured.gateway(), Some(&certificate.cert)).await;
        });
    }
}

#[test]
fn each_guide_shows_the_program_that_is_tried() {
    for quickstart in [PYTHON, GO, TYPESCRIPT, JAVA] {
        let (path, language) = quickstart.source;
        let program = fs::read_to_string(places::repository().join("clients").join(path)).unwrap();
        let shown = quickstart.guide().contains(&format!("```{language}\n{program}```"));
        assert!(shown, "docs/clients/{}.md does not show clients/{path} as it is", quickstart.language);
    }
}

#[test]
fn the_python_quickstart_does_as_its_guide_says() {
    PYTHON.does_as_its_guide_says();
}

#[test]
fn the_go_quickstart_does_as_its_guide_says() {
    GO.does_as_its_guide_says();
}

#[test]
fn the_typescript_quickstart_does_as_its_guide_says() {
    TYPESCRIPT.does_as_its_guide_says();
}

#[test]
fn the_java_quickstart_does_as_its_guide_says() {
    JAVA.does_as_its_guide_says();
}
