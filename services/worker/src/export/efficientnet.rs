//! EfficientNet-lite0: convolutions alone, with the batch norms folded into them.

use tch::{TchError, Tensor};

use crate::engine::encoder::{NetworkError, weights::Weights};

/// What batch norm adds to a variance.
const EPSILON: f64 = 1e-3;
/// Channels behind the stem and before the classes.
const STEM: i64 = 32;
const HEAD: i64 = 1280;
/// ImageNet's classes.
const CLASSES: i64 = 1000;
/// The stages: blocks, kernel, stride of the first block, expansion, channels.
const STAGES: [(usize, i64, i64, i64, i64); 7] =
    [(1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320)];

/// The network with its weights.
pub(super) struct EfficientNet {
    stem: Convolution,
    blocks: Vec<Block>,
    head: Convolution,
    classes: (Tensor, Tensor),
}

/// An inverted residual.
struct Block {
    expand: Option<Convolution>,
    depthwise: Convolution,
    project: Convolution,
    residual: bool,
}

/// A convolution as TensorFlow pads it: of an odd number of pixels, the larger part goes to the right and below.
struct Convolution {
    weight: Tensor,
    bias: Tensor,
    padding: [i64; 4],
    stride: i64,
    groups: i64,
}

impl EfficientNet {
    /// Collects the weights.
    pub(super) fn new(weights: &Weights) -> Result<Self, NetworkError> {
        let mut blocks = Vec::new();
        let mut channels = STEM;
        for (count, kernel, stride, expansion, to) in STAGES {
            for index in 0..count {
                let stride = if index == 0 { stride } else { 1 };
                blocks.push(Block::new(weights, blocks.len(), [channels, channels * expansion, to], kernel, stride)?);
                channels = to;
            }
        }
        Ok(Self {
            stem: Convolution::new(weights, ("_conv_stem", "_bn0"), [STEM, 3, 3, 3], 2, 1)?,
            blocks,
            head: Convolution::new(weights, ("_conv_head", "_bn1"), [HEAD, channels, 1, 1], 1, 1)?,
            classes: (weights.get("_fc.weight", &[CLASSES, HEAD])?, weights.get("_fc.bias", &[CLASSES])?),
        })
    }

    /// The logits \[batch, 1000\] of images \[batch, 3, height, width\] whose sides are multiples of 32.
    pub(super) fn forward(&self, images: &Tensor) -> Result<Tensor, TchError> {
        let start = self.stem.forward(images)?.f_relu6()?;
        let features = self.blocks.iter().try_fold(start, |input, block| block.forward(&input))?;
        let pooled = self.head.forward(&features)?.f_relu6()?.f_adaptive_avg_pool2d([1, 1])?.f_flatten(1, -1)?;
        pooled.f_linear(&self.classes.0, Some(&self.classes.1))
    }
}

impl Block {
    fn new(weights: &Weights, index: usize, [from, wide, to]: [i64; 3], kernel: i64, stride: i64) -> Result<Self, NetworkError> {
        let layer = |convolution: &str, norm: &str, shape, stride, groups| {
            let name = |part: &str| format!("_blocks.{index}.{part}");
            Convolution::new(weights, (&name(convolution), &name(norm)), shape, stride, groups)
        };
        let expand = if wide == from { None } else { Some(layer("_expand_conv", "_bn0", [wide, from, 1, 1], 1, 1)?) };
        Ok(Self {
            expand,
            depthwise: layer("_depthwise_conv", "_bn1", [wide, 1, kernel, kernel], stride, wide)?,
            project: layer("_project_conv", "_bn2", [to, wide, 1, 1], 1, 1)?,
            residual: stride == 1 && from == to,
        })
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        let wide = match &self.expand {
            Some(expand) => expand.forward(input)?.f_relu6()?,
            None => input.shallow_clone(),
        };
        let projected = self.project.forward(&self.depthwise.forward(&wide)?.f_relu6()?)?;
        if self.residual { projected.f_add(input) } else { Ok(projected) }
    }
}

impl Convolution {
    /// The convolution and the norm behind it: `(x - mean) / sqrt(variance + ε) × scale + shift` is one more factor and one more sum.
    fn new(weights: &Weights, (name, norm): (&str, &str), shape: [i64; 4], stride: i64, groups: i64) -> Result<Self, NetworkError> {
        let of_norm = |part: &str| weights.get(&format!("{norm}.{part}"), &[shape[0]]);
        let factor = of_norm("weight")?.f_div(&of_norm("running_var")?.f_add_scalar(EPSILON)?.f_sqrt()?)?;
        let weight = weights.get(&format!("{name}.weight"), &shape)?.f_mul(&factor.f_reshape([-1, 1, 1, 1])?)?;
        let bias = of_norm("bias")?.f_sub(&of_norm("running_mean")?.f_mul(&factor)?)?;
        // Of sides that are even, as those of a multiple of 32 are wherever the stride is 2.
        let missing = shape[2] - stride;
        let (before, behind) = (missing / 2, missing - missing / 2);
        let padding = if shape[2] == 1 { [0; 4] } else { [before, behind, before, behind] };
        Ok(Self { weight, bias, padding, stride, groups })
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        let [left, right, top, bottom] = self.padding;
        let bias = Some(&self.bias);
        if left == right {
            return input.f_conv2d(&self.weight, bias, self.stride, [top, left], 1, self.groups);
        }
        let padded = input.f_constant_pad_nd([left, right, top, bottom])?;
        padded.f_conv2d(&self.weight, bias, self.stride, 0, 1, self.groups)
    }
}
