//! What libtorch says of the same numbers: each function answers how far a kernel is from it.

use tch::{Device, Kind, Tensor};

use super::{Nearness, Simd};
use crate::engine::{
    kernels::{Activation, Lines, Rows},
    tensors::values,
};

pub(super) fn random(shape: &[i64]) -> Tensor {
    Tensor::randn(shape, (Kind::Float, Device::Cpu))
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
    let [count, depth, columns] = shape;
    let (left, weight, bias, add) = (random(&[count, depth]), random(&[columns, depth]), random(&[columns]), random(&[count, columns]));
    let packed = simd.pack(values(&weight).unwrap(), values(&bias).unwrap(), brief);
    let (left_rows, add_rows) = (rows_of(simd, &left), rows_of(simd, &add));
    let all = 0..left_rows.count();
    let mut out = simd.rows(left_rows.count(), usize::try_from(columns).unwrap());
    let add_part = added.then(|| add_rows.part(all.clone()));
    packed.multiply(left_rows.part(all.clone()), activation, add_part, &mut Lines::default(), &mut out.part_mut(all));
    let rounded = |tensor: Tensor| if brief { tensor.to_kind(Kind::BFloat16).to_kind(Kind::Float) } else { tensor };
    let plain = activation.apply(rounded(left).linear(&rounded(weight), Some(&bias))).unwrap();
    difference(&out, &if added { plain + add } else { plain })
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
