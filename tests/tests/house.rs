//! The rules of the house, read from `cargo metadata`: who may depend on whom, where libtorch may be, and how nothing is called.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Where a package of ours lives; arrows go to a later layer only, or stay among `shared` and `services` as the tests below allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    /// `tests/` and `benches/`.
    Top,
    /// `services/*`.
    Services,
    /// `clients/*`: what others build on.
    Clients,
    /// `shared/*`, without the floor.
    Shared,
    /// `shared/api`, `shared/retry`, `shared/settings` and `shared/wire`: what the other shared crates may stand on.
    Floor,
}

struct Package {
    layer: Layer,
    /// Direct dependencies of every kind (normal, dev, build).
    dependencies: BTreeSet<String>,
}

/// Every package of the workspace, by name.
fn workspace() -> BTreeMap<String, Package> {
    let metadata = cargo_metadata();
    let root = PathBuf::from(metadata["workspace_root"].as_str().unwrap());
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().map(|package| (text(&package["name"]), read(package, &root))).collect()
}

fn cargo_metadata() -> Value {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let arguments = ["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path", manifest];
    let output = Command::new(env!("CARGO")).args(arguments).output().unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn read(package: &Value, root: &Path) -> Package {
    let manifest = PathBuf::from(text(&package["manifest_path"]));
    let folder = manifest.parent().unwrap().strip_prefix(root).unwrap();
    let dependencies = package["dependencies"].as_array().unwrap().iter().map(|dependency| text(&dependency["name"])).collect();
    Package { layer: layer(folder), dependencies }
}

fn layer(folder: &Path) -> Layer {
    match folder.components().next().and_then(|first| first.as_os_str().to_str()) {
        _ if ["shared/api", "shared/retry", "shared/settings", "shared/wire"].map(Path::new).contains(&folder) => Layer::Floor,
        Some("shared") => Layer::Shared,
        Some("services") => Layer::Services,
        Some("clients") => Layer::Clients,
        Some("tests" | "benches") => Layer::Top,
        _ => panic!("{} is in none of shared/, services/, clients/, tests/, benches/", folder.display()),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Every arrow between two packages of ours: (from, its layer, to, its layer).
fn arrows(packages: &BTreeMap<String, Package>) -> Vec<(&str, Layer, &str, Layer)> {
    let ours = |(name, from): (&'_ String, &'_ Package)| {
        let (name, layer) = (packages.get_key_value(name).unwrap().0.as_str(), from.layer);
        let targets = packages.iter().filter(|(to, _)| from.dependencies.contains(*to));
        targets.map(move |(to, target)| (name, layer, to.as_str(), target.layer)).collect::<Vec<_>>()
    };
    packages.iter().flat_map(ours).collect()
}

#[test]
fn the_workspace_was_read() {
    let packages = workspace();
    for name in ["torchmesh-api", "torchmesh-gateway", "torchmesh-router", "torchmesh-worker", "torchmesh-meshctl", "torchmesh-tests"] {
        assert!(packages.contains_key(name), "{name} is missing; were the rules checked against the right workspace?");
    }
    assert!(!arrows(&packages).is_empty());
}

#[test]
fn arrows_point_down() {
    for (from, from_layer, to, to_layer) in arrows(&workspace()) {
        assert!(from_layer <= to_layer, "{from} ({from_layer:?}) depends on {to} ({to_layer:?}), which stands above it");
    }
}

#[test]
fn services_never_import_each_other() {
    for (from, from_layer, to, to_layer) in arrows(&workspace()) {
        let both = from_layer == Layer::Services && to_layer == Layer::Services;
        assert!(!both, "{from} depends on {to}: services meet in proto/, not in code");
    }
}

#[test]
fn shared_crates_import_the_floor_only() {
    for (from, from_layer, to, to_layer) in arrows(&workspace()) {
        let both = from_layer == to_layer && matches!(to_layer, Layer::Shared | Layer::Floor);
        assert!(!both, "{from} depends on {to}: a service's lib.rs joins them");
    }
}

#[test]
fn clients_import_the_floor_only_and_nothing_of_the_mesh_imports_them() {
    let packages = workspace();
    assert!(packages.values().any(|package| package.layer == Layer::Clients), "there are clients in this workspace");
    for (from, from_layer, to, to_layer) in arrows(&packages) {
        assert!(
            from_layer != Layer::Clients || to_layer == Layer::Floor,
            "{from} depends on {to}: who calls the mesh would have to build it"
        );
        assert!(
            to_layer != Layer::Clients || from_layer == Layer::Top,
            "{from} depends on {to}: services speak to each other by shared/relay"
        );
    }
}

#[test]
fn only_the_worker_knows_libtorch() {
    for (name, package) in workspace() {
        if name == "torchmesh-worker" {
            continue;
        }
        for library in ["tch", "torch-sys"] {
            assert!(!package.dependencies.contains(library), "{name} depends on {library}; only the worker may");
        }
    }
}

#[test]
fn nothing_in_the_build_of_meshctl_needs_libtorch() {
    let packages = workspace();
    let mut seen = BTreeSet::new();
    let mut open = vec!["torchmesh-meshctl".to_owned()];
    while let Some(name) = open.pop() {
        assert!(!["torchmesh-worker", "tch", "torch-sys"].contains(&name.as_str()), "meshctl reaches {name}");
        let Some(package) = packages.get(&name) else { continue };
        if seen.insert(name) {
            open.extend(package.dependencies.iter().cloned());
        }
    }
}

#[test]
fn nothing_has_a_name_that_says_nothing() {
    let empty = ["common", "core", "utils", "util", "helpers", "helper", "manager", "misc"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = Vec::new();
    for folder in ["shared", "services", "clients", "tests", "benches", "proto", "setup"] {
        collect(&root.join(folder), &|stem| empty.contains(&stem), &mut found);
    }
    assert!(found.is_empty(), "say what is inside instead: {found:?}");
}

/// Every file and folder under `folder` whose name, without its ending, is `wanted`.
fn collect(folder: &Path, wanted: &dyn Fn(&str) -> bool, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if wanted(stem) {
            found.push(path.clone());
        }
        if path.is_dir() && !stem.starts_with('.') && stem != "target" {
            collect(&path, wanted, found);
        }
    }
}

#[test]
fn every_member_takes_its_versions_lints_and_edition_from_the_workspace() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let metadata = cargo_metadata();
    for package in metadata["packages"].as_array().unwrap() {
        let manifest = std::fs::read_to_string(text(&package["manifest_path"])).unwrap();
        let name = text(&package["name"]);
        assert!(manifest.contains("[lints]\nworkspace = true"), "{name} does not take the workspace's lints");
        assert!(manifest.contains("edition.workspace = true"), "{name} has an edition of its own");
        let version = manifest.lines().find(|line| line.starts_with(|c: char| c.is_ascii_lowercase()) && line.contains("= { version"));
        assert_eq!(version, None, "{name} pins a version of its own; put it into [workspace.dependencies]");
    }
    assert!(root.join("Cargo.lock").is_file(), "the lock file belongs to the repository");
}

#[test]
fn a_file_of_code_stays_readable_in_one_sitting() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for folder in ["shared", "services", "clients", "tests", "benches"] {
        collect(&root.join(folder), &|_| true, &mut files);
    }
    let rust = files.iter().filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    let lines = |path: &Path| std::fs::read_to_string(path).unwrap().lines().count();
    let long: Vec<_> = rust.map(|path| (lines(path), path)).filter(|&(count, _)| count > 500).collect();
    assert!(long.is_empty(), "the aim is 300 lines, the limit 500: {long:?}");
}

/// The kinds of the blocks in the docs of a file's items, such as `toml`; of code in Rust, nothing or what `rustdoc` is told of it.
fn blocks(source: &str) -> Vec<String> {
    let docs = source.lines().filter_map(|line| line.trim_start().strip_prefix("///").or_else(|| line.trim_start().strip_prefix("//!")));
    let fences = docs.filter_map(|line| line.trim_start().strip_prefix("```"));
    fences.step_by(2).map(str::to_owned).collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let (folders, files): (Vec<_>, Vec<_>) =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).partition(|path| path.is_dir());
    let own = files.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
    own.chain(folders.iter().flat_map(|folder| sources(folder))).collect()
}

#[test]
fn code_in_docs_is_compiled() {
    for package in cargo_metadata()["packages"].as_array().unwrap() {
        let targets = package["targets"].as_array().unwrap();
        let Some(library) = targets.iter().find(|target| target["kind"][0] == "lib") else { continue };
        if library["doctest"] == true {
            continue;
        }
        let folder = PathBuf::from(text(&package["manifest_path"])).with_file_name("src");
        for file in sources(&folder) {
            let code = blocks(&fs::read_to_string(&file).unwrap())
                .into_iter()
                .find(|kind| !["text", "toml", "json", "sh"].contains(&kind.as_str()));
            assert_eq!(code, None, "{}: doctest = false in its Cargo.toml would leave it unread", file.display());
        }
    }
}
