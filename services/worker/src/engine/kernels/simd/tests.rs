//! Every kernel of every instruction set that this processor runs, against libtorch.

use proptest::prelude::*;
use tch::{Device, Kind, Tensor};

use super::{Nearness, Simd};
use crate::engine::{
    kernels::{Activation, Lines, Rows},
    tensors::values,
};

fn random(shape: &[i64]) -> Tensor {
    Tensor::randn(shape, (Kind::Float, Device::Cpu))
}

fn rows_of(simd: Simd, tensor: &Tensor) -> Rows {
    let [count, width] = [0, 1].map(|at| usize::try_from(tensor.size()[at]).unwrap());
    let mut rows = simd.rows(count, width);
    for (row, from) in values(tensor).unwrap().chunks(width).enumerate() {
        rows.row_mut(row).copy_from_slice(from);
    }
    rows
}

fn tensor_of(rows: &Rows) -> Tensor {
    let all: Vec<&[f32]> = (0..rows.count()).map(|row| rows.row(row)).collect();
    Tensor::from_slice(&all.concat()).view([i64::try_from(rows.count()).unwrap(), -1])
}

/// The largest difference, as a part of the largest value.
fn difference(found: &Rows, wanted: &Tensor) -> f64 {
    let most = wanted.abs().max().double_value(&[]).max(1.0);
    (tensor_of(found) - wanted).abs().max().double_value(&[]) / most
}

fn product(simd: Simd, shape: [i64; 3], activation: Activation, added: bool, brief: bool) -> f64 {
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

fn attention(simd: Simd, length: i64, heads: i64, size: i64, reach: Option<i64>) -> f64 {
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

fn norm(simd: Simd, count: i64, size: i64) -> f64 {
    let (input, weight, bias) = (random(&[count, size]) * 3 + 5, random(&[size]), random(&[size]));
    let wanted = input.layer_norm([size], Some(&weight), Some(&bias), 1e-12, false);
    let mut rows = rows_of(simd, &input);
    let all = 0..rows.count();
    simd.normalise(&mut rows.part_mut(all), values(&weight).unwrap(), values(&bias).unwrap(), 1e-12);
    difference(&rows, &wanted)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_product_is_what_libtorch_says(count in 1_i64..40, depth in 1_i64..100, columns in 1_i64..100, kind in 0_usize..3, added: bool) {
        let activation = [Activation::None, Activation::Gelu, Activation::GeluTanh][kind];
        for simd in Simd::usable() {
            let found = product(simd, [count, depth, columns], activation, added, false);
            prop_assert!(found < 2e-6, "{}: {}", simd.name, found);
        }
    }

    #[test]
    fn a_product_of_bf16_is_that_of_the_rounded_values(count in 1_i64..40, depth in 1_i64..100, columns in 1_i64..100) {
        for simd in Simd::usable().into_iter().filter(|simd| simd.multiplies_bf16()) {
            let found = product(simd, [count, depth, columns], Activation::None, true, true);
            prop_assert!(found < 2e-6, "{}: {}", simd.name, found);
        }
    }

    #[test]
    fn attention_is_what_libtorch_says(length in 1_i64..80, heads in 1_i64..5, size in 1_i64..70, room in 0_i64..20, near: bool) {
        for simd in Simd::usable() {
            let found = attention(simd, length, heads, size, near.then_some(length + room));
            prop_assert!(found < 1e-5, "{}: {}", simd.name, found);
        }
    }

    #[test]
    fn a_norm_is_what_libtorch_says(count in 1_i64..9, size in 2_i64..100) {
        for simd in Simd::usable() {
            let found = norm(simd, count, size);
            prop_assert!(found < 1e-4, "{}: {}", simd.name, found);
        }
    }
}

#[test]
fn the_sizes_of_real_models_are_right_too() {
    for simd in Simd::usable() {
        for length in [1, 512] {
            assert!(attention(simd, length, 12, 32, None) < 1e-5, "{}", simd.name);
        }
        assert!(product(simd, [84, 1536, 384], Activation::Gelu, true, false) < 2e-6, "{}", simd.name);
        assert!(norm(simd, 3, 768) < 1e-5, "{}", simd.name);
    }
}

#[test]
fn gelu_is_exact_to_a_millionth_over_all_that_a_layer_gives() {
    let input = Tensor::linspace(-12.0, 12.0, 24_001, (Kind::Float, Device::Cpu)).view([24_001, 1]);
    for (activation, approximate) in [(Activation::Gelu, "none"), (Activation::GeluTanh, "tanh")] {
        let wanted = input.to_kind(Kind::Double).gelu(approximate);
        for simd in Simd::usable() {
            let one = simd.pack(&[1.0], &[0.0], false);
            let rows = rows_of(simd, &input);
            let mut out = simd.rows(rows.count(), 1);
            let all = 0..rows.count();
            one.multiply(rows.part(all.clone()), activation, None, &mut Lines::default(), &mut out.part_mut(all));
            let worst = (tensor_of(&out).to_kind(Kind::Double) - &wanted).abs().max().double_value(&[]);
            assert!(worst < 1.2e-6, "{} {activation:?}: {worst}", simd.name);
        }
    }
}

#[test]
fn what_is_not_a_number_stays_so_and_touches_no_other_row() {
    for simd in Simd::usable() {
        let mixed = random(&[40, 96]);
        let _ = mixed.get(7).fill_(f64::NAN);
        let rows = rows_of(simd, &mixed.slice(0, 0, 7, 1).contiguous());
        let sick = rows_of(simd, &mixed);
        for (rows, healthy) in [(rows, true), (sick, false)] {
            let all = 0..rows.count();
            let mut out = simd.rows(rows.count(), 32);
            simd.attend(rows.part(all.clone()), 1, None, &mut Lines::default(), &mut out.part_mut(all.clone()));
            let found: Vec<bool> = all.map(|row| out.row(row).iter().all(|value| value.is_finite())).collect();
            assert!(found.iter().all(|&finite| finite == healthy), "{}: attention to a NaN is NaN everywhere", simd.name);
        }
        let one = simd.pack(&[1.0], &[0.0], false);
        let rows = rows_of(simd, &Tensor::from_slice(&[1.0_f32, f32::NAN, 2.0, f32::INFINITY]).view([4, 1]));
        let mut out = simd.rows(4, 1);
        one.multiply(rows.part(0..4), Activation::Gelu, None, &mut Lines::default(), &mut out.part_mut(0..4));
        let finite: Vec<bool> = (0..4).map(|row| out.row(row)[0].is_finite()).collect();
        assert_eq!(finite, [true, false, true, false], "{}", simd.name);
    }
}
