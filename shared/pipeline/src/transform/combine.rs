//! `mean` and `vote`: several tensors of the same shape become one, element by element.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use torchmesh_api::tensor::{Datatype, Tensor};
use torchmesh_settings::Section;

use super::{Given, Rule};
use crate::{
    element::{Elements, Number, numbers, put},
    kind::TensorType,
    spec::{self, By},
};

/// `weights`: how much each input counts, in the order of their names; default all the same. A vote goes to the first of those with equally many.
#[derive(Debug, Clone, PartialEq)]
pub struct Combine {
    /// How.
    pub by: By,
    /// As many as there are inputs, or none.
    pub weights: Vec<f64>,
}

impl Combine {
    pub(super) fn read(s: &mut Section, by: By) -> Self {
        Self { by, weights: spec::weights(s, None) }
    }

    /// The weight of each of so many.
    fn weights(&self, count: usize) -> Result<Vec<f64>, String> {
        match self.weights.len() {
            0 => Ok(vec![1.0; count]),
            given if given == count => Ok(self.weights.clone()),
            given => Err(format!("has {given} weights for {count} inputs")),
        }
    }
}

/// What several say, as one; each with how much it counts. There is at least one.
pub(crate) fn combine(by: By, tensors: &[(f64, &Tensor)]) -> Result<Tensor, String> {
    let (_, first) = tensors.first().ok_or("there is nothing to combine")?;
    if let Some((_, other)) = tensors.iter().find(|(_, tensor)| tensor.datatype != first.datatype || tensor.shape != first.shape) {
        return Err(format!("{} and {} cannot be combined", TensorType::of(first), TensorType::of(other)));
    }
    // Those that count nothing count all the same when nobody else has answered.
    let all_zero = tensors.iter().all(|(weight, _)| *weight == 0.0);
    let weighed: Vec<_> = tensors.iter().map(|(weight, tensor)| (if all_zero { 1.0 } else { *weight }, *tensor)).collect();
    let tensors = &weighed[..];
    let data = match by {
        By::Mean => mean(first.datatype, tensors)?,
        By::Vote => vote(tensors)?,
    };
    Ok(Tensor { datatype: first.datatype, shape: first.shape.clone(), data })
}

fn mean(datatype: Datatype, tensors: &[(f64, &Tensor)]) -> Result<Bytes, String> {
    let total: f64 = tensors.iter().map(|(weight, _)| weight).sum();
    let mut sums = Vec::new();
    for (weight, tensor) in tensors {
        let numbers = numbers(tensor)?;
        sums.resize(numbers.len(), 0.0);
        for (sum, number) in sums.iter_mut().zip(numbers) {
            *sum += weight * number.real();
        }
    }
    let mut out = BytesMut::new();
    for sum in sums {
        put(&mut out, datatype, Number::Real(sum / total));
    }
    Ok(out.freeze())
}

fn vote(tensors: &[(f64, &Tensor)]) -> Result<Bytes, String> {
    let all = tensors.iter().map(|(weight, tensor)| Ok((*weight, Elements::of(tensor)?))).collect::<Result<Vec<_>, String>>()?;
    let mut out = BytesMut::new();
    for at in 0..all.first().map_or(0, |(_, elements)| elements.len()) {
        let ballots: Vec<_> = all.iter().map(|(weight, elements)| (*weight, elements.bytes(at..at + 1))).collect();
        let mut counts: HashMap<&[u8], f64> = HashMap::new();
        for (weight, ballot) in &ballots {
            *counts.entry(ballot).or_default() += weight;
        }
        let most = counts.values().copied().fold(0.0, f64::max);
        if let Some((_, winner)) = ballots.iter().find(|(_, ballot)| counts[&**ballot] >= most) {
            out.extend_from_slice(winner);
        }
    }
    Ok(out.freeze())
}

impl Rule for Combine {
    fn infer(&self, inputs: &[Given<TensorType>]) -> Result<Vec<TensorType>, String> {
        self.weights(inputs.len())?;
        let mut all = inputs.iter().map(|(_, kind)| kind);
        let mut kind = all.next().ok_or("takes at least one input")?.clone();
        for other in all {
            let fits = kind.takes(other);
            kind = kind.or(other).filter(|_| fits).ok_or_else(|| format!("{kind} and {other} cannot be combined"))?;
        }
        match (self.by, kind.datatype) {
            (By::Mean, Datatype::Bytes) => Err("BYTES have no mean; vote takes them".to_owned()),
            _ => Ok(vec![kind]),
        }
    }

    fn apply(&self, inputs: &[Given<Tensor>]) -> Result<Vec<Tensor>, String> {
        let weights = self.weights(inputs.len())?;
        let weighed: Vec<_> = weights.into_iter().zip(inputs.iter().map(|(_, tensor)| tensor)).collect();
        Ok(vec![combine(self.by, &weighed)?])
    }
}
