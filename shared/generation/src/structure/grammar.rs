//! Forms compiled for a vocabulary.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use llguidance::{
    ParserFactory, TokenParser,
    api::ParserLimits,
    toktrie::{ApproximateTokEnv, INVALID_TOKEN, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie},
};

use super::{Form, Matcher};
use crate::{Refusal, write::Words};

/// What one form may cost. A compilation takes up to about 200 ms and a mask up to about 20 ms of one core, where a schema's takes 0.2 ms; a form that
/// needs more is refused, or ends the answer.
const LIMITS: ParserLimits = ParserLimits {
    // Four for each optional property of an object.
    max_items_in_row: 4000,
    initial_lexer_fuel: 1_000_000,
    step_lexer_fuel: 200_000,
    // A plain schema takes some hundreds; each token of the most ambiguous grammar that is within it takes some 10 ms.
    step_max_items: 25_000,
    // 1 to 2 KiB each, so about 40 MiB at most.
    max_lexer_states: 25_000,
    max_grammar_size: 200_000,
    precompute_large_lexemes: true,
    verbose_errors: false,
};

/// A compilation calls itself for each level of a form. Those that are deep are refused by now; this is room for what is left.
const STACK_BYTES: usize = 64 << 20;

/// The vocabulary of a model cannot be walked by a grammar.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the vocabulary cannot be held to a form: {why}")]
pub struct GrammarsError {
    /// Why.
    pub why: String,
}

/// Compiles forms for one model. One for each model: it holds the tree of all tokens.
pub struct Grammars {
    factory: ParserFactory,
}

/// A form that has been compiled. Cheap to copy.
#[derive(Clone)]
pub struct Grammar {
    parser: Arc<Mutex<TokenParser>>,
    /// Whether it is JSON.
    json: bool,
}

impl Grammars {
    /// Grammars over `words`; any of `ends` may come where a form is complete, and nowhere else. Takes some tenths of a second for 100,000 words.
    pub fn new(words: &Words, ends: &[u32]) -> Result<Self, GrammarsError> {
        let refuse = |why: String| GrammarsError { why };
        let bytes: Vec<Vec<u8>> = (0..words.len() as u32).map(|token| spelled(words, ends, token)).collect();
        if let Some(long) = bytes.iter().find(|word| word.len() > 1000) {
            return Err(refuse(format!("a token has {} bytes", long.len())));
        }
        if let Some(end) = ends.iter().find(|&&end| end as usize >= words.len()) {
            return Err(refuse(format!("the end token {end} is not in it")));
        }
        let info = TokRxInfo::new(words.len() as u32, ends.first().copied().unwrap_or(INVALID_TOKEN));
        let mut trie = TokTrie::from(&info, &bytes);
        if !ends.is_empty() {
            trie = trie.with_eos_tokens(ends);
        }
        let tokens: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let slices = llguidance::earley::SlicedBiasComputer::general_slices();
        let mut factory =
            ParserFactory::new(&tokens, InferenceCapabilities::default(), &slices).map_err(|error| refuse(error.to_string()))?;
        factory.quiet();
        *factory.limits_mut() = LIMITS;
        Ok(Self { factory })
    }

    /// Compiles a form. Takes up to about 200 ms of the calling thread, so it is no work for an async one.
    pub fn compile(&self, form: &Form) -> Result<Grammar, Refusal> {
        let source = form.source()?;
        let refuse = |why: &str| Refusal::new(form.field(), why);
        let work = || self.factory.create_parser(source);
        let compiled = thread::scope(|scope| {
            let builder = thread::Builder::new().name("grammar".to_owned()).stack_size(STACK_BYTES);
            let thread = builder.spawn_scoped(scope, work).map_err(|_| refuse("cannot be compiled now; try again"))?;
            thread.join().map_err(|_| refuse("cannot be compiled"))?.map_err(|error| refuse(&plain(&error.to_string())))
        });
        let mut parser = compiled?;
        parser.start_without_prompt();
        Ok(Grammar { parser: Arc::new(Mutex::new(parser)), json: matches!(form, Form::JsonObject | Form::JsonSchema(_)) })
    }
}

impl Grammar {
    /// A matcher at the beginning of an answer.
    pub fn matcher(&self) -> Matcher {
        // The caches of the original would be shared, and locked, between sequences.
        Matcher::new(self.parser.lock().unwrap_or_else(PoisonError::into_inner).deep_clone(), self.json)
    }
}

/// The bytes by which the tree knows a token. What shows in no text is put where no text leads.
fn spelled(words: &Words, ends: &[u32], token: u32) -> Vec<u8> {
    let bytes = words.bytes(token);
    if words.is_special(token) || ends.contains(&token) {
        return [&[TokTrie::SPECIAL_TOKEN_MARKER][..], &bytes].concat();
    }
    bytes.to_vec()
}

/// The part of an error of `llguidance` that means something to the form's author.
pub(super) fn plain(error: &str) -> String {
    let end = error.find("\n<state>").or_else(|| error.find("\n<non-verbose/>")).unwrap_or(error.len());
    let line = error[..end].split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 300 { line } else { line.chars().take(300).chain("...".chars()).collect() }
}

impl std::fmt::Debug for Grammars {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Grammars").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Grammar {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Grammar").finish_non_exhaustive()
    }
}
