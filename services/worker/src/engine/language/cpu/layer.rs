//! One layer of a decoder.

use std::{
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
};

use parking_lot::Mutex;
use torchmesh_generation::Span;

use super::{Packing, cache::Cache, norm::Norm};
use crate::engine::{
    kernels::{Activation, Lines, Rows, Shared, Simd, TOKENS_OF_BLOCK, Team, Weight},
    language::{
        plan::{LayerPlan, Plan},
        read,
    },
};

/// Rows of one span that a thread takes at once; a longer span is shared.
const ROWS_AT_ONCE: usize = 32;

/// A layer's weights, its plan and its cache.
#[derive(Debug)]
pub(super) struct Layer {
    plan: LayerPlan,
    attention_norm: Norm,
    mix: Weight,
    query_norm: Option<Norm>,
    key_norm: Option<Norm>,
    attended: Weight,
    attended_norm: Option<Norm>,
    feed_norm: Norm,
    gate: Option<Weight>,
    widen: Weight,
    narrow: Weight,
    narrow_norm: Option<Norm>,
    cache: Cache,
}

/// What the layers work in, one after the other: as many rows as the step has tokens.
#[derive(Debug)]
pub(super) struct Work {
    /// What goes from layer to layer.
    pub(super) hidden: Rows,
    pub(super) normed: Rows,
    mixed: Rows,
    attended: Rows,
    gate: Option<Rows>,
    wide: Rows,
    next: Rows,
}

/// What the layers share of a step.
pub(super) struct Step<'a> {
    pub(super) simd: Simd,
    pub(super) team: &'a mut Team,
    /// One for each member of the team.
    pub(super) scratch: &'a [Mutex<Lines>],
    pub(super) plan: &'a Plan,
    pub(super) spans: &'a [Span<'a>],
    /// Tokens of all spans.
    pub(super) count: usize,
    /// For each rotary: [count, frequencies] of cosines and of sines.
    pub(super) turns: &'a [(Vec<f32>, Vec<f32>)],
}

impl Work {
    pub(super) fn new(simd: Simd, count: usize, plan: &Plan) -> Self {
        Self {
            hidden: simd.rows(count, plan.hidden),
            normed: simd.rows(count, plan.hidden),
            mixed: simd.rows(count, plan.mixed()),
            attended: simd.rows(count, plan.heads * plan.head),
            gate: plan.names.gated.then(|| simd.rows(count, plan.inner)),
            wide: simd.rows(count, plan.inner),
            next: simd.rows(count, plan.hidden),
        }
    }
}

impl Step<'_> {
    /// A product whose columns the team shares.
    pub(super) fn multiply(&mut self, weight: &Weight, left: &Rows, activation: Activation, add: Option<&Rows>, out: &mut Rows) {
        let (all, members, scratch) = (0..self.count, self.team.members(), self.scratch);
        let (left, add) = (left.part(all.clone()), add.map(|add| add.part(all.clone())));
        let mut out = out.part_mut(all);
        let out = out.shared();
        self.team.run(&|member| {
            let columns = weight.share(member, members);
            weight.multiply_columns(columns, left, activation, add, &mut scratch[member].lock(), &out);
        });
    }
}

impl Layer {
    pub(super) fn new(simd: Simd, plan: &Plan, number: usize, layer: &read::Layer, packing: Packing, blocks: usize) -> Self {
        let pack = |linear: &read::Linear| packing.pack(simd, &linear.weight, &linear.bias);
        let norm = |of: &read::Norm| Norm::new(of, plan.norm);
        Self {
            plan: plan.layers[number],
            attention_norm: norm(&layer.attention_norm),
            mix: pack(&layer.mix),
            query_norm: layer.query_norm.as_ref().map(norm),
            key_norm: layer.key_norm.as_ref().map(norm),
            attended: pack(&layer.attended),
            attended_norm: layer.attended_norm.as_ref().map(norm),
            feed_norm: norm(&layer.feed_norm),
            gate: layer.gate.as_ref().map(pack),
            widen: pack(&layer.widen),
            narrow: pack(&layer.narrow),
            narrow_norm: layer.narrow_norm.as_ref().map(norm),
            cache: Cache::new(simd, blocks, plan.kv_heads, plan.head),
        }
    }

    /// Takes all tokens of the step through the layer.
    pub(super) fn forward(&mut self, step: &mut Step<'_>, work: &mut Work) {
        let all = 0..step.count;
        self.attention_norm.apply(step.simd, &work.hidden, all.clone(), &mut work.normed);
        step.multiply(&self.mix, &work.normed, Activation::None, None, &mut work.mixed);
        self.place(step, &mut work.mixed);
        self.attend(step, work);
        half(step, &self.attended, &work.attended, self.attended_norm.as_ref(), &mut work.hidden, &mut work.next);
        self.feed_norm.apply(step.simd, &work.hidden, all, &mut work.normed);
        if let (Some(gate), Some(gated)) = (&self.gate, &mut work.gate) {
            widen(step, gate, &self.widen, &work.normed, gated, &mut work.wide);
            half(step, &self.narrow, gated, self.narrow_norm.as_ref(), &mut work.hidden, &mut work.next);
        } else {
            step.multiply(&self.widen, &work.normed, step.plan.activation, None, &mut work.wide);
            half(step, &self.narrow, &work.wide, self.narrow_norm.as_ref(), &mut work.hidden, &mut work.next);
        }
    }

    /// Normalises and turns queries and keys, scales queries, and keeps keys and values.
    fn place(&mut self, step: &Step<'_>, mixed: &mut Rows) {
        let (plan, size) = (step.plan, step.plan.head);
        let (queries, keys) = (plan.heads * size, plan.kv_heads * size);
        let scale = plan.attention_scale as f32;
        let turns = self.plan.rotary.map(|rotary| (&step.turns[rotary], plan.rotaries[rotary].frequencies.len()));
        let mut row = 0;
        for span in step.spans {
            for position in span.cached..span.cached + span.tokens.len() {
                let values = mixed.row_mut(row);
                for (head, values) in values[..queries + keys].chunks_exact_mut(size).enumerate() {
                    let norm = if head < plan.heads { &self.query_norm } else { &self.key_norm };
                    if let Some(norm) = norm {
                        norm.apply_to_row(step.simd, values);
                    }
                    if let Some(((cosines, sines), pairs)) = turns {
                        turn(values, &cosines[row * pairs..][..pairs], &sines[row * pairs..][..pairs]);
                    }
                    if head < plan.heads {
                        for value in values {
                            *value *= scale;
                        }
                    }
                }
                let (block, slot) = (span.blocks[position / TOKENS_OF_BLOCK], position % TOKENS_OF_BLOCK);
                let (keys, values) = values[queries..].split_at(keys);
                for (head, (key, value)) in keys.chunks_exact(size).zip(values.chunks_exact(size)).enumerate() {
                    self.cache.keep(block, slot, head, key, value);
                }
                row += 1;
            }
        }
    }

    /// Every span's tokens to what is in its blocks; the team takes pieces of a span and a head as it gets to them.
    fn attend(&self, step: &mut Step<'_>, work: &mut Work) {
        let (simd, plan, scratch) = (step.simd, step.plan, step.scratch);
        let group = plan.heads / plan.kv_heads;
        let (window, cap) = (self.plan.window, plan.attention_cap.map(|cap| cap as f32));
        let pieces = pieces(step.spans);
        let query = work.mixed.part(0..step.count);
        let mut out = work.attended.part_mut(0..step.count);
        let out: Shared<'_> = out.shared();
        let taken = AtomicUsize::new(0);
        step.team.run(&|member| {
            let scratch = &mut scratch[member].lock();
            loop {
                let number = taken.fetch_add(1, Ordering::Relaxed);
                let Some((span, rows, before)) = pieces.get(number / plan.kv_heads) else { return };
                let sequence = self.cache.sequence(span.blocks, *before, number % plan.kv_heads, group);
                simd.attend_to_cache(super::Sequence { window, cap, ..sequence }, rows.clone(), query, scratch, &out);
            }
        });
    }
}

/// Parts of spans, long ones first: their rows in the step, and the tokens in front of them.
fn pieces<'a>(spans: &'a [Span<'a>]) -> Vec<(&'a Span<'a>, Range<usize>, usize)> {
    let mut pieces = Vec::with_capacity(spans.len());
    let mut row = 0;
    for span in spans {
        for begin in (0..span.tokens.len()).step_by(ROWS_AT_ONCE) {
            let rows = begin..(begin + ROWS_AT_ONCE).min(span.tokens.len());
            pieces.push((span, row + rows.start..row + rows.end, span.cached + begin));
        }
        row += span.tokens.len();
    }
    pieces.sort_by_key(|(_, rows, before)| std::cmp::Reverse(rows.len() * (before + rows.len())));
    pieces
}

/// A half of a layer comes to its end: what it gives is added to `hidden`, normalised first where there is a norm.
fn half(step: &mut Step<'_>, weight: &Weight, left: &Rows, norm: Option<&Norm>, hidden: &mut Rows, next: &mut Rows) {
    let Some(norm) = norm else {
        step.multiply(weight, left, Activation::None, Some(hidden), next);
        return std::mem::swap(hidden, next);
    };
    step.multiply(weight, left, Activation::None, None, next);
    for row in 0..step.count {
        let given = next.row_mut(row);
        norm.apply_to_row(step.simd, given);
        hidden.row_mut(row).iter_mut().zip(given).for_each(|(hidden, given)| *hidden += *given);
    }
}

/// `gated` = activation(left × gate) × (left × widen).
fn widen(step: &mut Step<'_>, gate: &Weight, widen: &Weight, left: &Rows, gated: &mut Rows, wide: &mut Rows) {
    let (simd, scratch, activation, members) = (step.simd, step.scratch, step.plan.activation, step.team.members());
    let left = left.part(0..step.count);
    let (mut gated, mut wide) = (gated.part_mut(0..step.count), wide.part_mut(0..step.count));
    let (gated, wide) = (gated.shared(), wide.shared());
    step.team.run(&|member| {
        let (columns, scratch) = (gate.share(member, members), &mut scratch[member].lock());
        gate.multiply_columns(columns.clone(), left, Activation::None, None, scratch, &gated);
        widen.multiply_columns(columns.clone(), left, Activation::None, None, scratch, &wide);
        simd.gate(columns, activation, &gated, &wide);
    });
}

/// Turns each pair of values: value i with value i + the number of pairs.
fn turn(values: &mut [f32], cosines: &[f32], sines: &[f32]) {
    let (first, rest) = values.split_at_mut(cosines.len());
    for (((one, other), cosine), sine) in first.iter_mut().zip(rest).zip(cosines).zip(sines) {
        (*one, *other) = (*one * cosine - *other * sine, *other * cosine + *one * sine);
    }
}
