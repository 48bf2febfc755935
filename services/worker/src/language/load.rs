//! Loading a language model: its files, its thread, one step to see that it runs.

use std::{
    path::Path,
    sync::{Arc, OnceLock, mpsc},
    thread,
};

use tokenizers::Tokenizer;
use torchmesh_generation::{
    Decoder, Generator, Lookup, Runner, Settings, Span, Wants,
    chat::{CallFormat, Template},
    sample::Sampling,
    write::Words,
};
use torchmesh_weights::PublishedModel;

use super::LanguageModel;
use crate::{
    engine::{self, LanguageSpec},
    manifest::{GenerateSettings, Manifest},
};

/// Loads the model in `folder` and starts its thread, which calls `over` when the model has failed for good. Seconds to minutes; the error is for
/// the repository index.
pub(crate) fn load(
    name: &str,
    manifest: &Manifest,
    settings: &GenerateSettings,
    folder: &Path,
    over: impl FnOnce(String) + Send + 'static,
) -> Result<LanguageModel, String> {
    let artefact = folder.join(&manifest.artefact);
    let short = |error: String| error.replace(&format!("{}/", folder.display()), "");
    let published = torchmesh_weights::open(&artefact).map_err(|error| short(error.to_string()))?;
    let spec = LanguageSpec {
        artefact,
        device: manifest.device,
        dtype: manifest.dtype,
        threads: manifest.intra_op_threads,
        cache_bytes: settings.cache_bytes,
        max_tokens: settings.max_tokens,
    };
    let generator = start(name, spec, schedule(manifest, settings), over)?;
    assemble(published.as_ref(), settings, folder, generator).map_err(short)
}

fn schedule(manifest: &Manifest, settings: &GenerateSettings) -> Settings {
    Settings {
        step_tokens: settings.step_tokens,
        max_running: settings.max_running,
        max_waiting: manifest.queue.max_requests,
        lookup: (settings.guesses > 0).then(|| Lookup { most_guesses: settings.guesses, ..Lookup::default() }),
        ..Settings::default()
    }
}

/// The decoder lives on the thread that runs it.
fn start(name: &str, spec: LanguageSpec, settings: Settings, over: impl FnOnce(String) + Send + 'static) -> Result<Generator, String> {
    let (ready, outcome) = mpsc::channel();
    let spawned = thread::Builder::new().name(format!("{name}-0")).spawn(move || {
        let runner = match prepare(&spec, settings) {
            Ok(runner) => runner,
            Err(reason) => {
                // The loader waits for it.
                let _ = ready.send(Err(reason));
                return;
            }
        };
        engine::give_memory_back();
        let _ = ready.send(Ok(runner.generator()));
        drop(ready);
        if let Err(error) = runner.run() {
            over(format!("a step of the model failed: {error}"));
        }
        engine::give_memory_back();
    });
    spawned.map_err(|error| format!("no thread for the model: {error}"))?;
    outcome.recv().unwrap_or_else(|_| Err("the model broke while it was loaded".to_owned()))
}

fn prepare(spec: &LanguageSpec, settings: Settings) -> Result<Runner, String> {
    let mut decoder = engine::load_language(spec).map_err(|error| error.to_string())?;
    warm_up(decoder.as_mut())?;
    Ok(Runner::new(decoder, settings))
}

/// One step, of as many tokens as a block has: what is wrong with the numbers shows before a caller sees it.
fn warm_up(decoder: &mut dyn Decoder) -> Result<(), String> {
    let facts = decoder.facts();
    let tokens: Vec<u32> = (0..facts.block_tokens.min(facts.max_tokens)).map(|token| (token % facts.vocabulary) as u32).collect();
    let logits = decoder.step(&[Span { tokens: &tokens, cached: 0, blocks: &[0], wants: Wants::Last }]).map_err(|error| error.message)?;
    if logits.values.iter().all(|logit| logit.is_finite()) {
        Ok(())
    } else {
        Err("the model answers NaN or infinity; are its weights whole, and does its dtype hold them?".to_owned())
    }
}

fn assemble(
    published: &dyn PublishedModel,
    settings: &GenerateSettings,
    folder: &Path,
    generator: Generator,
) -> Result<LanguageModel, String> {
    let text = published.tokenizer().map_err(|error| error.to_string())?;
    let mut tokenizer: Tokenizer = text.parse().map_err(|error| format!("tokenizer.json: {error}"))?;
    // Files that ask for them would cut or fill up prompts silently.
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(|error| format!("tokenizer.json: {error}"))?;
    let words = Words::of(&tokenizer).map_err(|error| format!("tokenizer.json: {error}"))?;
    let template = match &settings.chat_template {
        Some(file) => Some(std::fs::read_to_string(folder.join(file)).map_err(|error| format!("{file}: {error}"))?),
        None => published.chat_template().map(str::to_owned),
    };
    let special = |name: &str| published.special_texts().get(name).cloned().unwrap_or_default();
    let (begin, end) = (special("bos_token"), special("eos_token"));
    let calls = match settings.tools.as_str() {
        "auto" => template.as_deref().and_then(CallFormat::of_template),
        "hermes" => Some(CallFormat::Hermes),
        "llama3" => Some(CallFormat::Llama),
        "mistral" => Some(CallFormat::Mistral),
        _ => None,
    };
    let words = calls.iter().fold(words, |words, calls| words.showing(calls.marks()));
    let template =
        template.map(|text| Template::new(&text, &begin, &end)).transpose().map_err(|error| format!("the chat template: {error}"))?;
    Ok(LanguageModel {
        settings: settings.clone(),
        sampling: sampling(settings),
        words: Arc::new(words),
        template,
        calls,
        end_tokens: published.end_tokens().into(),
        begin_token: published.begin_token(),
        grammars: OnceLock::new(),
        tokenizer,
        generator,
    })
}

fn sampling(settings: &GenerateSettings) -> Sampling {
    let (said, plain) = (settings.sampling, Sampling::default());
    Sampling {
        temperature: said.temperature.map_or(plain.temperature, |value| value as f32),
        top_k: said.top_k.map_or(plain.top_k, |count| u32::try_from(count).unwrap_or(u32::MAX)),
        top_p: said.top_p.map_or(plain.top_p, |value| value as f32),
        min_p: said.min_p.map_or(plain.min_p, |value| value as f32),
        repetition_penalty: said.repetition_penalty.map_or(plain.repetition_penalty, |value| value as f32),
        ..plain
    }
}
