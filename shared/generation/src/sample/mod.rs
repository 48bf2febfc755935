//! Which token comes next, by a model's logits.
//!
//! The order of what is done to the logits is that of vLLM (`vllm/v1/sample/sampler.py`) and of transformers (`_get_logits_processor`): the mask of
//! a grammar, the bias, the repetition penalty, the frequency and presence penalties, the temperature, `top_k`, `top_p` over what `top_k` has left,
//! and `min_p`, which transformers has here and vLLM in front of `top_k`. The logarithms that are told are those of the model itself: of the logits as
//! they came, before any of that.

mod blocks;
mod candidates;
mod exponential;
mod random;
mod sampler;
mod sampling;
mod seen;
#[cfg(test)]
mod tests;

pub use random::seed_of;
pub use sampler::{Choice, Likely, NoToken, Sampler};
pub use sampling::{MAX_BIASES, MAX_LIKELIEST, Sampling};
