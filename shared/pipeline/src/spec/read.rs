//! From the table of a file to a [`Pipeline`].

use std::{collections::HashSet, time::Duration};

use torchmesh_settings::Section;

use super::{Output, Pipeline, Wire, step, wire::INPUT};
use crate::{
    kind::{ANY, Named, TensorType},
    transform::datatype,
};

/// More of anything is a mistake of whatever wrote the file.
const MOST: usize = 256;
/// The longest timeout.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn pipeline(s: &mut Section) -> Pipeline {
    let description = s.or("description", String::new());
    let timeout = timeout(s);
    let stream = s.optional::<String>("stream");
    let inputs = s.list("input", input);
    let steps = s.list("step", step::read);
    let outputs = s.list("output", output);
    for (key, count) in [("input", inputs.len()), ("step", steps.len()), ("output", outputs.len())] {
        s.check((1..=MOST).contains(&count), key, format!("there must be from 1 to {MOST} of [[{key}]]"));
    }
    let inputs: Vec<_> = inputs.into_iter().flatten().collect();
    let steps: Vec<_> = steps.into_iter().flatten().collect();
    let outputs: Vec<_> = outputs.into_iter().flatten().collect();
    twice(s, "input", inputs.iter().map(|input| input.name.as_str()));
    twice(s, "step", steps.iter().map(|step| step.name.as_str()));
    twice(s, "output", outputs.iter().map(|output| output.name.as_str()));
    Pipeline { description, timeout, stream, inputs, steps, outputs }
}

/// The longest that something may take.
pub(super) fn timeout(s: &mut Section) -> Option<Duration> {
    let timeout = s.optional::<Duration>("timeout");
    s.check(timeout.is_none_or(|timeout| !timeout.is_zero()), "timeout", "must be more than 0s");
    s.check(timeout.is_none_or(|timeout| timeout <= LONGEST), "timeout", "must be at most 24h");
    timeout
}

fn twice<'a>(s: &Section, key: &str, names: impl Iterator<Item = &'a str>) {
    let mut seen = HashSet::new();
    for name in names.filter(|name| !seen.insert(*name)) {
        s.problem(key, format!("{name:?} is there twice; give each its own name"));
    }
}

fn input(s: &mut Section) -> Option<Named> {
    let name = name(s);
    let datatype = datatype(s, "datatype");
    let shape = s.required::<Vec<i64>>("shape");
    let good = shape.as_ref().is_none_or(|shape| shape.iter().all(|dim| *dim == ANY || *dim > 0));
    s.check(good, "shape", "has a dimension that is neither 1 or more nor -1, which is any length");
    Some(Named { name: name?, kind: TensorType { datatype: datatype?, shape: shape? } })
}

fn output(s: &mut Section) -> Option<Output> {
    let name = name(s);
    let from = s.required::<Wire>("from");
    let optional = s.or("optional", false);
    Some(Output { name: name?, from: from?, optional })
}

/// A name that others refer to.
pub(super) fn name(s: &mut Section) -> Option<String> {
    let name = s.required::<String>("name")?;
    let good = (1..=64).contains(&name.len()) && name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-'));
    s.check(good && name != INPUT, "name", format!("must have 1 to 64 letters, digits, '_' and '-', and be another word than {INPUT:?}"));
    Some(name)
}
