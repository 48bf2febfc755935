//! What the fuzz target of the kernels holds them to (`fuzz/`), with the address sanitizer in both languages; in no build but that.

use super::{
    Simd,
    reference::{Newest, attention, norm, product, product_of_bytes, product_of_nibbles, random},
};
use crate::engine::kernels::{Activation, linear, pack};

/// Shapes, a byte each: every instruction set answers what libtorch does, and so does a packed layer.
pub(crate) fn kernels(shapes: &[u8]) {
    let &[which, count, wide, deep, flags, seed] = shapes else { return };
    tch::manual_seed(seed.into());
    let newest = newest([count, wide, deep, flags]);
    let (count, wide, deep) = (i64::from(count % 96), 1 + i64::from(wide % 80), 1 + i64::from(deep % 80));
    if which % 7 == 3 {
        return packed(count, deep, wide);
    }
    for simd in Simd::usable() {
        let (found, most) = match which % 7 {
            0 => {
                let activation = [Activation::None, Activation::Gelu, Activation::GeluTanh][usize::from(flags % 3)];
                let brief = flags & 64 != 0 && simd.multiplies_bf16();
                (product(simd, [count, deep, wide], activation, flags & 128 != 0, brief), 4e-6)
            }
            1 => {
                let reach = (flags & 128 != 0 && count > 0).then(|| count + i64::from(flags / 4 % 16));
                (attention(simd, count, 1 + i64::from(flags % 4), deep, reach), 1e-5)
            }
            2 => (norm(simd, count, deep, 1e-5), 1e-4),
            4 => (product_of_bytes(simd, [count, deep, wide]), 4e-6),
            5 => (product_of_nibbles(simd, [1 + count, deep, wide]), 1e-3),
            _ => (newest.differs(simd), 2e-5),
        };
        assert!(found < most, "{} is {found} from libtorch", simd.name);
    }
}

/// A sequence of up to 48 new tokens behind up to 95, of one or two heads of keys for one to four of queries each.
fn newest([rows, before, size, flags]: [u8; 4]) -> Newest {
    Newest {
        rows: 1 + i64::from(rows % 48),
        before: i64::from(before % 96),
        heads: 1 + i64::from(flags & 1),
        group: 1 + i64::from(flags >> 1 & 3),
        size: 1 + i64::from(size % 80),
        window: (flags & 8 != 0).then(|| 1 + i64::from(rows / 2)),
        cap: (flags & 16 != 0).then(|| 1.0 + f64::from(before / 8)),
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
