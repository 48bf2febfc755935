//! A pipeline in order: every reference followed, every cycle and everything that is never used told, before any model is known.

mod absence;
mod order;
mod resolve;
mod stream;

use std::sync::Arc;

use torchmesh_api::tensor::Tensor;
use torchmesh_settings::Problems;

use crate::spec::{Pipeline, Step, Test};

/// A pipeline that can be checked against its models, drawn and run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// As it was written.
    pub pipeline: Arc<Pipeline>,
    /// The steps, in the order of the file.
    pub nodes: Vec<Node>,
    /// Where each output comes from.
    pub outputs: Vec<Vec<From>>,
    /// The node whose answer can go on piece by piece.
    pub stream: Option<usize>,
}

/// One step.
#[derive(Debug, Clone)]
pub struct Node {
    /// Which step of the pipeline it is.
    pub at: usize,
    /// Where each input comes from, in the order of the step's own.
    pub inputs: Vec<(Arc<str>, Vec<From>)>,
    /// What decides whether it runs.
    pub when: Option<(Vec<From>, Test)>,
    /// What chooses its model.
    pub on: Option<Vec<From>>,
    /// The outputs that are asked of it, by name: those that somebody takes.
    pub outputs: Vec<Arc<str>>,
    /// Which nodes may take something of this one.
    pub after: Vec<usize>,
    /// How many steps stand in front of it on the longest way from the inputs.
    pub rank: usize,
    /// How many steps stand behind it on the longest way to an output.
    pub below: usize,
}

/// One place that a tensor comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum From {
    /// An input of the pipeline, by its position.
    Input(usize),
    /// An output of a node, both by their positions.
    Output(usize, usize),
    /// A tensor that was written down.
    Constant(Tensor),
}

impl Node {
    /// Every place that it takes something from.
    pub fn sources(&self) -> impl Iterator<Item = &From> {
        let inputs = self.inputs.iter().flat_map(|(_, from)| from);
        inputs.chain(self.when.iter().flat_map(|(from, _)| from)).chain(self.on.iter().flatten())
    }
}

impl Plan {
    /// Puts a pipeline in order. The error has every mistake that can be seen without knowing the models.
    pub fn new(pipeline: Pipeline) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let (mut nodes, outputs) = resolve::resolve(&pipeline, &mut problems);
        let tangled = order::order(&pipeline, &mut nodes, &mut problems);
        order::used(&pipeline, &nodes, &outputs, &mut problems);
        if !tangled {
            absence::told(&pipeline, &nodes, &outputs, &mut problems);
        }
        let stream = stream::find(&pipeline, &nodes, &outputs, &mut problems);
        if problems.is_empty() { Ok(Self { pipeline: Arc::new(pipeline), nodes, outputs, stream }) } else { Err(Problems(problems)) }
    }

    /// Reads a file and puts it in order.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        Self::new(Pipeline::parse(text)?)
    }

    /// The step that a node is.
    pub fn step(&self, node: &Node) -> &Step {
        &self.pipeline.steps[node.at]
    }

    /// The nodes in an order in which each stands behind all that it takes something from.
    pub fn in_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        order.sort_by_key(|at| self.nodes[*at].rank);
        order
    }
}

#[cfg(test)]
mod tests;
