//! What a package must be to be loaded. Making one that runs needs Python with torch.

use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::engine::{self, Dtype};

/// A folder with a "package" and its sidecar, as `change` leaves it.
fn folder(change: impl FnOnce(&mut Sidecar)) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (package, source) = (folder.path().join(PACKAGE), folder.path().join("model.pt"));
    std::fs::write(&package, "no zip").unwrap();
    std::fs::write(&source, "the source").unwrap();
    let host = Host::here();
    let mut sidecar = Sidecar {
        format: FORMAT,
        torch: host.torch,
        machine: host.machine,
        instructions: host.instructions.into_iter().take(3).collect(),
        device: "cpu".into(),
        dtype: "auto".into(),
        source: Source { file: "model.pt".into(), sha256: sha256(&source).unwrap() },
        package: sha256(&package).unwrap(),
        inputs: Vec::new(),
        largest_difference: 0.0,
    };
    change(&mut sidecar);
    std::fs::write(Sidecar::path(&package), serde_json::to_vec(&sidecar).unwrap()).unwrap();
    (folder, package)
}

fn refusal(change: impl FnOnce(&mut Sidecar)) -> String {
    let (folder, package) = folder(change);
    let error = engine::load(&EngineSpec { device: Device::Cpu, ..EngineSpec::new(&package) }).err().unwrap().to_string();
    assert!(!error.contains(folder.path().to_str().unwrap()), "{error}");
    error
}

#[test]
fn a_package_that_does_not_fit_is_refused_with_the_reason() {
    type Change = fn(&mut Sidecar);
    let cases: [(Change, &str); 8] = [
        (|it| it.torch = "2.10.0".into(), "compiled with torch 2.10.0, and this worker has 2."),
        (|it| it.machine = "aarch64".into(), "compiled for aarch64"),
        (|it| it.instructions.extend(["avx4096".into()]), "lacks: avx4096"),
        (|it| it.device = "cuda".into(), "compiled for cuda, and the model runs on cpu"),
        (|it| it.dtype = "bf16".into(), "dtype = \"bf16\", and model.toml says \"auto\""),
        (|it| it.source.sha256.clear(), "made from another model.pt"),
        (|it| it.package.clear(), "not the file that model.pt2.json describes"),
        (|it| it.format = 2, "its format is 2, not 1"),
    ];
    for (change, want) in cases {
        let said = refusal(change);
        assert!(said.contains(want), "{want:?} is missing in {said}");
    }
}

#[test]
fn a_package_that_is_no_package_is_an_error_that_hides_the_folder() {
    let said = refusal(|_| {});
    assert!(said.starts_with("cannot load model.pt2: ") && !said.contains('\n'), "{said}");
}

#[test]
fn a_package_without_its_sidecar_is_refused() {
    let (_folder, package) = folder(|_| {});
    std::fs::remove_file(Sidecar::path(&package)).unwrap();
    let error = engine::load(&EngineSpec { dtype: Dtype::Auto, device: Device::Cpu, ..EngineSpec::new(&package) }).err().unwrap();
    assert!(error.to_string().contains("model.pt2.json is not beside it"), "{error}");
}

#[test]
fn a_package_whose_source_is_gone_stands_for_itself() {
    let (_folder, package) = folder(|it| it.source.file = "gone.pt".into());
    let spec = EngineSpec { device: Device::Cpu, ..EngineSpec::new(&package) };
    examine(&spec, &Host::here()).unwrap();
}
