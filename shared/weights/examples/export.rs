//! Writes a published model as a Hugging Face directory: `cargo run --release -p torchmesh-weights --example export -- MODEL FOLDER`.

use std::{env, path::PathBuf, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [model, folder] = arguments.as_slice() else {
        eprintln!("usage: export MODEL FOLDER");
        return ExitCode::from(64);
    };
    let written = torchmesh_weights::open(model).and_then(|model| torchmesh_weights::write_directory(model.as_ref(), folder));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
