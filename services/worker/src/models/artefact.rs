//! Which artefact of a version runs: the original, or the package that was compiled from it.

use std::time::{Duration, Instant};

use crate::{
    engine::{
        EngineSpec,
        aoti::{self, Host, PACKAGE},
    },
    executor::{EngineLoader, warmup},
    manifest::{EngineChoice, Manifest},
};

/// How long one shape is run to learn how long it takes.
const PATIENCE: Duration = Duration::from_millis(300);
/// How much faster a package must be to be preferred: measuring has noise, and the original is the simpler thing to run.
const ADVANTAGE: f64 = 1.03;

/// What runs, and why.
#[derive(Debug)]
pub(super) struct Chosen {
    /// What is loaded.
    pub(super) spec: EngineSpec,
    /// For the log and the model's metadata.
    pub(super) why: String,
    /// Why a package that is there does not run, for whoever looks at the repository index.
    pub(super) passed_over: Option<String>,
}

/// Chooses between `original` and the package beside it. With `engine = "auto"` and a package that fits, both are loaded and timed on the
/// shapes of the warm-up: seconds, so never on the async runtime.
pub(super) fn choose(manifest: &Manifest, original: EngineSpec, load: &EngineLoader) -> Chosen {
    let package = EngineSpec { artefact: original.artefact.with_file_name(PACKAGE), ..original.clone() };
    let because = |spec, why: &str| Chosen { spec, why: why.to_owned(), passed_over: None };
    match manifest.engine {
        EngineChoice::Aoti => return because(package, "model.toml says so"),
        EngineChoice::Auto if package.artefact.is_file() => {}
        EngineChoice::Auto => return because(original, "nothing else is there"),
        EngineChoice::TorchScript | EngineChoice::Native => return because(original, "model.toml says so"),
    }
    if let Err(misfit) = aoti::examine(&package, &Host::here()) {
        return passed_over(original, &misfit.to_string());
    }
    if !original.artefact.is_file() {
        return because(package, "nothing else is there");
    }
    compare(manifest, original, package, load)
}

fn compare(manifest: &Manifest, original: EngineSpec, package: EngineSpec, load: &EngineLoader) -> Chosen {
    let fast = match row_seconds(manifest, &package, load) {
        Ok(fast) => fast,
        Err(reason) => return passed_over(original, &reason),
    };
    let plain = match row_seconds(manifest, &original, load) {
        Ok(plain) => plain,
        Err(reason) => return Chosen { spec: package, why: format!("{} fails: {reason}", name(&original)), passed_over: None },
    };
    let figures =
        format!("{} {:.0} rows/s, {} {:.0} rows/s in the warm-up's shapes", name(&package), 1.0 / fast, name(&original), 1.0 / plain);
    if fast * ADVANTAGE < plain {
        Chosen { spec: package, why: format!("it is faster: {figures}"), passed_over: None }
    } else {
        Chosen { spec: original, why: format!("the compiled package is no faster: {figures}"), passed_over: None }
    }
}

fn passed_over(original: EngineSpec, reason: &str) -> Chosen {
    let reason = format!("{PACKAGE} is passed over: {reason}");
    Chosen { spec: original, why: reason.clone(), passed_over: Some(reason) }
}

fn name(spec: &EngineSpec) -> String {
    spec.artefact.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Seconds for a row: the mean over the shapes of the warm-up, of the best run of each. Loads the model and lets it go again.
pub(crate) fn row_seconds(manifest: &Manifest, spec: &EngineSpec, load: &EngineLoader) -> Result<f64, String> {
    let mut engine = load(spec).map_err(|error| error.to_string())?;
    let shapes = warmup::shapes(manifest);
    let mut total = 0.0;
    for &(rows, length) in &shapes {
        let inputs = warmup::inputs(manifest, rows, length);
        engine.forward(&inputs).map_err(|error| error.to_string())?;
        let (began, mut best) = (Instant::now(), f64::INFINITY);
        while best.is_infinite() || began.elapsed() < PATIENCE {
            let started = Instant::now();
            engine.forward(&inputs).map_err(|error| error.to_string())?;
            best = best.min(started.elapsed().as_secs_f64());
        }
        total += best / rows as f64;
    }
    Ok(total / shapes.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use super::*;
    use crate::{
        engine::{
            Device, Engine, EngineError,
            aoti::{FORMAT, Sidecar, Source, sha256},
        },
        manifest::Published,
        tensor::Tensor,
        testing::ECHO,
    };

    /// Echoes, `rounds` times over.
    struct Echo {
        rounds: usize,
    }

    impl Engine for Echo {
        fn forward(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
            for _ in 1..self.rounds {
                std::hint::black_box(inputs.iter().map(|input| input.data.to_vec()).collect::<Vec<_>>());
            }
            Ok(inputs.to_vec())
        }

        fn platform(&self) -> &'static str {
            "echo"
        }
    }

    /// Packages take `package` rounds, originals 1000; 0 rounds is an engine that cannot be loaded.
    fn loader(package: usize) -> EngineLoader {
        Arc::new(move |spec: &EngineSpec| match if spec.artefact.ends_with(PACKAGE) { package } else { 1000 } {
            0 => Err(EngineError::load(PACKAGE, "no room")),
            rounds => Ok(Box::new(Echo { rounds }) as Box<dyn Engine>),
        })
    }

    fn with_package(folder: &Path, torch: &str) {
        for file in ["model.pt", PACKAGE] {
            std::fs::write(folder.join(file), file).unwrap();
        }
        let host = Host::here();
        let sidecar = Sidecar {
            format: FORMAT,
            torch: if torch.is_empty() { host.torch } else { torch.to_owned() },
            machine: host.machine,
            instructions: host.instructions,
            device: "cpu".into(),
            dtype: "auto".into(),
            source: Source { file: "model.pt".into(), sha256: sha256(&folder.join("model.pt")).unwrap() },
            package: sha256(&folder.join(PACKAGE)).unwrap(),
            inputs: Vec::new(),
            largest_difference: 0.0,
        };
        std::fs::write(Sidecar::path(&folder.join(PACKAGE)), serde_json::to_vec(&sidecar).unwrap()).unwrap();
    }

    fn chosen(folder: &Path, setting: &str, package: usize) -> (String, Chosen) {
        let manifest = Manifest::parse(&format!("{setting}\n{ECHO}"), &Published::default()).unwrap();
        let original = EngineSpec { device: Device::Cpu, ..EngineSpec::new(folder.join("model.pt")) };
        let chosen = choose(&manifest, original, &loader(package));
        (name(&chosen.spec), chosen)
    }

    #[test]
    fn the_faster_of_two_that_fit_runs_and_the_figures_are_said() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(chosen(folder.path(), "", 1).0, "model.pt", "there is no package yet");
        with_package(folder.path(), "");
        let (file, chosen_) = chosen(folder.path(), "", 1);
        assert_eq!(file, PACKAGE);
        assert!(chosen_.why.contains("it is faster: model.pt2 ") && chosen_.why.contains("rows/s"), "{}", chosen_.why);
        let (file, chosen_) = chosen(folder.path(), "", 100_000);
        assert_eq!(file, "model.pt");
        assert!(chosen_.why.contains("no faster") && chosen_.passed_over.is_none(), "{}", chosen_.why);
    }

    #[test]
    fn a_package_that_does_not_fit_or_load_is_passed_over_and_it_is_said() {
        let folder = tempfile::tempdir().unwrap();
        with_package(folder.path(), "");
        let (file, chosen_) = chosen(folder.path(), "", 0);
        assert_eq!(file, "model.pt");
        assert!(chosen_.passed_over.unwrap().contains("model.pt2 is passed over: cannot load model.pt2: no room"));
        with_package(folder.path(), "1.0.0");
        let (file, chosen_) = chosen(folder.path(), "", 1);
        assert_eq!(file, "model.pt");
        assert!(chosen_.passed_over.unwrap().contains("compiled with torch 1.0.0"));
        std::fs::write(folder.path().join("model.pt2.json"), "{").unwrap();
        assert!(chosen(folder.path(), "", 1).1.passed_over.unwrap().contains("model.pt2.json cannot be read"));
    }

    #[test]
    fn the_manifest_has_the_last_word_and_a_lone_package_runs() {
        let folder = tempfile::tempdir().unwrap();
        with_package(folder.path(), "");
        assert_eq!(chosen(folder.path(), "engine = 'torchscript'", 1).0, "model.pt");
        assert_eq!(chosen(folder.path(), "engine = 'aoti'", 100_000).0, PACKAGE);
        std::fs::remove_file(folder.path().join("model.pt")).unwrap();
        assert_eq!(chosen(folder.path(), "", 1).0, PACKAGE);
    }
}
