//! What the fuzz target of the kernels holds them to (`fuzz/`), with the address sanitizer in both languages; in no build but that.

use super::{
    Simd,
    reference::{attention, norm, product, random},
};
use crate::engine::kernels::{Activation, linear, pack};

/// Shapes, a byte each: every instruction set answers what libtorch does, and so does a packed layer.
pub(crate) fn kernels(shapes: &[u8]) {
    let &[which, count, wide, deep, flags, seed] = shapes else { return };
    tch::manual_seed(seed.into());
    let (count, wide, deep) = (i64::from(count % 96), 1 + i64::from(wide % 80), 1 + i64::from(deep % 80));
    if which % 4 == 3 {
        return packed(count, deep, wide);
    }
    for simd in Simd::usable() {
        let (found, most) = match which % 4 {
            0 => {
                let activation = [Activation::None, Activation::Gelu, Activation::GeluTanh][usize::from(flags % 3)];
                let brief = flags & 64 != 0 && simd.multiplies_bf16();
                (product(simd, [count, deep, wide], activation, flags & 128 != 0, brief), 4e-6)
            }
            1 => {
                let reach = (flags & 128 != 0 && count > 0).then(|| count + i64::from(flags / 4 % 16));
                (attention(simd, count, 1 + i64::from(flags % 4), deep, reach), 1e-5)
            }
            _ => (norm(simd, count, deep, 1e-5), 1e-4),
        };
        assert!(found < most, "{} is {found} from libtorch", simd.name);
    }
}

fn packed(rows: i64, deep: i64, wide: i64) {
    let _no_grad = tch::no_grad_guard();
    let (input, weight, bias) = (random(&[rows + 1, deep]), random(&[wide, deep]), random(&[wide]));
    let layer = pack(&weight).expect("a weight is packed");
    let answer = linear(&input, &layer, &bias, Activation::Gelu).expect("the shapes fit");
    let plain = Activation::Gelu.apply(input.linear(&weight, Some(&bias))).expect("the shapes fit");
    assert!((answer - plain).abs().max().double_value(&[]) < 1e-3, "{rows} × {deep} → {wide}");
    assert!(linear(&random(&[rows + 1, deep + 1]), &layer, &bias, Activation::None).is_err(), "a shape that does not fit is an error");
}
