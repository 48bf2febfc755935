//! Several pipelines that may call each other, checked at once.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use torchmesh_settings::Problems;

use crate::{
    check::{Known, check},
    kind::Signature,
    plan::Plan,
    spec::Target,
};

/// Pipelines by their names and versions.
#[derive(Debug, Default)]
pub struct Together {
    plans: BTreeMap<Target, Plan>,
}

/// What the check of one comes to.
pub type Checked = Result<Arc<Signature>, Problems>;

struct Walk<'a> {
    plans: &'a BTreeMap<Target, Plan>,
    others: &'a dyn Fn(&Target) -> Known,
    done: RefCell<BTreeMap<Target, Checked>>,
    /// Those that are being checked, the outermost first.
    way: RefCell<Vec<Target>>,
}

impl Together {
    /// Adds a version of a pipeline; `name` has both.
    pub fn add(&mut self, name: Target, plan: Plan) {
        self.plans.insert(name, plan);
    }

    /// The models that are called and are none of these pipelines.
    pub fn others(&self) -> BTreeSet<Target> {
        let steps = self.plans.values().flat_map(|plan| &plan.pipeline.steps);
        steps
            .flat_map(|step| step.targets())
            .map(|(_, target)| target)
            .filter(|target| find(&self.plans, target).is_none())
            .cloned()
            .collect()
    }

    /// Checks each against the others and against the models that are none of them.
    pub fn check(&self, others: &dyn Fn(&Target) -> Known) -> Vec<(Target, Checked)> {
        let walk = Walk { plans: &self.plans, others, done: RefCell::default(), way: RefCell::default() };
        self.plans.keys().map(|name| (name.clone(), walk.checked(name))).collect()
    }
}

/// The pipeline that a target means: that version, or the newest.
fn find<'a>(plans: &'a BTreeMap<Target, Plan>, target: &Target) -> Option<&'a Target> {
    let fits = |name: &&Target| name.model == target.model && (target.version.is_none() || name.version == target.version);
    plans.keys().rfind(fits)
}

impl Walk<'_> {
    fn checked(&self, name: &Target) -> Checked {
        if let Some(done) = self.done.borrow().get(name) {
            return done.clone();
        }
        self.way.borrow_mut().push(name.clone());
        let result = check(&self.plans[name], &|target| self.known(target)).map(Arc::new);
        self.way.borrow_mut().pop();
        self.done.borrow_mut().insert(name.clone(), result.clone());
        result
    }

    fn known(&self, target: &Target) -> Known {
        let Some(name) = find(self.plans, target) else { return (self.others)(target) };
        if let Some(begin) = self.way.borrow().iter().position(|on_the_way| on_the_way == name) {
            let way = self.way.borrow();
            let names: Vec<_> = way[begin..].iter().chain([name]).map(ToString::to_string).collect();
            return Known::Not(format!("calls itself: {}", names.join(" calls ")));
        }
        match self.checked(name) {
            Ok(signature) => Known::Signature(signature),
            Err(_) => Known::Not("has mistakes of its own".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use torchmesh_api::tensor::Datatype;

    use super::*;
    use crate::{TensorType, kind::Named};

    fn calls(model: &str) -> Plan {
        let text = format!(
            "[[input]]\nname = 'x'\ndatatype = 'FP32'\nshape = [1]\n[[step]]\nname = 'a'\nmodel = '{model}'\ninputs = {{ x = 'input.x' }}\n\
             [[output]]\nname = 'y'\nfrom = 'a.y'\n"
        );
        Plan::parse(&text).unwrap()
    }

    fn model(target: &Target) -> Known {
        if target.model.as_str() != "model" {
            return Known::Not("is not there".to_owned());
        }
        let of = |name: &str| vec![Named::new(name, TensorType::new(Datatype::Fp32, [1]))];
        Known::Signature(Arc::new(Signature { inputs: of("x"), outputs: of("y") }))
    }

    fn report(pipelines: &[(&str, &str)]) -> Vec<String> {
        let mut together = Together::default();
        for (name, calls_whom) in pipelines {
            together.add(name.parse().unwrap(), calls(calls_whom));
        }
        let told = |(name, checked): (Target, Checked)| {
            format!("{name}: {}", checked.map_or_else(|problems| problems.to_string(), |_| "good".to_owned()))
        };
        together.check(&model).into_iter().map(told).collect()
    }

    #[test]
    fn a_pipeline_is_a_model_to_another_one_of_any_order() {
        assert_eq!(
            report(&[("a@1", "b"), ("b@1", "nobody"), ("b@2", "model")]),
            ["a@1: good", "b@1:   step[0].model: nobody is not there", "b@2: good"]
        );
        let mut together = Together::default();
        together.add("a@1".parse().unwrap(), calls("b@3"));
        together.add("b@2".parse().unwrap(), calls("model"));
        assert_eq!(together.others().iter().map(ToString::to_string).collect::<Vec<_>>(), ["b@3", "model"]);
    }

    #[test]
    fn pipelines_that_call_each_other_in_a_circle_are_told_so() {
        let told = report(&[("a@1", "b"), ("b@1", "c"), ("c@1", "a")]);
        assert!(told.iter().any(|line| line.contains("a calls itself: a@1 calls b@1 calls c@1 calls a@1")), "{told:?}");
        assert!(told.iter().all(|line| !line.ends_with("good")));
    }
}
