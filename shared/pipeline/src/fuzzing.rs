//! What the fuzz target of pipelines holds this crate to (`fuzz/`); it is in no build but that and the tests'.
#![allow(clippy::missing_panics_doc, reason = "a panic is how a broken promise is told")]

use std::{collections::BTreeSet, sync::Arc};

use torchmesh_api::tensor::{Datatype, Tensor, bytes_elements};

use crate::{
    Plan, Problems, Signature, TensorType,
    check::{Known, check},
    draw::{mermaid, svg},
    kind::{ANY, Named},
    plan::From,
    spec::Target,
};

/// A pipeline's file: what is taken runs in an order in which nothing waits for what stands behind it, is drawn in documents that are well-formed, and takes and gives what it
/// says, whatever its models are like; every mistake of what is not has a place and a remedy.
pub fn pipeline(file: &[u8]) {
    let Ok(text) = str::from_utf8(file) else { return };
    let plan = match Plan::parse(text) {
        Ok(plan) => plan,
        Err(problems) => return told(&problems),
    };
    in_order(&plan);
    assert!(
        mermaid(&plan).lines().all(|line| line.matches('"').count() % 2 == 0 && !line.contains(char::is_control)),
        "{}",
        mermaid(&plan)
    );
    well_formed(&svg(&plan));
    match check(&plan, &|target| invented(&plan, target)) {
        Ok(signature) => {
            assert_eq!(signature.inputs, plan.pipeline.inputs);
            let names = |all: &[Named]| all.iter().map(|output| output.name.clone()).collect::<Vec<_>>();
            assert_eq!(names(&signature.outputs), plan.pipeline.outputs.iter().map(|output| output.name.clone()).collect::<Vec<_>>());
        }
        Err(problems) => told(&problems),
    }
}

fn told(problems: &Problems) {
    assert!(!problems.0.is_empty() && problems.0.iter().all(|problem| !problem.message.is_empty()), "{problems}");
}

fn in_order(plan: &Plan) {
    let mut done = vec![false; plan.nodes.len()];
    for at in plan.in_order() {
        for source in plan.nodes[at].sources() {
            let there = match source {
                From::Input(input) => *input < plan.pipeline.inputs.len(),
                From::Output(node, output) => done[*node] && *output < plan.nodes[*node].outputs.len(),
                From::Constant(tensor) => is_whole(tensor),
            };
            assert!(there, "step {at} takes {source:?}");
        }
        done[at] = true;
    }
    assert!(done.iter().all(|done| *done) && plan.outputs.len() == plan.pipeline.outputs.len());
}

fn is_whole(tensor: &Tensor) -> bool {
    match tensor.datatype {
        Datatype::Bytes => {
            bytes_elements(&tensor.data).all(|element| element.is_some()) && Some(bytes_elements(&tensor.data).count()) == tensor.elements()
        }
        _ => tensor.is_consistent(),
    }
}

/// A model that takes and gives just the names that are asked of it; of what kind they are, and whether anything is known of it, says the length of its own.
fn invented(plan: &Plan, target: &Target) -> Known {
    let length = target.model.as_str().len();
    let kind = TensorType::new(Datatype::ALL[length % Datatype::ALL.len()], vec![ANY; 1 + length % 2]);
    let mut names = [BTreeSet::new(), BTreeSet::new()];
    for node in &plan.nodes {
        let step = plan.step(node);
        if step.targets().iter().any(|(_, named)| *named == target) {
            names[0].extend(step.inputs.iter().map(|(name, _)| name.clone()));
            names[1].extend(node.outputs.iter().map(ToString::to_string));
        }
    }
    let [inputs, outputs] = names.map(|names| names.into_iter().map(|name| Named::new(name, kind.clone())).collect());
    let signature = Signature { inputs, outputs };
    match length % 5 {
        3 => Known::Either([Arc::new(Signature::default()), Arc::new(signature)]),
        4 => Known::Not("is not there".to_owned()),
        _ => Known::Signature(Arc::new(signature)),
    }
}

/// Whether a document of plain elements is XML: no character that must not be there, every element closed, nothing but entities behind an ampersand.
fn well_formed(document: &str) {
    let (mut open, mut rest) = (Vec::new(), document);
    assert!(
        !rest.contains(|c: char| (c.is_control() && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}')),
        "{rest:?}"
    );
    for (at, _) in rest.match_indices('&') {
        assert!(["&amp;", "&lt;", "&gt;", "&quot;"].iter().any(|entity| rest[at..].starts_with(entity)), "{rest:?}");
    }
    while let Some((_, from)) = rest.split_once('<') {
        let (tag, behind) = from.split_once('>').expect("a tag ends");
        assert!(tag.matches('"').count() % 2 == 0 && !tag.contains('<'), "{tag}");
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{document}"),
            None if tag.ends_with('/') => {}
            None => open.extend(tag.split(' ').next()),
        }
        rest = behind;
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} stay open, {rest:?} is left");
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    #[test]
    fn every_seed_of_pipeline_holds() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/pipeline"));
        let seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|seed| seed.unwrap().path()).collect();
        assert!(!seeds.is_empty());
        for seed in seeds {
            super::pipeline(&fs::read(seed).unwrap());
        }
    }
}
