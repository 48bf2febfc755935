//! Pipelines from an operator's command line.

use std::fs;

use serde_json::{Value, json};
use torchmesh_tests::{KEY, MeshSandbox, bounded, ledger::meshctl, models::Model};

use super::{X, mesh, output, passes_on, step};

pub(super) struct Operator {
    address: String,
    key: String,
}

impl Operator {
    pub(super) fn of(mesh: &MeshSandbox) -> Self {
        let key = mesh.folder().join("own.key");
        fs::write(&key, KEY).unwrap();
        Self { address: mesh.gateway().to_string(), key: key.display().to_string() }
    }

    pub(super) fn says(&self, words: &[&str]) -> (bool, String) {
        meshctl(&[&["pipeline"], words, &["--gateway", &self.address, "--key-file", &self.key]].concat())
    }
}

#[test]
fn a_pipeline_is_linted_against_the_mesh_with_every_mistake_and_run_as_a_caller_would() {
    bounded(async {
        let mesh = mesh([Model::wide()], &[("echo/1", &passes_on("wide"))]).await;
        let (operator, folder) = (Operator::of(&mesh), tempfile::tempdir().unwrap());
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let good = write("inner/1.toml", &passes_on("wide"));
        write("outer/1.toml", &[X, &step("a", "inner", "x = 'input.x'", ""), &output("y", "'a.y'")].concat());
        let (content, said) = operator.says(&["lint", &folder.path().display().to_string()]);
        assert!(content && said.contains("gives y FP32 [-1, -1]"), "{said}");
        write(
            "outer/2.toml",
            &[X, &step("a", "inner", "z = 'input.x'", ""), &step("b", "nobody", "x = 'input.x'", ""), &output("y", "'a.w'")].concat(),
        );
        let (content, said) = operator.says(&["lint", &folder.path().display().to_string(), "--output", "json"]);
        assert!(!content, "{said}");
        assert!(said.contains("\\\"b\\\" is for nothing"), "{said}");
        write(
            "outer/2.toml",
            &[
                X,
                &step("a", "inner", "z = 'input.x'", ""),
                &step("b", "nobody", "x = 'input.x'", ""),
                &output("y", "'a.w'"),
                &output("v", "'b.v'"),
            ]
            .concat(),
        );
        let (content, said) = operator.says(&["lint", &folder.path().display().to_string()]);
        assert!(!content && said.contains("4 mistakes"), "{said}");
        for part in ["inner needs \"x\"", "inner takes no \"z\"", "inner gives no \"w\"; it gives y", "nobody is not there"] {
            assert!(said.contains(part), "{part:?} is missing in:\n{said}");
        }
        let (content, drawn) = meshctl(&["pipeline", "draw", &good]);
        assert!(content && drawn.starts_with("flowchart LR\n") && drawn.contains("s0[\"only<br/>wide\"]"), "{drawn}");
        let (content, drawn) = meshctl(&["pipeline", "draw", &good, "--svg"]);
        assert!(content && drawn.starts_with("<svg ") && drawn.trim_end().ends_with("</svg>"), "{drawn}");
        let (content, said) = operator.says(&["run", "echo", "x=[[1, 2.5]]", "--output", "json"]);
        assert!(content, "{said}");
        let answer: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(answer, json!({ "y": { "datatype": "FP32", "shape": [1, 2], "value": [[1, 2.5]] } }));
        let (content, said) = operator.says(&["run", "echo", "q=1"]);
        assert!(!content && said.contains("echo takes no q; it takes x"), "{said}");
    });
}
