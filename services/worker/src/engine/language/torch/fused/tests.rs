//! The kernels on an emulated GPU: there is none where these tests run.

use std::{path::Path, process::Command};

use crate::engine::kernels::TOKENS_OF_BLOCK;

/// Number format, heads of queries and of keys, their size, whether norms have a mean, activation, and the values of a token between and in the layers.
const MODELS: [[usize; 8]; 6] = [
    [0, 4, 2, 16, 0, 3, 40, 72],
    [2, 6, 1, 64, 0, 3, 296, 264],
    [1, 4, 4, 48, 1, 1, 304, 256],
    [2, 8, 2, 80, 1, 2, 256, 64],
    [2, 2, 1, 256, 0, 4, 512, 264],
    [1, 2, 1, 8, 0, 0, 24, 16],
];

/// What the test says when it is compiled for a model and run on this machine's processor.
fn emulated([kind, heads, kv_heads, size, layer_norm, activation, hidden, inner]: [usize; 8], folder: &Path) -> String {
    let defined = [
        ("KIND", kind),
        ("HEADS", heads),
        ("KV_HEADS", kv_heads),
        ("SIZE", size),
        ("LAYER_NORM", layer_norm),
        ("ACTIVATION", activation),
        ("HIDDEN", hidden),
        ("INNER", inner),
        ("TOKENS_OF_BLOCK", TOKENS_OF_BLOCK),
        ("PRODUCTS", usize::from(kind != 0)),
    ];
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine/language/torch/fused/kernels_test.cpp");
    let program = folder.join(format!("{kind}-{heads}-{size}"));
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let mut compile = Command::new(compiler);
    compile.args(["-std=c++17", "-O1", "-w"]).args(defined.map(|(name, value)| format!("-D{name}={value}"))).arg(&source);
    let compiled = compile.arg("-o").arg(&program).output().unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    String::from_utf8(Command::new(program).output().unwrap().stdout).unwrap()
}

#[test]
fn each_kernel_gives_on_an_emulated_gpu_what_plain_loops_give() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for model in MODELS {
            let folder = folder.path();
            scope.spawn(move || assert_eq!(emulated(model, folder), "0 wrong\n", "{model:?}"));
        }
    });
}
