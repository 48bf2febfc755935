//! Models that compute something simple, take some time, and fail when the seed says so.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher as _},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use torchmesh_api::{
    error::{ApiError, ErrorKind},
    tensor::Tensor,
    usage::Figures,
};
use torchmesh_pipeline::{
    run::{Answer, Call, Steps},
    spec::Target,
    transform::Given,
};

/// How one call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is answered.
    Answered,
    /// It fails.
    Failed(ErrorKind),
    /// Nothing ever comes.
    Silent,
}

/// What decides over all calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct World {
    /// Another one, another world.
    pub(crate) seed: u64,
    /// Of a hundred calls, how many do not go well.
    pub(crate) percent: u64,
}

/// Which call it is, whenever it is made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    step: String,
    target: String,
    inputs: Vec<(String, Vec<i64>, Vec<u8>)>,
    attempt: usize,
}

impl Key {
    pub(crate) fn new(step: &str, target: &Target, inputs: &[Given<Tensor>], attempt: usize) -> Self {
        let inputs = inputs.iter().map(|(name, tensor)| (name.to_string(), tensor.shape.clone(), tensor.data.to_vec())).collect();
        Self { step: step.to_owned(), target: target.to_string(), inputs, attempt }
    }
}

impl World {
    fn draw(&self, key: &Key) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, key).hash(&mut hasher);
        hasher.finish()
    }

    /// What becomes of a call.
    pub(crate) fn fate(&self, key: &Key) -> Fate {
        let draw = self.draw(key);
        if draw % 100 >= self.percent {
            return Fate::Answered;
        }
        match draw / 100 % 6 {
            0 => Fate::Silent,
            1 => Fate::Failed(ErrorKind::InvalidArgument),
            2 => Fate::Failed(ErrorKind::Internal),
            3 => Fate::Failed(ErrorKind::ResourceExhausted),
            // A worker that was killed.
            _ => Fate::Failed(ErrorKind::Unavailable),
        }
    }

    fn delay(&self, key: &Key) -> Duration {
        Duration::from_micros(self.draw(key) / 1000 % 40_000)
    }
}

/// What a model gives: `y`, the same from the other end as `z`, and a small number as `c`.
pub(crate) fn compute(target: &Target, inputs: &[Given<Tensor>], outputs: &[impl AsRef<str>]) -> Vec<Tensor> {
    let x = inputs[0].1.to_f32s().expect("FP32");
    let y: Vec<f32> = match target.model.as_str() {
        "add" => x.iter().map(|x| x + 1.0).collect(),
        "double" => x.iter().map(|x| x * 2.0).collect(),
        "turn" => x.iter().map(|x| -x).collect(),
        "sum" => {
            let other = inputs[1].1.to_f32s().expect("FP32");
            x.iter().zip(other.iter().cycle()).map(|(x, other)| x + other).collect()
        }
        other => panic!("no model {other}"),
    };
    let number = y.iter().map(|y| *y as i64).sum::<i64>().rem_euclid(3);
    let give = |name: &str| match name {
        "y" => Tensor::from_f32s(inputs[0].1.shape.clone(), &y),
        "z" => Tensor::from_f32s(inputs[0].1.shape.clone(), &y.iter().rev().copied().collect::<Vec<_>>()),
        "c" => Tensor::from_i64s([1], &[number]),
        other => panic!("no output {other}"),
    };
    outputs.iter().map(|name| give(name.as_ref())).collect()
}

/// What a call uses, so that no two are alike.
pub(crate) fn used(world: &World, key: &Key) -> Figures {
    Figures { items: 1, prompt_tokens: world.draw(key) % 1000, ..Figures::default() }
}

/// The world as the executor meets it.
#[derive(Debug)]
pub(crate) struct Models {
    pub(crate) world: World,
    /// Calls that have not ended.
    pub(crate) open: AtomicUsize,
    /// Calls that were answered.
    pub(crate) answered: AtomicUsize,
}

impl Models {
    pub(crate) fn new(world: World) -> Self {
        Self { world, open: AtomicUsize::new(0), answered: AtomicUsize::new(0) }
    }
}

struct Open<'a>(&'a AtomicUsize);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Steps for Models {
    async fn call(&self, call: Call<'_>) -> Result<Answer, ApiError> {
        self.open.fetch_add(1, Relaxed);
        let _open = Open(&self.open);
        let key = Key::new(call.step, call.target, call.inputs, call.attempt);
        tokio::time::sleep(self.world.delay(&key)).await;
        match self.world.fate(&key) {
            Fate::Answered => {
                self.answered.fetch_add(1, Relaxed);
                Ok(Answer { outputs: compute(call.target, call.inputs, call.outputs), used: used(&self.world, &key) })
            }
            Fate::Failed(kind) => Err(ApiError::new(kind, "as the seed has it")),
            Fate::Silent => std::future::pending().await,
        }
    }
}
