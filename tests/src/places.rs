//! Where the programs, the models and the clients are.

use std::{
    env,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The folder of the built programs: where cargo has put the test that runs.
pub fn programs() -> PathBuf {
    let test = env::current_exe().expect("the path of the running test");
    // target/release/deps/passing_on-1234 → target/release
    test.ancestors().nth(2).expect("cargo puts tests two folders below its target folder").to_owned()
}

/// One of our programs. Panics with what to do when it is not built.
pub fn program(name: &str) -> PathBuf {
    let path = programs().join(name);
    assert!(
        path.is_file(),
        "{} is not built; run `make test`, or `cargo build --release --workspace --bins` before this test",
        path.display()
    );
    path
}

/// When a program was built last.
pub fn built_at(program: &Path) -> SystemTime {
    let built = program.metadata().and_then(|metadata| metadata.modified());
    built.unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the repository")
}

/// Where `make setup` keeps what it fetched: `TORCHMESH_CACHE`, or `torchmesh` in the user's cache.
pub fn cache() -> PathBuf {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("TORCHMESH_CACHE").unwrap_or_else(|| {
        let user = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache"))).expect("HOME is set");
        user.join("torchmesh")
    })
}

/// The environment with the Python clients. Panics with what to do when it is not there.
pub fn clients() -> PathBuf {
    let folder = env::var_os("TORCHMESH_CLIENTS").map_or_else(|| cache().join("clients-venv"), PathBuf::from);
    assert!(
        folder.join("bin/python").exists(),
        "{} has no Python clients; run `make test`, or `make test-clients` before this test",
        folder.display()
    );
    folder
}

/// The folder of the unpacked browser. Panics with what to do when it is not there.
pub fn browser() -> PathBuf {
    let folder = cache().join("browser");
    assert!(folder.join("chromium").exists(), "{} has no browser; run `make test`, or `make browser` before this test", folder.display());
    folder
}
