//! What was used, put in order for charts and tables.

use std::collections::BTreeMap;

use torchmesh_api::accounts::v1::{UsageBy, UsageSum};

use crate::figures::{self, DAY_MS};

/// What a table has a line for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pages) enum By {
    /// Each model.
    Model,
    /// Each key.
    Key,
}

impl By {
    pub(super) const ALL: [Self; 2] = [Self::Model, Self::Key];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Key => "key",
        }
    }

    /// The one of a word; models, for any other.
    pub(super) fn parse(word: &str) -> Self {
        Self::ALL.into_iter().find(|by| by.as_str() == word).unwrap_or(Self::Model)
    }

    pub(super) fn asked(self) -> UsageBy {
        match self {
            Self::Model => UsageBy::Model,
            Self::Key => UsageBy::Credential,
        }
    }

    fn of(self, sum: &UsageSum) -> &str {
        match self {
            Self::Model => &sum.model,
            Self::Key => &sum.credential,
        }
    }
}

/// Sums of sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) calls: i64,
    pub(super) failed: i64,
    pub(super) prompt: i64,
    pub(super) completion: i64,
}

impl Total {
    fn add(&mut self, sum: &UsageSum) {
        self.calls = self.calls.saturating_add(sum.calls);
        self.failed = self.failed.saturating_add(sum.failed);
        self.prompt = self.prompt.saturating_add(sum.prompt_tokens);
        self.completion = self.completion.saturating_add(sum.completion_tokens);
    }

    pub(super) fn tokens(self) -> i64 {
        self.prompt.saturating_add(self.completion)
    }
}

/// All of them together.
pub(super) fn total(sums: &[UsageSum]) -> Total {
    let mut total = Total::default();
    for sum in sums {
        total.add(sum);
    }
    total
}

/// One total for each of the `days` days up to the one that `now` is in, days without a call included.
pub(super) fn by_day(sums: &[UsageSum], now: i64, days: i64) -> Vec<(String, Total)> {
    let mut found: BTreeMap<i64, Total> = BTreeMap::new();
    for sum in sums {
        found.entry(figures::day_of(sum.begin_unix_ms)).or_default().add(sum);
    }
    let today = figures::day_of(now);
    let each = (0..days).rev().map(|back| today - back * DAY_MS);
    each.map(|day| (figures::day(day), found.get(&day).copied().unwrap_or_default())).collect()
}

/// One total for each model or key, the most called first.
pub(super) fn by_name(sums: &[UsageSum], by: By) -> Vec<(String, Total)> {
    let mut found: BTreeMap<&str, Total> = BTreeMap::new();
    for sum in sums {
        found.entry(by.of(sum)).or_default().add(sum);
    }
    let mut all: Vec<_> = found.into_iter().map(|(name, total)| (name.to_owned(), total)).collect();
    all.sort_by_key(|(_, total)| std::cmp::Reverse(total.calls));
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(day: i64, model: &str, calls: i64) -> UsageSum {
        UsageSum { begin_unix_ms: day * DAY_MS, model: model.to_owned(), calls, prompt_tokens: calls * 2, ..Default::default() }
    }

    #[test]
    fn days_without_a_call_are_there_and_the_most_called_is_first() {
        let sums = [sum(100, "a", 1), sum(100, "b", 5), sum(102, "a", 2)];
        let days: Vec<_> = by_day(&sums, 102 * DAY_MS + 5, 4).into_iter().map(|(_, total)| total.calls).collect();
        assert_eq!(days, [0, 6, 0, 2]);
        let names: Vec<_> = by_name(&sums, By::Model).into_iter().map(|(name, total)| (name, total.calls)).collect();
        assert_eq!(names, [("b".to_owned(), 5), ("a".to_owned(), 3)]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_whichever_way_it_is_put(calls in prop::collection::vec((0_i64..30, 0_usize..4, 0_i64..1000), 0..50)) {
            let sums: Vec<_> = calls.iter().map(|(day, model, calls)| sum(*day, ["a", "b", "c", "d"][*model], *calls)).collect();
            let whole = total(&sums);
            let days: i64 = by_day(&sums, 29 * DAY_MS, 30).iter().map(|(_, total)| total.calls).sum();
            let names: i64 = by_name(&sums, By::Model).iter().map(|(_, total)| total.prompt).sum();
            prop_assert_eq!((days, names), (whole.calls, whole.prompt));
        }
    }
}
