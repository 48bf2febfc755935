//! A model and authors for tests.
//!
//! The model's answers are made of what it reads back from its blocks, position by position: a wrong table, a block that holds something else, or one
//! that was written by a step that failed gives other tokens.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use parking_lot::Mutex;

use crate::{Author, Decoder, DecoderError, DecoderFacts, End, Job, Logits, Next, Priority, Span, Wants};

/// Tokens of the fake model.
pub(crate) const VOCABULARY: usize = 17;

pub(crate) fn facts(blocks: usize, block_tokens: usize) -> DecoderFacts {
    DecoderFacts { vocabulary: VOCABULARY, max_tokens: 4096, block_tokens, blocks, block_bytes: 1, chooses: false }
}

fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// How the fake model turns what it has read into logits. With `dull`, the next token depends on few of the last ones, so that answers repeat.
fn row(states: &[u64], dull: bool) -> Vec<f32> {
    let all = states.iter().fold(0_u64, |all, state| all.rotate_left(1) ^ state);
    let last = states.iter().rev().take(2).fold(0, |last, state| last * 3 + state % 3);
    let seed = hash(if dull { last } else { all });
    let mut random = fastrand::Rng::with_seed(seed);
    (0..VOCABULARY).map(|_| random.f32()).collect()
}

/// What a token at the end of `states` leaves in the cache.
fn state(states: &[u64], token: u32, dull: bool) -> u64 {
    if dull { u64::from(token) } else { hash((states, token)) }
}

#[derive(Default)]
pub(crate) struct Seen {
    /// For each step, (tokens, cached, whether rows were wanted) of each span.
    pub(crate) steps: Vec<Vec<(usize, usize, Wants)>>,
}

/// A model whose cache is in plain sight.
pub(crate) struct FakeDecoder {
    facts: DecoderFacts,
    blocks: Vec<u64>,
    dull: bool,
    pub(crate) seen: Arc<Mutex<Seen>>,
    /// Says by the step's number and its spans' tokens whether it fails.
    pub(crate) fault: Fault,
}

pub(crate) type Fault = Box<dyn FnMut(usize, &[Span<'_>]) -> Option<DecoderError> + Send>;

impl FakeDecoder {
    pub(crate) fn new(facts: &DecoderFacts) -> Self {
        let blocks = vec![0; facts.blocks * facts.block_tokens];
        Self { facts: facts.clone(), blocks, dull: false, seen: Arc::default(), fault: Box::new(|_, _| None) }
    }

    pub(crate) fn dull(mut self, dull: bool) -> Self {
        self.dull = dull;
        self
    }

    /// It may be asked for tokens instead of logits.
    pub(crate) fn choosing(mut self, chooses: bool) -> Self {
        self.facts.chooses = chooses;
        self
    }

    fn slot(&self, span: &Span<'_>, position: usize) -> usize {
        span.blocks[position / self.facts.block_tokens] as usize * self.facts.block_tokens + position % self.facts.block_tokens
    }

    /// The blocks that the span writes to.
    fn written<'a>(&self, span: &Span<'a>) -> &'a [u32] {
        let (first, end) = (span.cached / self.facts.block_tokens, (span.cached + span.tokens.len()).div_ceil(self.facts.block_tokens));
        &span.blocks[first..end]
    }

    fn check(&self, spans: &[Span<'_>]) {
        let mut uses = HashMap::new();
        for span in spans {
            assert!(!span.tokens.is_empty(), "a span has tokens");
            assert_eq!(span.blocks.iter().collect::<HashSet<_>>().len(), span.blocks.len(), "no block twice in a table");
            for &block in span.blocks {
                *uses.entry(block).or_insert(0) += 1;
            }
        }
        for block in spans.iter().flat_map(|span| self.written(span)) {
            assert_eq!(uses[block], 1, "block {block} is written while another reads it");
        }
    }
}

impl Decoder for FakeDecoder {
    fn facts(&self) -> &DecoderFacts {
        &self.facts
    }

    fn step(&mut self, spans: &[Span<'_>]) -> Result<Logits, DecoderError> {
        self.check(spans);
        let step = {
            let mut seen = self.seen.lock();
            seen.steps.push(spans.iter().map(|span| (span.tokens.len(), span.cached, span.wants)).collect());
            seen.steps.len() - 1
        };
        if let Some(error) = (self.fault)(step, spans) {
            let written: Vec<u32> = spans.iter().flat_map(|span| self.written(span)).copied().collect();
            for block in written {
                self.blocks[block as usize * self.facts.block_tokens..][..self.facts.block_tokens].fill(step as u64 ^ 0xdead);
            }
            return Err(error);
        }
        let (mut values, mut likeliest) = (Vec::new(), Vec::new());
        for span in spans {
            let mut states: Vec<u64> = (0..span.cached).map(|position| self.blocks[self.slot(span, position)]).collect();
            for (index, &token) in span.tokens.iter().enumerate() {
                let new = state(&states, token, self.dull);
                let slot = self.slot(span, states.len());
                self.blocks[slot] = new;
                states.push(new);
                if span.wants == Wants::Every || (span.wants == Wants::Last && index + 1 == span.tokens.len()) {
                    values.extend(row(&states, self.dull));
                }
            }
            if let Wants::Likeliest(among) = span.wants {
                assert!(self.facts.chooses && among == VOCABULARY);
                likeliest.push(Some(best(&row(&states, self.dull)) as u32));
            }
        }
        Ok(Logits { values, likeliest })
    }
}

fn best(logits: &[f32]) -> usize {
    logits.iter().enumerate().max_by(|one, other| one.1.total_cmp(other.1)).map_or(0, |(token, _)| token)
}

/// What the fake author chooses, when it has chosen `chosen` tokens before.
fn choose(best: usize, chosen: usize) -> u32 {
    // An author has a state of its own, as a sampler has.
    ((best + chosen / 20) % VOCABULARY) as u32
}

/// The answer to a prompt, made without any blocks.
pub(crate) fn answer(prompt: &[u32], tokens: usize, dull: bool) -> Vec<u32> {
    let mut states = Vec::new();
    for &token in prompt {
        states.push(state(&states, token, dull));
    }
    let mut answer = Vec::new();
    while answer.len() < tokens {
        let token = choose(best(&row(&states, dull)), answer.len());
        answer.push(token);
        states.push(state(&states, token, dull));
    }
    answer
}

/// What the model says in front of each of a prompt's tokens but the first.
pub(crate) fn rows_of(prompt: &[u32]) -> Vec<Vec<f32>> {
    let mut states = Vec::new();
    let rows = prompt.iter().map(|&token| {
        states.push(state(&states, token, false));
        row(&states, false)
    });
    rows.take(prompt.len() - 1).collect()
}

/// What an author was told.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Told {
    pub(crate) begun: Option<(usize, usize)>,
    pub(crate) tokens: Vec<u32>,
    pub(crate) rows: Vec<(usize, Vec<f32>)>,
    pub(crate) end: Option<End>,
    pub(crate) dropped: bool,
}

impl Told {
    pub(crate) fn over(&self) -> bool {
        self.dropped
    }
}

/// Where a test sees what becomes of a job.
#[derive(Clone, Default)]
pub(crate) struct Reader {
    told: Arc<Mutex<Told>>,
    gone: Arc<AtomicBool>,
    changed: Arc<parking_lot::Condvar>,
}

impl Reader {
    pub(crate) fn told(&self) -> Told {
        self.told.lock().clone()
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn leave(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    /// Waits, for a minute at most, until what was told is so.
    pub(crate) fn wait(&self, until: impl Fn(&Told) -> bool) -> Told {
        let mut told = self.told.lock();
        let late = Instant::now() + std::time::Duration::from_secs(60);
        while !until(&told) {
            assert!(!self.changed.wait_until(&mut told, late).timed_out(), "nothing came: {told:?}");
        }
        told.clone()
    }

    fn tell(&self, what: impl FnOnce(&mut Told)) {
        what(&mut self.told.lock());
        self.changed.notify_all();
    }
}

/// What an author does besides choosing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Habits {
    /// It says that the answer is complete in place of the token after so many.
    pub(crate) stops_after: Option<usize>,
    pub(crate) reads_prompt: bool,
    /// It panics in place of the token after so many.
    pub(crate) panics_after: Option<usize>,
}

/// An author that writes down what it is told.
struct FakeAuthor {
    reader: Reader,
    habits: Habits,
}

impl Author for FakeAuthor {
    fn begin(&mut self, prompt: usize, cached: usize) {
        self.reader.tell(|told| assert_eq!(told.begun.replace((prompt, cached)), None, "begun once"));
    }

    fn next(&mut self, logits: &mut [f32]) -> Next {
        let best = best(logits);
        // They are the author's to change.
        logits.fill(0.0);
        self.write(best)
    }

    fn takes_likeliest(&self) -> Option<usize> {
        Some(VOCABULARY)
    }

    fn take_likeliest(&mut self, likeliest: Option<u32>) -> Next {
        self.write(likeliest.unwrap() as usize)
    }

    fn reads_prompt(&self) -> bool {
        self.habits.reads_prompt
    }

    fn read(&mut self, place: usize, logits: &mut [f32]) {
        self.reader.tell(|told| told.rows.push((place, logits.to_vec())));
    }

    fn wanted(&self) -> bool {
        !self.reader.gone.load(Ordering::Relaxed)
    }

    fn end(&mut self, end: End) {
        self.reader.tell(|told| assert_eq!(told.end.replace(end), None, "ended once"));
    }
}

impl FakeAuthor {
    fn write(&mut self, best: usize) -> Next {
        let chosen = self.reader.told().tokens.len();
        assert!(Some(chosen) != self.habits.panics_after, "an author's fault");
        let token = choose(best, chosen);
        if Some(chosen) == self.habits.stops_after {
            self.reader.tell(|told| told.end = Some(End::Length));
            return Next::Last;
        }
        self.reader.tell(|told| told.tokens.push(token));
        Next::Token(token)
    }
}

impl Drop for FakeAuthor {
    fn drop(&mut self) {
        self.reader.tell(|told| told.dropped = true);
    }
}

/// A job of tenant "a" and the reader of its answer.
pub(crate) fn job(prompt: &[u32], max_new: usize) -> (Job, Reader) {
    job_by(Habits::default(), prompt, max_new)
}

pub(crate) fn job_by(habits: Habits, prompt: &[u32], max_new: usize) -> (Job, Reader) {
    let reader = Reader::default();
    let author = FakeAuthor { reader: reader.clone(), habits };
    let job = Job {
        prompt: prompt.to_vec(),
        max_new,
        author: Box::new(author),
        priority: Priority::Normal,
        deadline: None,
        scope: "a".into(),
        tenant: "a".into(),
    };
    (job, reader)
}

/// A prompt of so many tokens, each seed its own.
pub(crate) fn prompt(seed: u64, tokens: usize) -> Vec<u32> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..tokens).map(|_| random.u32(0..VOCABULARY as u32)).collect()
}
