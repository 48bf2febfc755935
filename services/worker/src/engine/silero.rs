//! silero-vad with its state as an input and an output, so that one engine serves any number of streams.
//!
//! The published module keeps the state inside, which makes an engine belong to one stream. So its weights alone are taken, and the network around
//! them is run here; it is small: a short-time Fourier transform as a convolution, four convolutions, one LSTM cell, one output.

use std::collections::HashMap;

use tch::{Kind, TchError, Tensor as Torch};

use super::{
    Dtype, Engine, EngineError, EngineSpec, cuda,
    tensors::{from_torch, text, to_torch, use_threads},
    torchscript::load_module,
};
use crate::tensor::Tensor;

/// The published module's file name, by which it is known.
pub(super) const ARTEFACT: &str = "silero_vad.jit";
/// Samples that the end of a window is mirrored by.
const MIRRORED: i64 = 64;
/// Frequencies of the transform.
const FREQUENCIES: i64 = 129;
/// Width of the LSTM.
const HIDDEN: i64 = 128;

/// The 16 kHz model, loaded from `silero_vad.jit` of its package.
///
/// Inputs: `audio`, `FP32` [stream, window, 576], and `state`, `FP32` [stream, 2, 128], zeros before a stream's first window. Outputs: the probability
/// of speech in each window, `FP32` [stream, window], and the state behind the last.
pub(super) struct Silero {
    network: Network,
    device: tch::Device,
    intra_op_threads: i32,
}

impl Silero {
    /// Reads the weights and puts them on the device.
    pub(super) fn load(spec: &EngineSpec) -> Result<Self, EngineError> {
        let file = spec.artefact.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !matches!(spec.dtype, Dtype::Auto | Dtype::Fp32) {
            return Err(EngineError::UnsupportedDtype { dtype: spec.dtype });
        }
        let device = cuda::resolve(spec.device)?;
        let _no_grad = tch::no_grad_guard();
        let module = load_module(&spec.artefact, device, None)?;
        let weights = module.named_parameters().map_err(|error| EngineError::load(file.clone(), text(error)))?;
        let network = Network::new(&weights.into_iter().collect(), device).map_err(|problem| EngineError::load(file, problem))?;
        Ok(Self { network, device, intra_op_threads: i32::try_from(spec.intra_op_threads.max(1)).unwrap_or(i32::MAX) })
    }
}

impl Engine for Silero {
    fn forward(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        use_threads(self.intra_op_threads);
        let _no_grad = tch::no_grad_guard();
        let [audio, state] = inputs else { return Err(EngineError::forward("silero-vad takes two inputs, audio and state")) };
        let (audio, state) = (to_torch(0, audio, self.device)?, to_torch(1, state, self.device)?);
        let outputs = self.network.forward(&audio, &state).map_err(|error| EngineError::forward(text(error)))?;
        outputs.iter().map(from_torch).collect()
    }

    fn platform(&self) -> &'static str {
        "torchmesh_silero_vad"
    }
}

struct Network {
    transform: Torch,
    convolutions: [Convolution; 4],
    lstm: [Torch; 4],
    out: (Torch, Torch),
}

struct Convolution {
    weight: Torch,
    bias: Torch,
    stride: i64,
}

impl Network {
    /// Collects the weights.
    fn new(weights: &HashMap<String, Torch>, device: tch::Device) -> Result<Self, String> {
        let get = |name: &str, shape: &[i64]| {
            let tensor = weights.get(&format!("_model.{name}")).filter(|tensor| tensor.size() == shape);
            let tensor = tensor.ok_or_else(|| format!("it is not silero-vad: it has no {name} of the shape {shape:?}"))?;
            tensor.f_detach().map_err(text)
        };
        let convolution = |index: usize, from: i64, to: i64, stride: i64| -> Result<Convolution, String> {
            let name = |part: &str| format!("encoder.{index}.reparam_conv.{part}");
            Ok(Convolution { weight: get(&name("weight"), &[to, from, 3])?, bias: get(&name("bias"), &[to])?, stride })
        };
        let lstm = |part: &str, shape: &[i64]| get(&format!("decoder.rnn.{part}"), shape);
        let gates = 4 * HIDDEN;
        Ok(Self {
            transform: transform(device).map_err(text)?,
            convolutions: [
                convolution(0, FREQUENCIES, 128, 1)?,
                convolution(1, 128, 64, 2)?,
                convolution(2, 64, 64, 2)?,
                convolution(3, 64, HIDDEN, 1)?,
            ],
            lstm: [
                lstm("weight_ih", &[gates, HIDDEN])?,
                lstm("weight_hh", &[gates, HIDDEN])?,
                lstm("bias_ih", &[gates])?,
                lstm("bias_hh", &[gates])?,
            ],
            out: (get("decoder.decoder.2.weight", &[1, HIDDEN, 1])?.f_squeeze_dim(-1).map_err(text)?, get("decoder.decoder.2.bias", &[1])?),
        })
    }

    /// The probability of speech in each of `audio`'s windows \[stream, window, 576\], and the state behind the last of them; `state` is the one
    /// before the first, both \[stream, 2, 128\].
    fn forward(&self, audio: &Torch, state: &Torch) -> Result<Vec<Torch>, TchError> {
        let windows = audio.f_flatten(0, 1)?.f_unsqueeze(1)?.f_reflection_pad1d([0, MIRRORED])?;
        let spectrum = windows.f_conv1d(&self.transform, None::<&Torch>, 128, 0, 1, 1)?;
        let part = |index: i64| spectrum.f_narrow(1, index * FREQUENCIES, FREQUENCIES)?.f_square();
        let magnitude = part(0)?.f_add(&part(1)?)?.f_sqrt()?;
        let features = self
            .convolutions
            .iter()
            .try_fold(magnitude, |input, layer| input.f_conv1d(&layer.weight, Some(&layer.bias), layer.stride, 1, 1, 1)?.f_relu())?;
        // As many windows of as many streams as `audio` has, without asking for their number.
        let steps = features.f_squeeze_dim(-1)?.f_reshape_as(&audio.f_narrow(2, 0, HIDDEN)?)?;
        let [hidden, cell] = [0, 1].map(|index| state.f_select(1, index).and_then(|part| part.f_unsqueeze(0)?.f_contiguous()));
        let weights: [&Torch; 4] = self.lstm.each_ref();
        let (heard, hidden, cell) = steps.f_lstm(&[&hidden?, &cell?], &weights, true, 1, 0.0, false, false, true)?;
        let logits = heard.f_relu()?.f_linear(&self.out.0, Some(&self.out.1))?;
        let state = Torch::f_stack(&[hidden.f_squeeze_dim(0)?, cell.f_squeeze_dim(0)?], 1)?;
        Ok(vec![logits.f_sigmoid()?.f_squeeze_dim(-1)?, state])
    }
}

/// A Fourier transform under a Hann window as a convolution's weights \[2 × frequencies, 1, samples\]: the real parts and then the imaginary ones.
fn transform(device: tch::Device) -> Result<Torch, TchError> {
    let samples = 2 * (FREQUENCIES - 1);
    let options = (Kind::Double, device);
    let time = Torch::f_arange(samples, options)?;
    let turn = std::f64::consts::TAU / samples as f64;
    let angles = Torch::f_arange(FREQUENCIES, options)?.f_outer(&time)?.f_mul_scalar(turn)?;
    let window = time.f_mul_scalar(turn)?.f_cos()?.f_mul_scalar(-0.5)?.f_add_scalar(0.5)?;
    let parts = [angles.f_cos()?, angles.f_sin()?.f_neg()?];
    Torch::f_cat(&parts, 0)?.f_mul(&window)?.f_unsqueeze(1)?.f_to_kind(Kind::Float)
}
