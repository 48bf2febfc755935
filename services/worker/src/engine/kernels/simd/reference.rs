//! What libtorch says of the same numbers: each function answers how far a kernel is from it.

use tch::{Device, Kind, Tensor};

use super::{Nearness, Simd};
use crate::engine::{
    kernels::{Activation, Lines, Rows, Sequence, TOKENS_OF_BLOCK},
    tensors::values,
};

pub(super) fn random(shape: &[i64]) -> Tensor {
    Tensor::randn(shape, (Kind::Float, Device::Cpu))
}

/// The same numbers in each run, with the spread of [`random`]'s; the draw of a test that runs beside others is not its own.
pub(super) fn seeded(seed: u64) -> impl FnMut(&[i64]) -> Tensor {
    let mut draw = fastrand::Rng::with_seed(seed);
    move |shape| {
        let numbers: Vec<f32> = (0..shape.iter().product::<i64>()).map(|_| (draw.f32() - 0.5) * 12_f32.sqrt()).collect();
        Tensor::from_slice(&numbers).view(shape)
    }
}

pub(super) fn rows_of(simd: Simd, tensor: &Tensor) -> Rows {
    let [count, width] = [0, 1].map(|at| usize::try_from(tensor.size()[at]).unwrap());
    let mut rows = simd.rows(count, width);
    for (row, from) in values(tensor).unwrap().chunks(width.max(1)).enumerate() {
        rows.row_mut(row).copy_from_slice(from);
    }
    rows
}

pub(super) fn tensor_of(rows: &Rows) -> Tensor {
    let all: Vec<&[f32]> = (0..rows.count()).map(|row| rows.row(row)).collect();
    Tensor::from_slice(&all.concat()).view([i64::try_from(rows.count()).unwrap(), -1])
}

/// The largest difference, as a part of the largest value.
pub(super) fn difference(found: &Rows, wanted: &Tensor) -> f64 {
    if wanted.numel() == 0 {
        return 0.0;
    }
    let most = wanted.abs().max().double_value(&[]).max(1.0);
    (tensor_of(found) - wanted).abs().max().double_value(&[]) / most
}

pub(super) fn product(simd: Simd, shape: [i64; 3], activation: Activation, added: bool, brief: bool) -> f64 {
    product_of(simd, random, shape, activation, added, brief)
}

/// The same of numbers that are drawn by `draw`.
pub(super) fn product_of(
    simd: Simd,
    mut draw: impl FnMut(&[i64]) -> Tensor,
    [count, depth, columns]: [i64; 3],
    activation: Activation,
    added: bool,
    brief: bool,
) -> f64 {
    let (left, weight, bias, add) = (draw(&[count, depth]), draw(&[columns, depth]), draw(&[columns]), draw(&[count, columns]));
    let packed = simd.pack(values(&weight).unwrap(), values(&bias).unwrap(), brief);
    let (left_rows, add_rows) = (rows_of(simd, &left), rows_of(simd, &add));
    let all = 0..left_rows.count();
    let mut out = simd.rows(left_rows.count(), usize::try_from(columns).unwrap());
    let add_part = added.then(|| add_rows.part(all.clone()));
    packed.multiply(left_rows.part(all.clone()), activation, add_part, &mut Lines::default(), &mut out.part_mut(all));
    // In double precision: what differs is then the kernel's own rounding, not that of two.
    let exact = |tensor: Tensor| if brief { tensor.to_kind(Kind::BFloat16) } else { tensor }.to_kind(Kind::Double);
    let plain = activation.apply(exact(left).linear(&exact(weight), Some(&bias.to_kind(Kind::Double)))).unwrap();
    difference(&out, &if added { plain + add } else { plain })
}

/// Beside libtorch's product with the very numbers that the bytes stand for, which are no further from the weight than half a step.
pub(super) fn product_of_bytes(simd: Simd, shape: [i64; 3]) -> f64 {
    let [count, depth, columns] = shape;
    let (left, weight, bias) = (random(&[count, depth]), random(&[columns, depth]), random(&[columns]));
    let packed = simd.pack_bytes(values(&weight).unwrap(), values(&bias).unwrap());
    let depth = usize::try_from(depth).unwrap();
    let mut rounded = vec![0.0; depth * usize::try_from(columns).unwrap()];
    rounded.chunks_mut(depth).enumerate().for_each(|(column, to)| packed.column(column, to));
    let rounded = Tensor::from_slice(&rounded).view([columns, -1]);
    let steps = weight.abs().amax([1], true) / 127.0;
    assert!(((&rounded - &weight).abs() / &steps).max().double_value(&[]) < 0.501, "half a step");
    let left_rows = rows_of(simd, &left);
    let all = 0..left_rows.count();
    let mut out = simd.rows(left_rows.count(), usize::try_from(columns).unwrap());
    packed.multiply(left_rows.part(all.clone()), Activation::Silu, None, &mut Lines::default(), &mut out.part_mut(all));
    difference(&out, &left.linear(&rounded, Some(&bias)).silu())
}

/// Beside libtorch's product with the very numbers that the nibbles stand for, and with the left side's as bytes; they are no further from the weight than a
/// step, since the largest of a group may be cut at 7 of its 8.
pub(super) fn product_of_nibbles(simd: Simd, [count, depth, columns]: [i64; 3]) -> f64 {
    let (left, weight, bias) = (random(&[count, depth]), random(&[columns, depth]), random(&[columns]));
    let packed = simd.pack_nibbles(values(&weight).unwrap(), values(&bias).unwrap());
    let mut stood_for = vec![0.0; values(&weight).unwrap().len()];
    stood_for.chunks_mut(usize::try_from(depth).unwrap()).enumerate().for_each(|(column, to)| packed.column(column, to));
    let stood_for = Tensor::from_slice(&stood_for).view([columns, depth]);
    let whole = (depth + 31) / 32 * 32;
    let grouped = |tensor: &Tensor, rows| tensor.constant_pad_nd([0, whole - depth]).view([rows, whole / 32, 32]);
    let steps = grouped(&weight, columns).abs().amax([2], true) / 8.0;
    let away = (grouped(&stood_for, columns) - grouped(&weight, columns)).abs() / steps.clamp_min(1e-9);
    assert!(away.max().double_value(&[]) < 1.1, "a step: {}", away.max().double_value(&[]));
    let left_steps = grouped(&left, count).abs().amax([2], true) / 127.0;
    let bytes = ((grouped(&left, count) / left_steps.clamp_min(1e-30)).round() * &left_steps).view([count, whole]).slice(1, 0, depth, 1);
    let left_rows = rows_of(simd, &left);
    let all = 0..left_rows.count();
    let mut out = simd.rows(left_rows.count(), usize::try_from(columns).unwrap());
    packed.multiply(left_rows.part(all.clone()), Activation::Silu, None, &mut Lines::default(), &mut out.part_mut(all));
    let exact = |tensor: &Tensor| tensor.to_kind(Kind::Double);
    difference(&out, &exact(&bytes).linear(&exact(&stood_for), Some(&exact(&bias))).silu())
}

pub(super) fn attention(simd: Simd, length: i64, heads: i64, size: i64, reach: Option<i64>) -> f64 {
    let mixed = random(&[length, 3 * heads * size]);
    let split = mixed.view([length, 3, heads, size]).permute([1, 2, 0, 3]);
    let [query, key, value] = [0, 1, 2].map(|part| split.select(0, part));
    let table = reach.map(|reach| random(&[heads, 2 * reach - 1]) * 3);
    let near = reach.zip(table.as_ref());
    // The number of query i and key j is at reach - 1 + j - i.
    let places = Tensor::arange(length, (Kind::Int64, Device::Cpu));
    let places = places.unsqueeze(0) - places.unsqueeze(1);
    let added = near.map(|(reach, table)| table.index_select(1, &(places + reach - 1).view([-1])).view([heads, length, length]));
    let scores = query.matmul(&key.transpose(1, 2)) + added.unwrap_or_else(|| Tensor::zeros([1], (Kind::Float, Device::Cpu)));
    let wanted = scores.softmax(-1, Kind::Float).matmul(&value).transpose(0, 1).reshape([length, heads * size]);
    let rows = rows_of(simd, &mixed);
    let all = 0..rows.count();
    let mut out = simd.rows(rows.count(), usize::try_from(heads * size).unwrap());
    let near = near.map(|(reach, table)| Nearness { values: values(table).unwrap(), reach: usize::try_from(reach).unwrap() });
    simd.attend(rows.part(all.clone()), usize::try_from(heads).unwrap(), near, &mut Lines::default(), &mut out.part_mut(all));
    difference(&out, &wanted)
}

pub(super) fn norm(simd: Simd, count: i64, size: i64, epsilon: f32) -> f64 {
    let (input, weight, bias) = (random(&[count, size]) * 3 + 5, random(&[size]), random(&[size]));
    let wanted = input.layer_norm([size], Some(&weight), Some(&bias), epsilon.into(), false);
    let mut rows = rows_of(simd, &input);
    let all = 0..rows.count();
    simd.normalise(&mut rows.part_mut(all), values(&weight).unwrap(), values(&bias).unwrap(), epsilon);
    difference(&rows, &wanted)
}

pub(super) fn root_norm(simd: Simd, count: i64, size: i64, epsilon: f32) -> f64 {
    let (input, weight) = (random(&[count, size]) * 3, random(&[size]));
    let mean = (&input * &input).mean_dim(-1, true, Kind::Float);
    let wanted = &input / (mean + f64::from(epsilon)).sqrt() * &weight;
    let rows = rows_of(simd, &input);
    let all = 0..rows.count();
    let mut out = simd.rows(rows.count(), usize::try_from(size).unwrap());
    simd.normalise_by_root(rows.part(all.clone()), values(&weight).unwrap(), epsilon, &mut out.part_mut(all));
    difference(&out, &wanted)
}

pub(super) fn gate(simd: Simd, count: i64, columns: i64, activation: Activation) -> f64 {
    let (input, by) = (random(&[count, columns]) * 3, random(&[count, columns]));
    let wanted = activation.apply(input.shallow_clone()).unwrap() * &by;
    let (mut rows, mut by) = (rows_of(simd, &input), rows_of(simd, &by));
    let all = 0..rows.count();
    simd.gate(0..usize::try_from(columns).unwrap(), activation, &rows.part_mut(all.clone()).shared(), &by.part_mut(all).shared());
    difference(&rows, &wanted)
}

/// A sequence's newest tokens, and what is in front of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Newest {
    pub(super) rows: i64,
    pub(super) before: i64,
    /// Heads of keys and values, and heads of queries for each.
    pub(super) heads: i64,
    pub(super) group: i64,
    pub(super) size: i64,
    pub(super) window: Option<i64>,
    pub(super) cap: Option<f64>,
}

impl Newest {
    fn wanted(self, query: &Tensor, key: &Tensor, value: &Tensor) -> Tensor {
        let tokens = self.before + self.rows;
        let spread = |of: &Tensor| of.repeat_interleave_self_int(self.group, 1, None).transpose(0, 1);
        let scores = query.transpose(0, 1).matmul(&spread(key).transpose(1, 2));
        let scores = self.cap.map_or(scores.shallow_clone(), |cap| (scores / cap).tanh() * cap);
        let places = |count: i64, from: i64| Tensor::arange(count, (Kind::Int64, Device::Cpu)) + from;
        let distance = places(self.rows, self.before).unsqueeze(1) - places(tokens, 0).unsqueeze(0);
        let hidden = distance.lt(0).logical_or(&distance.ge(self.window.unwrap_or(i64::MAX)));
        let weights = scores.masked_fill(&hidden, f64::NEG_INFINITY).softmax(-1, Kind::Float);
        weights.matmul(&spread(value)).transpose(0, 1).reshape([self.rows, self.heads * self.group * self.size])
    }

    /// The cache's blocks in an order of their own, with other sequences' remains in and between them.
    pub(super) fn differs(self, simd: Simd) -> f64 {
        let [rows, before, heads, group, size] =
            [self.rows, self.before, self.heads, self.group, self.size].map(|n| usize::try_from(n).unwrap());
        let tokens = before + rows;
        let query = random(&[self.rows, self.heads * self.group, self.size]);
        let [key, value] = [0; 2].map(|_| random(&[self.before + self.rows, self.heads, self.size]));
        let count = tokens.div_ceil(TOKENS_OF_BLOCK);
        let blocks: Vec<u32> = (0..count).map(|block| u32::try_from(2 * (count - block) - 1).unwrap()).collect();
        let width = simd.value_width(size);
        let mut keys = vec![1e3; 2 * count * heads * TOKENS_OF_BLOCK * size];
        let mut kept = vec![1e3; 2 * count * heads * TOKENS_OF_BLOCK * width];
        for token in 0..tokens {
            for head in 0..heads {
                let from = (token * heads + head) * size..(token * heads + head + 1) * size;
                let place = blocks[token / TOKENS_OF_BLOCK] as usize * heads + head;
                let of_block = TOKENS_OF_BLOCK * size;
                simd.keep_key(&values(&key).unwrap()[from.clone()], token % TOKENS_OF_BLOCK, &mut keys[place * of_block..][..of_block]);
                let to = (place * TOKENS_OF_BLOCK + token % TOKENS_OF_BLOCK) * width;
                kept[to..to + size].copy_from_slice(&values(&value).unwrap()[from]);
            }
        }
        let queries = rows_of(simd, &query.view([self.rows, -1]));
        let mut out = simd.rows(rows, heads * group * size);
        {
            let mut lent = out.part_mut(0..rows);
            let shared = lent.shared();
            for head in 0..heads {
                let sequence = Sequence {
                    blocks: &blocks,
                    keys: &keys,
                    values: &kept,
                    head,
                    heads,
                    size,
                    group,
                    before,
                    window: self.window.map(|window| usize::try_from(window).unwrap()),
                    cap: self.cap.map(|cap| cap as f32),
                };
                simd.attend_to_cache(sequence, 0..rows, queries.part(0..rows), &mut Lines::default(), &shared);
            }
        }
        difference(&out, &self.wanted(&query, &key, &value))
    }
}
