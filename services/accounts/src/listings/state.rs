//! How a listing goes on: draft, published, deprecated, retired, and never back.

use crate::error::{Refusal, Result};

/// What a provider gives its callers at least before a model is retired.
pub const NOTICE_MS: i64 = 30 * 24 * 3600 * 1000;
/// A date that is further away is a slip of the pen.
const FURTHEST_MS: i64 = 10 * 365 * 24 * 3600 * 1000;

/// Where a listing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It is being written.
    Draft,
    /// It is shown to those whom it is for.
    Published,
    /// It is shown with the day on which it ends.
    Deprecated,
    /// It has ended.
    Retired,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Draft, Self::Published, Self::Deprecated, Self::Retired];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
            Self::Deprecated => "deprecated",
            Self::Retired => "retired",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// Who takes a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// An operator.
    Operator,
    /// An owner or admin of the provider.
    Provider,
    /// The accounts, when the day has come.
    Itself,
}

/// What is asked of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// To show it.
    Publish,
    /// To say when it ends.
    Deprecate {
        /// From then on it is retired.
        retires_ms: i64,
    },
    /// To end it.
    Retire,
}

/// Where a listing is, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `torchmesh.accounts.v1.Listing`")]
pub struct Standing {
    pub state: State,
    pub submitted_ms: Option<i64>,
    pub published_ms: Option<i64>,
    pub deprecated_ms: Option<i64>,
    pub retires_ms: Option<i64>,
}

impl Standing {
    /// That of a new draft.
    pub const DRAFT: Self = Self { state: State::Draft, submitted_ms: None, published_ms: None, deprecated_ms: None, retires_ms: None };

    /// What it is after a step.
    ///
    /// Error: it cannot be taken from here, or not by whoever asks.
    pub fn after(self, step: Step, by: By, now: i64) -> Result<Self> {
        match (step, self.state) {
            (Step::Publish, State::Draft) => Ok(self.published(by, now)),
            (Step::Deprecate { retires_ms }, State::Published | State::Deprecated) => self.deprecated(retires_ms, by, now),
            (Step::Retire, State::Deprecated) => self.retired(by, now),
            (Step::Publish, _) => Err(self.not("a draft", "be published")),
            (Step::Deprecate { .. }, _) => Err(self.not("published", "be deprecated")),
            (Step::Retire, _) => Err(self.not("deprecated", "be retired; deprecate it first, so that its callers are told")),
        }
    }

    fn not(&self, wanted: &str, what: &str) -> Refusal {
        Refusal::State(format!("the listing is {}, and must be {wanted} to {what}", self.state.as_str()))
    }

    /// A provider's wish waits for an operator.
    fn published(self, by: By, now: i64) -> Self {
        match by {
            By::Provider => Self { submitted_ms: self.submitted_ms.or(Some(now)), ..self },
            By::Operator | By::Itself => Self { state: State::Published, submitted_ms: None, published_ms: Some(now), ..self },
        }
    }

    fn deprecated(self, retires_ms: i64, by: By, now: i64) -> Result<Self> {
        let wrong = |what: &str| Err(Refusal::Invalid(format!("retires_unix_ms: {what}")));
        if retires_ms <= now || retires_ms > now + FURTHEST_MS {
            return wrong("must be in the future, and within ten years");
        }
        if by == By::Provider && self.retires_ms.is_none() && retires_ms < now + NOTICE_MS {
            return wrong("must be 30 days away at least; an operator may say a sooner day");
        }
        if by == By::Provider && self.retires_ms.is_some_and(|told| retires_ms < told) {
            return wrong("must not be before the day that was told already; an operator may say a sooner one");
        }
        let deprecated_ms = self.deprecated_ms.or(Some(now));
        Ok(Self { state: State::Deprecated, deprecated_ms, retires_ms: Some(retires_ms), ..self })
    }

    fn retired(self, by: By, now: i64) -> Result<Self> {
        let retired = Self { state: State::Retired, retires_ms: Some(self.retires_ms.map_or(now, |day| day.min(now))), ..self };
        match by {
            By::Operator => Ok(retired),
            By::Itself if self.retires_ms.is_some_and(|day| day <= now) => Ok(retired),
            By::Itself => Err(Refusal::State("the day on which the listing is retired has not come".to_owned())),
            By::Provider => Err(Refusal::Denied("a model is retired by itself when its day has come, or sooner by an operator".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_790_000_000_000;
    const DAY: i64 = 24 * 3600 * 1000;

    fn steps() -> impl Strategy<Value = Vec<(Step, By, i64)>> {
        let step = prop_oneof![Just(Step::Publish), (-5_i64..90).prop_map(|days| Step::Deprecate { retires_ms: days }), Just(Step::Retire)];
        let by = prop_oneof![Just(By::Operator), Just(By::Provider), Just(By::Itself)];
        prop::collection::vec((step, by, 0_i64..40), 0..30)
    }

    proptest! {
        #[test]
        fn a_listing_never_goes_back_and_keeps_what_was_promised(steps in steps()) {
            let (mut standing, mut now) = (Standing::DRAFT, NOW);
            for (step, by, days) in steps {
                now += days * DAY;
                let step = if let Step::Deprecate { retires_ms } = step { Step::Deprecate { retires_ms: now + retires_ms * DAY } } else { step };
                let Ok(next) = standing.after(step, by, now) else { continue };
                prop_assert!(next.state >= standing.state, "{standing:?} to {next:?}");
                prop_assert!(standing.state != State::Retired, "{step:?} of what has ended");
                if by == By::Provider {
                    prop_assert!((standing.state, next.state) != (State::Draft, State::Published), "a provider publishes nothing by itself");
                    prop_assert!(next.state != State::Retired);
                    let notice = standing.retires_ms.unwrap_or(now + NOTICE_MS);
                    prop_assert!(next.retires_ms.is_none_or(|day| day >= notice), "{standing:?} to {next:?}");
                }
                if by == By::Itself && next.state == State::Retired {
                    prop_assert!(standing.retires_ms.is_some_and(|day| day <= now));
                }
                prop_assert_eq!(next.published_ms.is_some(), next.state >= State::Published);
                prop_assert_eq!(next.deprecated_ms.is_some(), next.state >= State::Deprecated);
                prop_assert_eq!(next.retires_ms.is_some(), next.state >= State::Deprecated);
                prop_assert!(next.submitted_ms.is_none() || next.state == State::Draft);
                prop_assert!(next.published_ms <= next.deprecated_ms || next.deprecated_ms.is_none());
                standing = next;
            }
        }
    }

    #[test]
    fn nothing_is_retired_that_was_not_deprecated() {
        for state in [State::Draft, State::Published, State::Retired] {
            let refused = Standing { state, ..Standing::DRAFT }.after(Step::Retire, By::Operator, NOW);
            assert!(matches!(refused, Err(Refusal::State(_))), "{refused:?}");
        }
    }
}
