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
use torchmesh_weights::{PublishedModel, PublishedSampling, Special};

use super::LanguageModel;
use crate::{
    engine::{self, LanguageSpec},
    manifest::{GenerateSettings, Manifest, SamplingDefaults},
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
    // What is wrong with the texts is known in no time; the weights may take minutes.
    let model = texts(published.special(), tokenizer(published.as_ref()).map_err(short)?, settings, folder)?;
    drop(published);
    Ok(model(start(name, spec, schedule(manifest, settings), over)?))
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
        let _alive = engine::Alive::begin();
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

fn tokenizer(published: &dyn PublishedModel) -> Result<Tokenizer, String> {
    let text = published.tokenizer().map_err(|error| error.to_string())?;
    let mut tokenizer: Tokenizer = text.parse().map_err(|error| format!("tokenizer.json: {error}"))?;
    // Files that ask for them would cut or fill up prompts silently.
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(|error| format!("tokenizer.json: {error}"))?;
    Ok(tokenizer)
}

/// All that stands around the network: gives what makes the model of it and its thread.
fn texts<'a>(
    published: &Special,
    tokenizer: Tokenizer,
    settings: &'a GenerateSettings,
    folder: &Path,
) -> Result<impl FnOnce(Generator) -> LanguageModel + use<'a>, String> {
    let words = Words::of(&tokenizer).map_err(|error| format!("tokenizer.json: {error}"))?;
    let template = template(published, settings, folder)?;
    let calls = match settings.tools.as_str() {
        "auto" => template.as_ref().and_then(Template::format),
        "hermes" => Some(CallFormat::Hermes),
        "llama3" => Some(CallFormat::Llama),
        "mistral" => Some(CallFormat::Mistral),
        _ => None,
    };
    let words = calls.iter().fold(words, |words, calls| words.showing(calls.marks()));
    let (end_tokens, begin_token) = (Arc::from(&published.end[..]), published.begin);
    let sampling = sampling(&settings.sampling, &published.sampling);
    Ok(move |generator| LanguageModel {
        settings: settings.clone(),
        sampling,
        words: Arc::new(words),
        template,
        calls,
        end_tokens,
        begin_token,
        grammars: OnceLock::new(),
        turnover: Arc::default(),
        tokenizer,
        generator,
    })
}

/// The template that the manifest names, or the model's own.
fn template(published: &Special, settings: &GenerateSettings, folder: &Path) -> Result<Option<Template>, String> {
    let (plain, tools) = match &settings.chat_template {
        Some(file) => (Some(std::fs::read_to_string(folder.join(file)).map_err(|error| format!("{file}: {error}"))?), None),
        None => (published.chat_template.clone(), published.tool_template.as_deref()),
    };
    let Some(plain) = plain else { return Ok(None) };
    let special = |name: &str| published.texts.get(name).map_or("", String::as_str);
    let template = Template::new(&plain, special("bos_token"), special("eos_token"));
    let template = template.and_then(|template| tools.into_iter().try_fold(template, Template::with_tools));
    template.map(Some).map_err(|error| format!("the chat template: {error}"))
}

/// What the manifest says, or else the model's own files, or else nothing. The files may say what cannot be; the manifest was checked.
fn sampling(said: &SamplingDefaults, published: &PublishedSampling) -> Sampling {
    let plain = Sampling::default();
    let number = |said: Option<f64>, published: Option<f64>, plain: f32, most: f64| {
        let published = published.filter(|value| (0.0..=most).contains(value));
        said.or(published).map_or(plain, |value| value as f32)
    };
    let positive = |value: Option<f64>| value.filter(|&value| value > 0.0);
    let top_k = said.top_k.map(|count| count as u64).or(published.top_k);
    Sampling {
        temperature: number(said.temperature, published.temperature, plain.temperature, 2.0),
        top_k: top_k.map_or(plain.top_k, |count| u32::try_from(count).unwrap_or(u32::MAX)),
        top_p: number(said.top_p, positive(published.top_p), plain.top_p, 1.0),
        min_p: number(said.min_p, published.min_p, plain.min_p, 1.0),
        repetition_penalty: number(said.repetition_penalty, positive(published.repetition_penalty), plain.repetition_penalty, 2.0),
        ..plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_is_heard_before_the_models_own_files_and_what_cannot_be_is_not() {
        let said = SamplingDefaults { temperature: Some(0.5), ..SamplingDefaults::default() };
        let published = PublishedSampling {
            temperature: Some(0.7),
            top_k: Some(20),
            top_p: Some(0.0),
            min_p: Some(-1.0),
            repetition_penalty: Some(1.1),
        };
        let found = sampling(&said, &published);
        let wanted = Sampling { temperature: 0.5, top_k: 20, repetition_penalty: 1.1, ..Sampling::default() };
        assert_eq!(found, wanted);
    }
}
