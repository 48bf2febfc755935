//! What the machine can do at most: forwards in a loop, with nothing around them.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::engine::{self, Dtype, Engine, EngineError, EngineSpec};
use crate::tensor::Tensor;

/// Measures raw forwards of a text encoder: the floor that serving is held against.
#[derive(Clone, Debug, clap::Args)]
pub struct BenchFloorArgs {
    /// The encoder: a `TorchScript` file that takes `input_ids` and `attention_mask`, or the `model.safetensors` of a Hugging Face directory.
    #[arg(long)]
    pub model: PathBuf,
    /// Sentences in a batch.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub batch: u32,
    /// Tokens in a sentence; several numbers, separated by commas, are the lengths of one sentence after the other, over and over.
    #[arg(long, default_value = "32", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub sequence: Vec<u32>,
    /// What the weights are held in: auto, fp32, bf16 or fp16.
    #[arg(long, default_value_t = Dtype::Auto)]
    pub dtype: Dtype,
    /// How long to measure, after warming up.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// Threads, each with an engine of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: u32,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub output: OutputFormat,
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum OutputFormat {
    /// One line for people.
    Text,
    /// One JSON object.
    Json,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Floor {
    /// Sentences a second, all threads together.
    pub sentences_per_second: f64,
    /// The median forward, in milliseconds.
    pub forward_p50_ms: f64,
    /// The first forward after loading, in milliseconds: what warming up spares the first caller.
    pub first_forward_ms: f64,
    /// Forwards counted.
    pub forwards: usize,
}

/// Measures, and prints the result to standard output.
pub fn run(args: &BenchFloorArgs) -> Result<(), EngineError> {
    let floor = measure(args)?;
    let line = match args.output {
        OutputFormat::Json => serde_json::json!(floor).to_string(),
        OutputFormat::Text => format!(
            "{:.1} sentences/s (batch {}, {:?} tokens, {} threads; forward p50 {:.2} ms, first {:.2} ms)",
            floor.sentences_per_second, args.batch, args.sequence, args.threads, floor.forward_p50_ms, floor.first_forward_ms
        ),
    };
    println!("{line}");
    Ok(())
}

/// Measures: every thread forwards its own batch again and again until the time is up.
pub fn measure(args: &BenchFloorArgs) -> Result<Floor, EngineError> {
    let batch = example(args.batch, &args.sequence);
    let spec = EngineSpec { dtype: args.dtype, ..EngineSpec::new(&args.model) };
    let mut engines = (0..args.threads).map(|_| engine::load(&spec)).collect::<Result<Vec<_>, _>>()?;
    let mut first = Duration::ZERO;
    for engine in &mut engines {
        first = first.max(forward_time(engine.as_mut(), &batch)?);
        forward_time(engine.as_mut(), &batch)?;
    }
    let start = Instant::now();
    let end = start + Duration::from_secs(args.seconds);
    let runs = std::thread::scope(|scope| {
        let threads: Vec<_> = engines.iter_mut().map(|engine| scope.spawn(|| forward_until(end, engine.as_mut(), &batch))).collect();
        threads.into_iter().map(join).collect::<Result<Vec<_>, _>>()
    })?;
    let elapsed = start.elapsed().as_secs_f64();
    let mut times: Vec<Duration> = runs.into_iter().flatten().collect();
    times.sort_unstable();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    Ok(Floor {
        sentences_per_second: times.len() as f64 * f64::from(args.batch) / elapsed,
        forward_p50_ms: times.get(times.len() / 2).copied().map_or(0.0, milliseconds),
        first_forward_ms: milliseconds(first),
        forwards: times.len(),
    })
}

fn forward_until(end: Instant, engine: &mut dyn Engine, batch: &[Tensor]) -> Result<Vec<Duration>, EngineError> {
    let mut times = Vec::new();
    while Instant::now() < end {
        times.push(forward_time(engine, batch)?);
    }
    Ok(times)
}

fn forward_time(engine: &mut dyn Engine, batch: &[Tensor]) -> Result<Duration, EngineError> {
    let start = Instant::now();
    engine.forward(batch)?;
    Ok(start.elapsed())
}

/// The result of a thread; a panic goes on in this one.
fn join<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A batch of words from all over the vocabulary, its sentences of the given lengths in turn, padded to the longest that is in it.
fn example(batch: u32, lengths: &[u32]) -> [Tensor; 2] {
    let lengths: Vec<u32> = lengths.iter().copied().cycle().take(batch as usize).collect();
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let shape = [i64::from(batch), i64::from(longest)];
    let count = shape[0] * shape[1];
    let ids: Vec<i64> = (0..count).map(|index| 1000 + index * 7919 % 20_000).collect();
    let mask: Vec<i64> = lengths.iter().flat_map(|&length| (0..longest).map(move |column| i64::from(column < length))).collect();
    [Tensor::from_i64s(shape, &ids), Tensor::from_i64s(shape, &mask)]
}
