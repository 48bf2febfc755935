//! Keeps the registry as the folder and the mesh have it: reads what has changed, and asks the models of what is not ready.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use torchmesh_pipeline::{
    Plan,
    check::{Known, check},
    spec::Target,
};

use crate::{
    folder::{Found, scan},
    mesh::Mesh,
    registry::{Registry, Serving, State, Table, Version},
};

/// How soon the models are asked again of what waits for them.
const SOON: Duration = Duration::from_millis(300);

/// See the module.
#[derive(Debug)]
pub struct Keeper {
    folder: PathBuf,
    registry: Arc<Registry>,
    mesh: Mesh,
}

impl Keeper {
    /// Reads the folder for the first time.
    ///
    /// Errors: it cannot be read.
    pub fn open(folder: PathBuf, registry: Arc<Registry>, mesh: Mesh) -> std::io::Result<Self> {
        let keeper = Self { folder, registry, mesh };
        keeper.registry.store(read(&Table::new(), scan(&keeper.folder)?));
        Ok(keeper)
    }

    /// Looks again and again; `settled` is told after each look, when the states are known.
    pub async fn run(self, every: Duration, settled: impl Fn()) {
        loop {
            match scan(&self.folder) {
                Ok(found) => {
                    let before = self.registry.table();
                    let next = self.asked(read(&before, found)).await;
                    tell(&before, &next);
                    self.registry.store(next);
                }
                Err(error) => {
                    tracing::warn!(folder = %self.folder.display(), %error, "the pipelines cannot be read; those that are known stay");
                }
            }
            settled();
            let waits = self.registry.table().values().flat_map(BTreeMap::values).any(|version| unready(version).is_some());
            tokio::time::sleep(if waits { every.min(SOON) } else { every }).await;
        }
    }

    /// The table after the models of all that is not ready were asked.
    async fn asked(&self, mut table: Table) -> Table {
        let plans: Vec<_> = table.values().flat_map(BTreeMap::values).filter_map(|version| unready(version)).collect();
        let targets: BTreeSet<Target> =
            plans.iter().flat_map(|plan| &plan.pipeline.steps).flat_map(|step| step.targets()).map(|(_, target)| target.clone()).collect();
        let mut known = BTreeMap::new();
        for target in targets {
            let answer = self.mesh.signature(&target).await;
            known.insert(target, answer);
        }
        let models = |target: &Target| known.get(target).cloned().unwrap_or_else(|| Known::Not("was not asked".to_owned()));
        for version in table.values_mut().flat_map(BTreeMap::values_mut) {
            if let Some(plan) = unready(version) {
                let state = state(plan, &models);
                let (name, number, text) = (version.name.clone(), version.version, version.text.clone());
                *version = Arc::new(Version { name, version: number, text, load: fastrand::u64(1..), state });
            }
        }
        table
    }
}

fn unready(version: &Version) -> Option<Arc<Plan>> {
    match &version.state {
        State::Loading(plan) | State::Waiting(plan, _) => Some(Arc::clone(plan)),
        State::Ready(_) | State::Wrong(_) => None,
    }
}

fn state(plan: Arc<Plan>, models: &dyn Fn(&Target) -> Known) -> State {
    match check(&plan, models) {
        Ok(signature) => State::Ready(Arc::new(Serving { plan, signature })),
        Err(problems) => State::Waiting(plan, one_line(&problems.to_string())),
    }
}

/// The table of what is in the folder; what has not changed stays as it was.
fn read(before: &Table, found: Vec<Found>) -> Table {
    let mut table = Table::new();
    for Found { name, version, text } in found {
        let known = before.get(&name).and_then(|versions| versions.get(&version)).filter(|known| known.text == text);
        let entry = known.cloned().unwrap_or_else(|| {
            let state = match text.as_ref().map(|text| Plan::parse(text)) {
                Ok(Ok(plan)) => State::Loading(Arc::new(plan)),
                Ok(Err(problems)) => State::Wrong(one_line(&problems.to_string())),
                Err(reason) => State::Wrong(reason.clone()),
            };
            Arc::new(Version { name: name.clone(), version, text, load: 0, state })
        });
        table.entry(name).or_default().insert(version, entry);
    }
    table
}

/// Logs what is otherwise than before.
fn tell(before: &Table, now: &Table) {
    for version in now.values().flat_map(BTreeMap::values) {
        let earlier = before.get(&version.name).and_then(|versions| versions.get(&version.version));
        if earlier
            .is_some_and(|earlier| earlier.word() == version.word() && earlier.reason() == version.reason() && earlier.text == version.text)
        {
            continue;
        }
        let (pipeline, number, state) = (&version.name, version.version, version.word());
        if let State::Ready(_) = version.state {
            tracing::info!(%pipeline, version = %number, state, "a pipeline can be called");
        } else {
            tracing::warn!(%pipeline, version = %number, state, reason = version.reason(), "a pipeline cannot be called");
        }
    }
}

/// Every mistake in one line, as the protocol's `reason` has it.
fn one_line(problems: &str) -> String {
    problems.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use torchmesh_api::{
        ids::{ModelName, ModelVersion},
        tensor::Datatype,
    };
    use torchmesh_pipeline::{Signature, TensorType, kind::Named};

    use super::*;

    const GOOD: &str = "[[input]]\nname = 'x'\ndatatype = 'FP32'\nshape = [1]\n[[step]]\nname = 'a'\nmodel = 'm'\ninputs = { x = 'input.x' }\n\
        [[output]]\nname = 'y'\nfrom = 'a.y'\n";

    fn found(version: &str, text: &str) -> Found {
        Found { name: ModelName::parse("p").unwrap(), version: ModelVersion::parse(version).unwrap(), text: Ok(text.to_owned()) }
    }

    fn states(table: &Table) -> Vec<(String, String)> {
        table.values().flat_map(BTreeMap::values).map(|version| (version.word().to_owned(), version.reason().to_owned())).collect()
    }

    #[test]
    fn a_version_that_has_not_changed_stays_and_a_wrong_one_says_all_that_is_wrong() {
        let first = read(&Table::new(), vec![found("1", GOOD), found("2", "timeout = 1\nx = 2")]);
        let told = states(&first);
        assert_eq!(told[0], ("LOADING".to_owned(), String::new()));
        assert!(told[1].1.contains("timeout: must be a duration") && told[1].1.contains("; x: is not a setting"), "{told:?}");
        let second = read(&first, vec![found("1", GOOD), found("2", GOOD)]);
        let one = |table: &Table, at: &str| Arc::clone(&table["p"][&ModelVersion::parse(at).unwrap()]);
        assert!(Arc::ptr_eq(&one(&first, "1"), &one(&second, "1")));
        assert_eq!(one(&second, "2").word(), "LOADING");
    }

    #[test]
    fn a_pipeline_waits_for_its_models_and_is_ready_when_they_fit() {
        let plan = Arc::new(Plan::parse(GOOD).unwrap());
        let absent = state(Arc::clone(&plan), &|_| Known::Not("is not in the mesh".to_owned()));
        assert!(matches!(&absent, State::Waiting(_, reason) if reason == "step[0].model: m is not in the mesh"), "{absent:?}");
        let of = |name: &str, shape: i64| vec![Named::new(name, TensorType::new(Datatype::Fp32, [shape]))];
        let fits = |shape| Known::Signature(Arc::new(Signature { inputs: of("x", shape), outputs: of("y", 2) }));
        assert!(matches!(state(Arc::clone(&plan), &|_| fits(1)), State::Ready(serving) if serving.signature.outputs == of("y", 2)));
        assert!(matches!(state(plan, &|_| fits(3)), State::Waiting(..)));
    }
}
