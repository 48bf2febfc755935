//! What a language model can do at most: steps in a loop, with nothing around them.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use serde::Serialize;
use torchmesh_generation::{Decoder, Logits, Span, Wants};

use crate::{
    bench_floor::OutputFormat,
    engine::{self, Device, Dtype, EngineError, LanguageSpec},
};

/// Measures raw steps of a language model: the floor that serving is held against.
#[derive(Clone, Debug, clap::Args)]
pub struct BenchDecodeArgs {
    /// The folder of a Hugging Face model, or a GGUF file.
    #[arg(long)]
    pub model: PathBuf,
    /// Tokens of each prompt.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub prompt: u32,
    /// Tokens that follow it, each the likeliest one.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub new: u32,
    /// Sequences in a step; several numbers, separated by commas, are measured one after the other.
    #[arg(long, default_value = "1,4,16", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub sequences: Vec<u32>,
    /// Where it runs: auto, cpu or cuda:N.
    #[arg(long, default_value_t = Device::Auto)]
    pub device: Device,
    /// Threads of a step.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: u32,
    /// What the weights are held in: auto, fp32 or bf16; on a GPU also fp16, on a CPU int8 and int4.
    #[arg(long, default_value_t = Dtype::Auto)]
    pub dtype: Dtype,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub output: OutputFormat,
}

/// What was measured with so many sequences.
#[derive(Clone, Debug, Serialize)]
pub struct Decoded {
    /// Sequences in a step.
    pub sequences: u32,
    /// Prompt tokens a second.
    pub prompt_tokens_per_second: f64,
    /// Tokens a second, of all sequences together.
    pub tokens_per_second: f64,
    /// The median step, in milliseconds.
    pub step_p50_ms: f64,
}

/// Measures, and prints the result to standard output.
pub fn run(args: &BenchDecodeArgs) -> Result<(), EngineError> {
    let most = args.sequences.iter().copied().max().unwrap_or(1) as usize;
    let length = args.prompt as usize + args.new as usize;
    let mut spec = LanguageSpec {
        artefact: args.model.clone(),
        device: args.device,
        dtype: args.dtype,
        threads: args.threads as usize,
        cache_bytes: 0,
        max_tokens: length,
    };
    let (block_tokens, block_bytes) = engine::block_of(&spec)?;
    spec.cache_bytes = block_bytes * length.div_ceil(block_tokens) * most;
    let mut decoder = engine::load_language(&spec)?;
    for &sequences in &args.sequences {
        let decoded = measure(decoder.as_mut(), sequences, args.prompt as usize, args.new as usize)?;
        println!("{}", line(&decoded, args.output));
    }
    Ok(())
}

fn line(decoded: &Decoded, output: OutputFormat) -> String {
    match output {
        OutputFormat::Json => serde_json::json!(decoded).to_string(),
        OutputFormat::Text => format!(
            "{} sequences: {:.0} prompt tokens/s, {:.1} tokens/s (step p50 {:.2} ms)",
            decoded.sequences, decoded.prompt_tokens_per_second, decoded.tokens_per_second, decoded.step_p50_ms
        ),
    }
}

/// Reads the prompts one after the other, and then writes all answers together.
pub fn measure(decoder: &mut dyn Decoder, sequences: u32, prompt: usize, new: usize) -> Result<Decoded, EngineError> {
    let vocabulary = decoder.facts().vocabulary;
    let of_sequence = (prompt + new).div_ceil(decoder.facts().block_tokens) as u32;
    let blocks: Vec<Vec<u32>> = (0..sequences).map(|number| (number * of_sequence..(number + 1) * of_sequence).collect()).collect();
    let broken = |error: torchmesh_generation::DecoderError| EngineError::forward(error.message);
    let wants = if decoder.facts().chooses { Wants::Likeliest(vocabulary) } else { Wants::Last };
    let began = Instant::now();
    let mut next = Vec::new();
    for (number, blocks) in blocks.iter().enumerate() {
        let tokens: Vec<u32> = (0..prompt).map(|place| ((place * 7919 + number * 104_729) % vocabulary) as u32).collect();
        let logits = decoder.step(&[Span { tokens: &tokens, cached: 0, blocks, wants }]).map_err(broken)?;
        next.extend(likeliest(&logits, vocabulary));
    }
    let read = began.elapsed();
    let mut steps = Vec::with_capacity(new);
    for place in 0..new {
        let began = Instant::now();
        let span =
            |number: usize| Span { tokens: std::slice::from_ref(&next[number]), cached: prompt + place, blocks: &blocks[number], wants };
        let spans: Vec<Span<'_>> = (0..sequences as usize).map(span).collect();
        let logits = decoder.step(&spans).map_err(broken)?;
        next = likeliest(&logits, vocabulary);
        steps.push(began.elapsed());
    }
    let written: Duration = steps.iter().sum();
    steps.sort_unstable();
    Ok(Decoded {
        sequences,
        prompt_tokens_per_second: prompt as f64 * f64::from(sequences) / read.as_secs_f64(),
        tokens_per_second: new as f64 * f64::from(sequences) / written.as_secs_f64(),
        step_p50_ms: steps[steps.len() / 2].as_secs_f64() * 1e3,
    })
}

/// The likeliest token of each sequence.
fn likeliest(logits: &Logits, vocabulary: usize) -> Vec<u32> {
    let of_row = |row: &[f32]| {
        let best = row.iter().enumerate().max_by(|one, other| one.1.total_cmp(other.1));
        best.map_or(0, |(token, _)| token as u32)
    };
    let chosen = logits.likeliest.iter().map(|token| token.unwrap_or_default());
    logits.values.chunks(vocabulary).map(of_row).chain(chosen).collect()
}
