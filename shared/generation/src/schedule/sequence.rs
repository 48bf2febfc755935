//! One sequence: its tokens, how many of them are in the cache, and what it does in the step.

use std::{ops::Range, sync::Arc, time::Instant};

use super::{
    guesses::Index,
    job::{Job, Limits, Priority},
    pen::{Over, Pen, failed},
    settings::Lookup,
};
use crate::{
    End, Span, Wants,
    blocks::{Pool, Table},
};

/// Who goes first: the higher class, then the earlier arrival.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Rank {
    pub(crate) priority: Priority,
    pub(crate) arrival: u64,
}

pub(crate) struct Sequence {
    pub(crate) rank: Rank,
    pub(crate) scope: Arc<str>,
    pub(crate) tenant: Arc<str>,
    deadline: Option<Instant>,
    pub(crate) pen: Pen,
    /// The prompt and what was chosen; behind them, within a step only, the guesses.
    tokens: Vec<u32>,
    prompt: usize,
    guesses: usize,
    /// How long it gets, prompt and all.
    length: usize,
    pub(crate) table: Table,
    /// Tokens that are in the blocks.
    pub(crate) cached: usize,
    /// The most that ever were: what lies below has been counted as read.
    furthest: usize,
    /// The prompt's last place that the author was told of, and the last one that it wants to be told of.
    told: usize,
    aloud: usize,
    pub(crate) begun: bool,
    /// It was in a failed step that would have read so far, and is tried alone until it has.
    suspect: Option<usize>,
    /// How many tokens it reads in this step; 0 where it is not in it.
    pub(crate) part: usize,
    /// It starts when the sequence of that rank has read so many tokens, or is gone.
    pub(crate) waits_for: Option<(Rank, usize)>,
    /// It did not fit into so many free blocks.
    pub(crate) refused: Option<usize>,
    index: Index,
    /// Whether the decoder may choose for it.
    chosen_for: bool,
}

/// What a step has done, for the figures.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) prompt_tokens: u64,
    pub(crate) tokens_read_again: u64,
    pub(crate) tokens_written: u64,
    pub(crate) guesses: u64,
    pub(crate) guesses_accepted: u64,
}

impl Sequence {
    /// Of a job that was checked.
    pub(crate) fn new(job: Job, arrival: u64, limits: &Limits) -> Self {
        let prompt = job.prompt.len();
        Self {
            rank: Rank { priority: job.priority, arrival },
            scope: job.scope,
            tenant: job.tenant,
            deadline: job.deadline,
            pen: Pen::new(job.author),
            prompt,
            length: limits.length(prompt, job.max_new),
            tokens: job.prompt,
            guesses: 0,
            table: Table::default(),
            cached: 0,
            furthest: 0,
            told: 0,
            aloud: 0,
            begun: false,
            suspect: None,
            part: 0,
            waits_for: None,
            refused: None,
            index: Index::default(),
            chosen_for: limits.chooses(),
        }
    }

    pub(crate) fn prompt(&self) -> usize {
        self.prompt
    }

    /// The prompt and what was chosen.
    pub(crate) fn known(&self) -> &[u32] {
        &self.tokens[..self.tokens.len() - self.guesses]
    }

    /// Tokens that are not in the cache yet: one while the sequence writes.
    pub(crate) fn to_read(&self) -> usize {
        self.known().len() - self.cached
    }

    /// The author wants to be told of the whole prompt.
    pub(crate) fn read_aloud(&mut self) {
        self.aloud = self.prompt - 1;
    }

    /// Whether the author has still to be told of the prompt.
    pub(crate) fn reads_aloud(&self) -> bool {
        self.told < self.aloud
    }

    /// The tokens that need not be read where the cache has them: the last is read for what follows it, and so are those the author is told of.
    pub(crate) fn skippable(&self) -> &[u32] {
        let known = self.known();
        &known[..if self.reads_aloud() { self.told } else { known.len() - 1 }]
    }

    /// It has its place, and so many of its tokens were in the cache.
    pub(crate) fn start(&mut self, cached: usize) {
        self.cached = cached;
        self.furthest = self.furthest.max(cached);
    }

    /// It has lost its place, and its blocks.
    pub(crate) fn stop(&mut self) {
        debug_assert!(self.guesses == 0, "guesses are made when all have their blocks");
        (self.cached, self.part) = (0, 0);
        (self.waits_for, self.refused) = (None, None);
    }

    /// How many tokens may be guessed at most: one more is chosen behind them.
    pub(crate) fn guessable(&self) -> usize {
        self.length.saturating_sub(self.known().len() + 1)
    }

    /// Where in its tokens those stand that may follow.
    pub(crate) fn look_up(&mut self, lookup: Lookup, most: usize) -> Range<usize> {
        self.index.find(&self.tokens, lookup, most)
    }

    /// Adds guesses, which are a range of its own tokens, to its part of the step.
    pub(crate) fn guess(&mut self, tokens: Range<usize>) {
        self.guesses = tokens.len();
        self.part += tokens.len();
        self.tokens.extend_from_within(tokens);
    }

    fn wants(&self) -> Wants {
        if self.reads_aloud() || self.guesses > 0 {
            Wants::Every
        } else if self.part == self.to_read() {
            let among = if self.chosen_for { self.pen.takes_likeliest() } else { None };
            among.map_or(Wants::Last, Wants::Likeliest)
        } else {
            Wants::Nothing
        }
    }

    /// Its part of the step.
    pub(crate) fn span(&self) -> Span<'_> {
        Span { tokens: &self.tokens[self.cached..][..self.part], cached: self.cached, blocks: self.table.blocks(), wants: self.wants() }
    }

    /// Rows of logits that its part of the step gives.
    pub(crate) fn rows(&self) -> usize {
        match (self.part, self.wants()) {
            (0, _) | (_, Wants::Nothing | Wants::Likeliest(_)) => 0,
            (_, Wants::Last) => 1,
            (part, Wants::Every) => part,
        }
    }

    /// Whether its part of the step gives the next token itself.
    pub(crate) fn is_chosen_for(&self) -> bool {
        self.part > 0 && matches!(self.wants(), Wants::Likeliest(_))
    }

    /// Whether it is over before the next step.
    pub(crate) fn check(&mut self, now: Instant) -> Result<(), Over> {
        self.pen.wanted()?;
        match self.deadline {
            Some(deadline) if deadline <= now => Err(Over::Tell(End::Deadline)),
            _ => Ok(()),
        }
    }

    /// Its part of the step was read; `rows` are the logits that it asked for.
    pub(crate) fn advance(&mut self, rows: &mut [f32], limits: &Limits, progress: &mut Progress) -> Result<(), Over> {
        let vocabulary = limits.vocabulary();
        let end = self.cached + std::mem::take(&mut self.part);
        let guesses = self.take_guesses();
        progress.guesses += guesses.len() as u64;
        // A guess counts as read when it turns out to be right, and not before.
        self.reach(end - guesses.len(), progress);
        self.suspect = self.suspect.filter(|&until| self.cached < until);
        let first = end - rows.len() / vocabulary;
        let mut guesses = guesses.into_iter();
        for (row, place) in rows.chunks_exact_mut(vocabulary).zip(first + 1..) {
            if place == self.told + 1 && place <= self.aloud {
                self.pen.read(place, row)?;
                self.told = place;
            } else if place == self.tokens.len() {
                let token = self.write(|pen| pen.next(row), limits, progress)?;
                if guesses.next() != Some(token) {
                    break;
                }
                progress.guesses_accepted += 1;
                self.reach(place + 1, progress);
            }
        }
        Ok(())
    }

    /// Its part of the step was read, and this is the likeliest token behind it, which it asked for.
    pub(crate) fn advance_by(&mut self, likeliest: Option<u32>, limits: &Limits, progress: &mut Progress) -> Result<(), Over> {
        let end = self.cached + std::mem::take(&mut self.part);
        self.reach(end, progress);
        self.suspect = self.suspect.filter(|&until| self.cached < until);
        self.write(|pen| pen.take_likeliest(likeliest), limits, progress).map(drop)
    }

    /// Names the blocks that have become full.
    pub(crate) fn settle(&mut self, pool: &mut Pool) {
        pool.settle(&mut self.table, &self.scope, &self.tokens[..self.cached]);
    }

    fn write(&mut self, ask: impl FnOnce(&mut Pen) -> Result<u32, Over>, limits: &Limits, progress: &mut Progress) -> Result<u32, Over> {
        if self.tokens.len() >= self.length {
            return Err(Over::Tell(End::Length));
        }
        let token = ask(&mut self.pen)?;
        if !limits.knows(token) {
            return Err(failed("a token was chosen that the model does not have"));
        }
        self.tokens.push(token);
        progress.tokens_written += 1;
        if self.tokens.len() == self.length { Err(Over::Tell(End::Length)) } else { Ok(token) }
    }

    fn reach(&mut self, to: usize, progress: &mut Progress) {
        let new = self.furthest.max(self.cached);
        progress.prompt_tokens += to.min(self.prompt).saturating_sub(new) as u64;
        progress.tokens_read_again += to.min(new).saturating_sub(self.cached) as u64;
        (self.cached, self.furthest) = (to, new.max(to));
    }

    /// The step that it was in has failed: nobody knows what the blocks hold that it wrote to, so they are written again from their beginning.
    pub(crate) fn fall_back(&mut self, block_tokens: usize) {
        let read = std::mem::take(&mut self.part) - self.take_guesses().len();
        self.suspect = Some(self.cached + read);
        self.cached -= self.cached % block_tokens;
    }

    /// Whether it was in a failed step, and has not done alone what it was to do there.
    pub(crate) fn is_suspect(&self) -> bool {
        self.suspect.is_some()
    }

    fn take_guesses(&mut self) -> Vec<u32> {
        let known = self.tokens.len() - std::mem::take(&mut self.guesses);
        self.tokens.split_off(known)
    }
}
