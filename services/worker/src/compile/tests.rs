//! What goes wrong before and after Python, with a program in its place.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use tempfile::TempDir;

use super::*;
use crate::{
    export::{self, Fixture},
    tensor::Tensor,
};

const MANIFEST: &str = "task = 'tensor'\n[[inputs]]\nname = 'x'\ndatatype = 'FP32'\nshape = [-1, 3]\n\
    [[outputs]]\nname = 'y'\ndatatype = 'FP32'\nshape = [-1, 3]\n";

fn repository() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("m/1")).unwrap();
    fs::write(folder.path().join("m/model.toml"), MANIFEST).unwrap();
    export::fixture(Fixture::Noop, &folder.path().join("m/1/model.pt")).unwrap();
    folder
}

/// A program in the place of Python: it has the right torch, and then does what `script` says; `$2` is the plan.
fn python(folder: &Path, script: &str) -> PathBuf {
    let path = folder.join("python");
    let torch = crate::engine::aoti::Host::here().torch;
    fs::write(&path, format!("#!/bin/sh\nif [ \"$1\" = -I ]; then echo {torch}+cpu; exit; fi\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn args(models_dir: &Path, python: PathBuf) -> CompileArgs {
    CompileArgs {
        model: "m".into(),
        models_dir: models_dir.to_owned(),
        version: None,
        python: Some(python),
        cpu: None,
        program: None,
        tolerance: None,
    }
}

#[test]
fn a_model_or_version_that_is_not_there_and_a_wrong_manifest_are_named() {
    let folder = repository();
    let of = |change: fn(&mut CompileArgs)| {
        let mut args = args(folder.path(), "python3".into());
        change(&mut args);
        args.compile().unwrap_err().problem
    };
    assert!(of(|args| args.model = "nobody".into()).contains("nobody is not there"));
    assert!(of(|args| args.version = Some("7".into())).contains("no such version"));
    assert!(of(|args| args.version = Some("x".into())).contains("\"x\" is not a version"));
    assert!(of(|args| args.program = Some("/none.pt2".into())).contains("/none.pt2 is missing"));
    fs::write(folder.path().join("m/model.toml"), "task = 'tenser'").unwrap();
    assert!(of(|_| {}).contains("m/model.toml is wrong"));
}

#[test]
fn a_python_without_the_right_torch_is_refused_with_the_line_that_gets_one() {
    let folder = repository();
    let old = folder.path().join("old");
    fs::write(&old, "#!/bin/sh\necho 1.13.0\n").unwrap();
    fs::set_permissions(&old, fs::Permissions::from_mode(0o755)).unwrap();
    for (python, want) in [(old, "has torch 1.13.0"), ("/no/python".into(), "does not run"), ("true".into(), "has no torch")] {
        let error = args(folder.path(), python).compile().unwrap_err();
        assert!(error.problem.contains(want), "{error}");
        assert!(error.help.unwrap().contains("pip install torch=="), "{want}");
    }
}

#[test]
fn what_python_cannot_do_is_told_in_its_words_and_leaves_no_package() {
    let folder = repository();
    for (script, want) in [
        (r#"echo '{"failed": "no such op", "help": "wait"}'; exit 1"#, "no such op"),
        ("echo 'Segmentation fault' >&2; exit 3", "exit status: 3:\nSegmentation fault"),
        (r#"echo '{"progress": "x"}'; echo noise"#, "Python ended with exit status: 0"),
    ] {
        let error = args(folder.path(), python(folder.path(), script)).compile().unwrap_err();
        assert!(error.problem.contains(want), "{error}");
        assert_eq!(fs::read_dir(folder.path().join("m/1")).unwrap().count(), 1, "the original alone");
    }
}

#[test]
fn a_package_that_cannot_be_loaded_is_not_installed() {
    let folder = repository();
    let script = r#"echo no package > "$(dirname "$2")/model.pt2"
        echo '{"result": {"torch": "TORCH", "machine": "MACHINE", "instructions": [], "inputs": []}}'"#;
    let host = crate::engine::aoti::Host::here();
    let script = script.replace("TORCH", &host.torch).replace("MACHINE", &host.machine);
    let error = args(folder.path(), python(folder.path(), &script)).compile().unwrap_err();
    assert!(error.problem.contains("cannot load model.pt2"), "{error}");
    assert_eq!(fs::read_dir(folder.path().join("m/1")).unwrap().count(), 1, "the original alone");
}

#[test]
#[expect(clippy::float_cmp, reason = "each is a quotient that a float holds exactly")]
fn answers_are_held_against_each_other_where_there_is_no_padding() {
    let mask = Tensor::from_i64s([2, 2], &[1, 1, 1, 0]);
    let of = |values: &[f32]| [Tensor::from_f32s([2, 2, 1], values)];
    let apart = |want: &[f32], have: &[f32]| check::difference(&of(want), &of(have), Some(&mask)).unwrap();
    assert_eq!(apart(&[1.0, 2.0, 4.0, 0.0], &[1.0, 2.0, 3.0, 9.0]), 0.25, "against the largest value; padding does not count");
    assert_eq!(apart(&[0.0, 0.0, 0.5, 0.0], &[0.0, 0.0, 0.0, 0.0]), 0.5, "small values are not blown up");
    assert_eq!(apart(&[1.0, f32::NAN, 1.0, 0.0], &[1.0, f32::NAN, 1.0, 0.0]), 0.0);
    assert_eq!(apart(&[1.0, 1.0, 1.0, 0.0], &[1.0, f32::NAN, 1.0, 0.0]), f32::INFINITY);
    assert!(check::difference(&of(&[0.0; 4]), &[Tensor::from_f32s([4], &[0.0; 4])], None).is_err());
}
