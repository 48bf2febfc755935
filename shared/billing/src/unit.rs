//! What is counted and can have a price.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{currency::shown, error::BillingError, moment::Moment, period::Period};

/// Something that is counted, as `torchmesh.usage.v1` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Calls that are to be paid.
    Calls,
    /// Tokens that were read. Where cached tokens have a price of their own, without those.
    PromptTokens,
    /// Tokens that were read and found in the cache.
    CachedTokens,
    /// Tokens that were written.
    CompletionTokens,
    /// Texts, images, rows.
    Items,
    /// Milliseconds of sound.
    AudioMs,
    /// Microseconds of the batches that the call's rows ran in.
    ComputeUs,
}

impl Unit {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Calls, Self::PromptTokens, Self::CachedTokens, Self::CompletionTokens, Self::Items, Self::AudioMs, Self::ComputeUs];

    /// Its name, as files and invoices have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::PromptTokens => "prompt_tokens",
            Self::CachedTokens => "cached_tokens",
            Self::CompletionTokens => "completion_tokens",
            Self::Items => "items",
            Self::AudioMs => "audio_ms",
            Self::ComputeUs => "compute_us",
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Unit {
    type Err = BillingError;

    fn from_str(text: &str) -> Result<Self, BillingError> {
        Self::ALL.into_iter().find(|unit| unit.name() == text).ok_or_else(|| BillingError::NotUnit(shown(text)))
    }
}

/// How much of each unit was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the unit of its name")]
pub struct Usage {
    pub calls: u64,
    /// All tokens that were read, those of the cache among them.
    pub prompt_tokens: u64,
    /// Of those, how many were in the cache.
    pub cached_tokens: u64,
    pub completion_tokens: u64,
    pub items: u64,
    pub audio_ms: u64,
    pub compute_us: u64,
}

impl Usage {
    /// How much of a unit; of prompt tokens all.
    pub fn of(&self, unit: Unit) -> u64 {
        match unit {
            Unit::Calls => self.calls,
            Unit::PromptTokens => self.prompt_tokens,
            Unit::CachedTokens => self.cached_tokens,
            Unit::CompletionTokens => self.completion_tokens,
            Unit::Items => self.items,
            Unit::AudioMs => self.audio_ms,
            Unit::ComputeUs => self.compute_us,
        }
    }

    /// Whether nothing was used.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// What is to be paid of one call's use, by the gRPC code that it ended with: everything of one that is OK (0), and of one that was cut (1, 4) after something
    /// was passed on; nothing of any other.
    #[must_use]
    pub fn to_pay(self, code: u32) -> Self {
        let passed_on = [self.prompt_tokens, self.completion_tokens, self.items, self.audio_ms].iter().any(|count| *count > 0);
        match code {
            0 => self,
            1 | 4 if passed_on => self,
            _ => Self::default(),
        }
    }

    /// Both together.
    pub fn plus(&self, other: &Self) -> Result<Self, BillingError> {
        let sum = |unit| self.of(unit).checked_add(other.of(unit)).ok_or(BillingError::TooLarge);
        Ok(Self {
            calls: sum(Unit::Calls)?,
            prompt_tokens: sum(Unit::PromptTokens)?,
            cached_tokens: sum(Unit::CachedTokens)?,
            completion_tokens: sum(Unit::CompletionTokens)?,
            items: sum(Unit::Items)?,
            audio_ms: sum(Unit::AudioMs)?,
            compute_us: sum(Unit::ComputeUs)?,
        })
    }
}

/// What a tenant used of a model within a time: one call's use, or that of many.
///
/// It must not span an instant at which prices, plan or period change ([`crate::invoice::boundaries`]); it is refused if it does, for nobody could say how much of
/// it belongs to which side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollup {
    /// From when.
    pub from: Moment,
    /// To when, exclusive; of one event: a millisecond later.
    pub to: Moment,
    /// Which model.
    pub model: String,
    /// How much.
    pub usage: Usage,
    /// Whether it was by lines of batches, which may have a price of their own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub batch: bool,
}

impl Rollup {
    /// The use of one call, of none that a batch made.
    pub fn event(at: Moment, model: impl Into<String>, usage: Usage) -> Self {
        Self { from: at, to: at.later(1), model: model.into(), usage, batch: false }
    }

    /// The use of one line of a batch.
    pub fn batched(at: Moment, model: impl Into<String>, usage: Usage) -> Self {
        Self { batch: true, ..Self::event(at, model, usage) }
    }

    pub(crate) fn check(&self) -> Result<(), BillingError> {
        let good = self.from < self.to && self.usage.cached_tokens <= self.usage.prompt_tokens;
        if good { Ok(()) } else { Err(BillingError::BadRollup(self.from)) }
    }

    pub(crate) fn time(&self) -> Period {
        Period { start: self.from, end: self.to }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_failed_is_not_paid_and_one_that_was_cut_is_paid_for_what_was_passed_on() {
        let used = Usage { calls: 1, prompt_tokens: 5, completion_tokens: 2, compute_us: 9, ..Usage::default() };
        let nothing = Usage { calls: 1, compute_us: 9, ..Usage::default() };
        assert_eq!(used.to_pay(0), used);
        assert_eq!((used.to_pay(1), used.to_pay(4)), (used, used));
        assert_eq!((nothing.to_pay(1), used.to_pay(13)), (Usage::default(), Usage::default()));
        assert_eq!(nothing.to_pay(0), nothing);
    }

    #[test]
    fn every_unit_is_read_by_its_name() {
        for unit in Unit::ALL {
            assert_eq!(unit.name().parse(), Ok(unit));
        }
        assert!("token".parse::<Unit>().is_err());
    }

    #[test]
    fn a_sum_that_does_not_fit_is_an_error() {
        let most = Usage { items: u64::MAX, ..Usage::default() };
        assert_eq!(most.plus(&Usage { items: 1, ..Usage::default() }), Err(BillingError::TooLarge));
    }
}
