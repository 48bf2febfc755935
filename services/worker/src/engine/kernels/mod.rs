//! Kernels that the binding lacks: oneDNN's linear layer with weights packed beforehand, and attention over texts one behind the other on a GPU.
//!
//! On processors where libtorch's own `linear` takes a slow path of MKL this is up to 2.4 times as fast; on others it gains nothing. So a
//! network measures both once, when it is loaded ([`packing_pays`]).
#![expect(unsafe_code, reason = "calls into packed.cpp; each call says why it is sound")]

mod decoding;
mod rows;
mod simd;
mod team;

use std::{
    ffi::{CStr, c_char, c_void},
    time::{Duration, Instant},
};

use tch::{Device, Kind, TchError, Tensor};

use super::shim::said;

#[cfg(any(test, fuzzing))]
pub(crate) use self::simd::fuzzing;
pub(super) use self::{
    decoding::{Sequence, TOKENS_OF_BLOCK},
    rows::{Lines, Rows, Shared},
    simd::{Nearness, Simd, Weight},
    team::Team,
};

unsafe extern "C" {
    fn torchmesh_pack_linear(weight: *const c_void, out: *mut *mut c_void) -> *mut c_char;
    fn torchmesh_packed_linear(
        input: *const c_void,
        packed: *const c_void,
        bias: *const c_void,
        activation: *const c_char,
        algorithm: *const c_char,
        out: *mut *mut c_void,
    ) -> *mut c_char;
    fn torchmesh_attend_texts(mixed: *const c_void, begins: *const c_void, longest: i64, out: *mut *mut c_void) -> *mut c_char;
}

/// What follows a linear layer, in the words of oneDNN's operator and of libtorch's GELU.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Activation {
    /// Nothing.
    None,
    /// GELU by the error function.
    Gelu,
    /// GELU by the hyperbolic tangent.
    GeluTanh,
    /// x · sigmoid(x).
    Silu,
    /// Negative values become zero.
    Relu,
}

impl Activation {
    fn words(self) -> (&'static CStr, &'static CStr) {
        match self {
            Self::None => (c"none", c"none"),
            Self::Gelu => (c"gelu", c"none"),
            Self::GeluTanh => (c"gelu", c"tanh"),
            Self::Silu => (c"swish", c"none"),
            Self::Relu => (c"relu", c"none"),
        }
    }

    /// What simd.cpp and kernels.cu call it.
    pub(super) fn code(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Gelu => 1,
            Self::GeluTanh => 2,
            Self::Silu => 3,
            Self::Relu => 4,
        }
    }

    /// The same by libtorch's own operator.
    pub(crate) fn apply(self, input: Tensor) -> Result<Tensor, TchError> {
        match self {
            Self::None => Ok(input),
            Self::Gelu => input.f_gelu("none"),
            Self::GeluTanh => input.f_gelu("tanh"),
            Self::Silu => input.f_silu(),
            Self::Relu => input.f_relu(),
        }
    }
}

/// A weight in oneDNN's own order. Only [`linear`] can read it.
#[derive(Debug)]
pub(super) struct Packed(Tensor);

/// Packs a weight (`FP32`, [out, in], on the CPU).
pub(super) fn pack(weight: &Tensor) -> Result<Packed, TchError> {
    let mut out = std::ptr::null_mut();
    // SAFETY: `weight` lives through the call, and `out` takes one pointer.
    let error = unsafe { torchmesh_pack_linear(weight.as_ptr().cast(), &raw mut out) };
    taken(error, out).map(Packed)
}

/// `activation(input × packedᵀ + bias)`; `input` is `FP32` [rows, in], `bias` [out].
pub(super) fn linear(input: &Tensor, packed: &Packed, bias: &Tensor, activation: Activation) -> Result<Tensor, TchError> {
    let (activation, algorithm) = activation.words();
    let mut out = std::ptr::null_mut();
    // SAFETY: the tensors and the NUL-terminated words live through the call, and `out` takes one pointer.
    let error = unsafe {
        torchmesh_packed_linear(
            input.as_ptr().cast(),
            packed.0.as_ptr().cast(),
            bias.as_ptr().cast(),
            activation.as_ptr(),
            algorithm.as_ptr(),
            &raw mut out,
        )
    };
    taken(error, out)
}

/// On a GPU, the attention of each text to itself: `mixed` [tokens, 3, heads, size]; `begins` (`INT32`) says where each begins, and the last ends; `longest` is
/// the most tokens of one. → [tokens, heads, size]
pub(super) fn attend_texts(mixed: &Tensor, begins: &Tensor, longest: i64) -> Result<Tensor, TchError> {
    let mut out = std::ptr::null_mut();
    // SAFETY: the tensors live through the call, and `out` takes one pointer.
    let error = unsafe { torchmesh_attend_texts(mixed.as_ptr().cast(), begins.as_ptr().cast(), longest, &raw mut out) };
    taken(error, out)
}

/// The tensor that packed.cpp handed out, or what it said instead.
fn taken(error: *mut c_char, out: *mut c_void) -> Result<Tensor, TchError> {
    // SAFETY: packed.cpp makes its errors by `strdup`, and hands them out.
    unsafe { said(error) }?;
    // SAFETY: without an error `out` is a tensor made by `new`, and nobody else has it.
    Ok(unsafe { Tensor::from_ptr(out.cast()) })
}

/// Whether packed weights are faster on this processor for layers between `narrow` and `wide` features; by a twentieth at least, since
/// measuring has noise and packing takes memory while it lasts. A few milliseconds.
pub(super) fn packing_pays(narrow: i64, wide: i64) -> Result<bool, TchError> {
    const ROWS: i64 = 256;
    let random = |shape: &[i64]| Tensor::f_rand(shape, (Kind::Float, Device::Cpu));
    let (input, weight, bias) = (random(&[ROWS, narrow])?, random(&[wide, narrow])?, random(&[wide])?);
    let packed = pack(&weight)?;
    let plain = fastest(|| Activation::Gelu.apply(input.f_linear(&weight, Some(&bias))?))?;
    let prepared = fastest(|| linear(&input, &packed, &bias, Activation::Gelu))?;
    tracing::debug!(plain_us = plain.as_micros(), packed_us = prepared.as_micros(), "measured the matrix kernels");
    Ok(prepared.as_secs_f64() * 1.05 < plain.as_secs_f64())
}

fn fastest(mut work: impl FnMut() -> Result<Tensor, TchError>) -> Result<Duration, TchError> {
    let mut best = Duration::MAX;
    for _ in 0..8 {
        let began = Instant::now();
        drop(work()?);
        best = best.min(began.elapsed());
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_layer_answers_as_the_plain_one_does() {
        let _no_grad = tch::no_grad_guard();
        let random = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, Device::Cpu));
        for (rows, from, to) in [(1, 8, 24), (7, 384, 1152), (33, 100, 3)] {
            let (input, weight, bias) = (random(&[rows, from]), random(&[to, from]), random(&[to]));
            let packed = pack(&weight).unwrap();
            for activation in [Activation::None, Activation::Gelu, Activation::GeluTanh] {
                let plain = activation.apply(input.linear(&weight, Some(&bias))).unwrap();
                let difference = (linear(&input, &packed, &bias, activation).unwrap() - plain).abs().max().double_value(&[]);
                assert!(difference < 1e-3, "{rows} × {from} → {to}, {activation:?}: {difference}");
            }
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_an_error_and_not_an_exception() {
        let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        let packed = pack(&zeros(&[4, 8])).unwrap();
        assert!(linear(&zeros(&[2, 9]), &packed, &zeros(&[4]), Activation::None).is_err());
    }
}
