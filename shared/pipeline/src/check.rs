//! Whether a pipeline and its models fit: every tensor's type followed from the inputs to the outputs, before anything runs.

use std::sync::Arc;

use torchmesh_api::tensor::Datatype;
use torchmesh_settings::{Problem, Problems};

use crate::{
    kind::{ANY, Named, Signature, TensorType, find, names},
    plan::{From, Node, Plan},
    spec::{By, Calls, Choice, Ensemble, Step, Target, Work},
};

/// What is known of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// What it takes and gives.
    Signature(Arc<Signature>),
    /// What it takes and gives as tensors, and behind it in their place: texts or files, and what they mean. What a step names decides.
    Either([Arc<Signature>; 2]),
    /// Why that is not known, as the end of a sentence that begins with its name.
    Not(String),
}

impl Known {
    /// What is known of a model that takes this, and perhaps something else in its place.
    pub fn of(tensors: Signature, content: Option<Signature>) -> Self {
        match content {
            Some(content) => Self::Either([tensors, content].map(Arc::new)),
            None => Self::Signature(Arc::new(tensors)),
        }
    }
}

/// Checks a plan against its models. Gives what the pipeline takes and gives; the error has every mistake.
pub fn check(plan: &Plan, models: &dyn Fn(&Target) -> Known) -> Result<Signature, Problems> {
    let mut check = Check { plan, models, types: vec![Vec::new(); plan.nodes.len()], problems: Vec::new() };
    for at in plan.in_order() {
        check.types[at] = check.node(&plan.nodes[at]);
    }
    let mut outputs = Vec::with_capacity(plan.outputs.len());
    for (at, (output, from)) in plan.pipeline.outputs.iter().zip(&plan.outputs).enumerate() {
        let kind = check.wire(from, &|| format!("output[{at}].from"));
        outputs.extend(kind.map(|kind| Named::new(&output.name, kind)));
    }
    if check.problems.is_empty() { Ok(Signature { inputs: plan.pipeline.inputs.clone(), outputs }) } else { Err(Problems(check.problems)) }
}

struct Check<'a> {
    plan: &'a Plan,
    models: &'a dyn Fn(&Target) -> Known,
    /// Of each node, its outputs'; `None` where a mistake in front of it hides them.
    types: Vec<Vec<Option<TensorType>>>,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn report(&mut self, field: String, message: impl Into<String>) {
        self.problems.push(Problem { field, message: message.into() });
    }

    /// What comes of several places: the type of whichever it is.
    fn wire(&mut self, from: &[From], field: &dyn Fn() -> String) -> Option<TensorType> {
        let kind = |from: &From| match from {
            From::Input(at) => Some(self.plan.pipeline.inputs[*at].kind.clone()),
            From::Output(node, output) => self.types[*node].get(*output).cloned().flatten(),
            From::Constant(tensor) => Some(TensorType::of(tensor)),
        };
        let kinds: Option<Vec<_>> = from.iter().map(kind).collect();
        let mut kinds = kinds?.into_iter();
        let mut all = kinds.next()?;
        for kind in kinds {
            let Some(both) = all.or(&kind) else {
                self.report(field(), format!("comes as {all} from one place and as {kind} from another; they must be alike"));
                return None;
            };
            all = both;
        }
        Some(all)
    }

    fn node(&mut self, node: &Node) -> Vec<Option<TensorType>> {
        let (at, step) = (node.at, self.plan.step(node));
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for (name, from) in &node.inputs {
            inputs.push((name.clone(), self.wire(from, &|| format!("step[{at}].inputs.{name}"))));
        }
        if let Some((from, _)) = &node.when {
            self.single(from, &|| format!("step[{at}].when.value"));
        }
        if let Some(from) = &node.on {
            self.single(from, &|| format!("step[{at}].switch.on"));
        }
        match &step.work {
            Work::Transform(transform) => {
                let known: Option<Vec<_>> = inputs.into_iter().map(|(name, kind)| Some((name, kind?))).collect();
                let Some(known) = known else { return vec![None; node.outputs.len()] };
                match transform.infer(&known) {
                    Ok(kinds) => kinds.into_iter().map(Some).collect(),
                    Err(message) => {
                        self.report(format!("step[{at}].transform"), format!("{} {message}", transform.name()));
                        vec![None; node.outputs.len()]
                    }
                }
            }
            Work::Call(calls) => self.calls(node, step, calls, &inputs),
        }
    }

    /// A value that a choice goes by.
    fn single(&mut self, from: &[From], field: &dyn Fn() -> String) {
        let Some(kind) = self.wire(from, field) else { return };
        if kind.shape.iter().any(|dim| *dim != ANY && *dim != 1) {
            self.report(field(), format!("is {kind}, and a choice goes by a single element; pick one with slice or top_k"));
        }
    }

    fn calls(&mut self, node: &Node, step: &Step, calls: &Calls, inputs: &[(Arc<str>, Option<TensorType>)]) -> Vec<Option<TensorType>> {
        if let Some(map) = &calls.map {
            for (name, kind) in inputs.iter().filter(|(name, _)| map.over.iter().any(|over| **over == **name)) {
                if kind.as_ref().is_some_and(|kind| kind.shape.is_empty()) {
                    self.report(format!("step[{}].map.over", node.at), format!("names {name:?}, which has no dimension to take apart"));
                }
            }
        }
        let mut outputs: Vec<Option<TensorType>> = vec![None; node.outputs.len()];
        let mut known = true;
        for (place, target) in step.targets() {
            let field = format!("step[{}].{place}", node.at);
            let known_as = match (self.models)(target) {
                Known::Signature(signature) => Ok(signature),
                Known::Either([tensors, content]) => {
                    Ok(if inputs.iter().any(|(name, _)| find(&content.inputs, name).is_some()) { content } else { tensors })
                }
                Known::Not(why) => Err(why),
            };
            match known_as {
                Ok(signature) => {
                    self.given(node.at, &field, target, &signature, inputs, calls);
                    known &= self.gives(node, &field, target, &signature, &mut outputs);
                }
                Err(why) => {
                    self.report(field, format!("{target} {why}"));
                    known = false;
                }
            }
        }
        if let Choice::Ensemble(Ensemble { by: By::Mean, .. }) = &calls.choice
            && outputs.iter().flatten().any(|kind| kind.datatype == Datatype::Bytes)
        {
            self.report(format!("step[{}].ensemble.by", node.at), "BYTES have no mean; vote takes them");
        }
        if calls.map.is_some() {
            let rows = outputs.iter_mut().flatten().filter_map(|kind| kind.shape.first_mut());
            rows.for_each(|rows| *rows = ANY);
        }
        if known { outputs } else { vec![None; node.outputs.len()] }
    }

    /// Adds what a model gives of what is wanted; `false` where it does not give all of it.
    fn gives(&mut self, node: &Node, field: &str, target: &Target, signature: &Signature, sums: &mut [Option<TensorType>]) -> bool {
        let mut all = true;
        for (name, sum) in node.outputs.iter().zip(sums) {
            let Some(kind) = find(&signature.outputs, name) else {
                self.report(field.to_owned(), format!("{target} gives no {name:?}; it gives {}", names(&signature.outputs)));
                all = false;
                continue;
            };
            let both = sum.as_ref().map_or_else(|| Some(kind.clone()), |sum| sum.or(kind));
            if both.is_some() {
                *sum = both;
            } else {
                self.report(field.to_owned(), format!("{target} gives {name:?} as {kind}, and another model of this step otherwise"));
            }
        }
        all
    }

    /// Holds what a step gives a model against what the model takes.
    fn given(
        &mut self,
        at: usize,
        field: &str,
        target: &Target,
        signature: &Signature,
        inputs: &[(Arc<str>, Option<TensorType>)],
        calls: &Calls,
    ) {
        for wanted in &signature.inputs {
            if !inputs.iter().any(|(name, _)| **name == *wanted.name) {
                self.report(field.to_owned(), format!("{target} needs {:?}, {}; add it to the inputs", wanted.name, wanted.kind));
            }
        }
        for (name, kind) in inputs {
            let Some(wanted) = find(&signature.inputs, name) else {
                let message = format!("{target} takes no {name:?}; it takes {}", names(&signature.inputs));
                self.report(format!("step[{at}].inputs.{name}"), message);
                continue;
            };
            let Some(mut kind) = kind.clone() else { continue };
            if let Some(map) = calls.map.as_ref().filter(|map| map.over.iter().any(|over| **over == **name))
                && let Some(rows) = kind.shape.first_mut()
            {
                *rows = if map.rows == 1 { 1 } else { ANY };
            }
            if !wanted.takes(&kind) {
                self.report(format!("step[{at}].inputs.{name}"), format!("is {kind}, and {target} takes {wanted}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use torchmesh_api::tensor::Datatype::{Bytes, Fp32, Fp64, Int64};

    use super::*;

    fn models(target: &Target) -> Known {
        let of = |inputs: &[(&str, TensorType)], outputs: &[(&str, TensorType)]| {
            let named = |all: &[(&str, TensorType)]| all.iter().map(|(name, kind)| Named::new(*name, kind.clone())).collect();
            Known::Signature(Arc::new(Signature { inputs: named(inputs), outputs: named(outputs) }))
        };
        match target.to_string().as_str() {
            "score" => of(&[("x", TensorType::new(Fp32, [-1, 4]))], &[("y", TensorType::new(Fp32, [-1, 2]))]),
            "wide" => of(&[("x", TensorType::new(Fp32, [-1, 4]))], &[("y", TensorType::new(Fp32, [-1, 3]))]),
            "other" => {
                of(&[("x", TensorType::new(Fp32, [-1, 4])), ("z", TensorType::new(Int64, [1]))], &[("y", TensorType::new(Fp64, [1]))])
            }
            "read" => {
                let signature = |inputs: &[(&str, TensorType)], outputs: &[(&str, TensorType)]| match of(inputs, outputs) {
                    Known::Signature(signature) => Arc::unwrap_or_clone(signature),
                    other => panic!("{other:?}"),
                };
                let tensors = signature(&[("x", TensorType::new(Fp32, [-1, 4]))], &[("logits", TensorType::new(Fp32, [-1, 2]))]);
                let content = signature(&[("text", TensorType::new(Bytes, [-1]))], &[("label", TensorType::new(Bytes, [-1, -1]))]);
                Known::of(tensors, Some(content))
            }
            "say" => of(&[("x", TensorType::new(Fp32, [-1, 2]))], &[("text", TensorType::new(Bytes, [-1]))]),
            _ => Known::Not("is not there".to_owned()),
        }
    }

    fn checked(text: &str) -> Result<Signature, String> {
        let text = format!("[[input]]\nname = 'x'\ndatatype = 'FP32'\nshape = [-1, 4]\n{text}");
        check(&Plan::parse(&text).unwrap_or_else(|problems| panic!("{problems}")), &models).map_err(|problems| problems.to_string())
    }

    #[test]
    fn types_are_followed_from_the_inputs_to_the_outputs() {
        let signature = checked(
            "[[step]]\nname = 'a'\nmodel = 'score'\nfallback = ['wide']\ninputs = { x = 'input.x' }\nmap = { over = ['x'] }\n\
             [[step]]\nname = 'b'\ntransform = 'top_k'\nk = 1\ninputs = { x = ['a.y', { datatype = 'FP32', shape = [1, 2], data = [0, 1] }] }\n\
             [[output]]\nname = 'best'\nfrom = 'b.indices'\n",
        );
        assert_eq!(signature.unwrap().outputs, [Named::new("best", TensorType::new(Int64, [-1, 1]))]);
    }

    #[test]
    fn a_model_is_asked_by_its_tensors_or_by_what_they_are_made_of() {
        let step = |inputs: &str, output: &str| {
            let words = "{ datatype = 'BYTES', shape = [1], data = ['a'] }";
            let inputs = inputs.replace("WORDS", words);
            // Another step has something to do with the input in any case.
            checked(&format!(
                "[[step]]\nname = 'a'\nmodel = 'read'\ninputs = {{ {inputs} }}\n[[output]]\nname = 'y'\nfrom = 'a.{output}'\n\
                 [[step]]\nname = 'b'\nmodel = 'score'\ninputs = {{ x = 'input.x' }}\n[[output]]\nname = 'z'\nfrom = 'b.y'\n"
            ))
        };
        assert_eq!(step("x = 'input.x'", "logits").unwrap().outputs[0], Named::new("y", TensorType::new(Fp32, [-1, 2])));
        assert_eq!(step("text = WORDS", "label").unwrap().outputs[0], Named::new("y", TensorType::new(Bytes, [-1, -1])));
        let report = step("text = WORDS, x = 'input.x'", "logits").unwrap_err();
        assert!(report.contains("read takes no \"x\"; it takes text") && report.contains("it gives label"), "{report}");
    }

    #[test]
    fn every_mistake_is_in_one_report() {
        let report = checked(
            "[[step]]\nname = 'a'\nmodel = 'score'\nfallback = ['other', 'nobody@3']\ninputs = { x = 'input.x' }\n\
             [[step]]\nname = 'b'\nmodel = 'say'\ninputs = { x = 'input.x', q = 'input.x' }\n\
             [[step]]\nname = 'c'\ntransform = 'json'\npick = '/a'\nto = 'FP32'\ninputs = { x = 'input.x' }\n\
             [[step]]\nname = 'd'\nensemble = { models = ['say', 'say'], by = 'mean' }\nwhen = { value = 'input.x', is = 1 }\n\
             inputs = { x = { datatype = 'FP32', shape = [1, 2], data = [0, 1] } }\n\
             [[output]]\nname = 'p'\nfrom = 'a.y'\n[[output]]\nname = 'q'\nfrom = 'b.word'\n[[output]]\nname = 'r'\nfrom = 'c.out'\n\
             [[output]]\nname = 's'\nfrom = ['d.text', 'input.x']\n",
        )
        .unwrap_err();
        for part in [
            "step[0].fallback[0]: other needs \"z\", INT64 [1]",
            "step[0].fallback[0]: other gives \"y\" as FP64 [1], and another model of this step otherwise",
            "step[0].fallback[1]: nobody@3 is not there",
            "step[1].inputs.x: is FP32 [-1, 4], and say takes FP32 [-1, 2]",
            "step[1].inputs.q: say takes no \"q\"; it takes x",
            "step[1].model: say gives no \"word\"; it gives text",
            "step[2].transform: json takes BYTES with JSON texts, not FP32",
            "step[3].when.value: is FP32 [-1, 4], and a choice goes by a single element",
            "step[3].ensemble.by: BYTES have no mean",
            "output[3].from: comes as BYTES [-1] from one place and as FP32 [-1, 4] from another",
        ] {
            assert!(report.contains(part), "{part:?} is missing in:\n{report}");
        }
    }
}
