//! Leaving an endpoint alone that answers with failures, and finding out when it has recovered.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use torchmesh_settings::Section;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct BreakerSettings {
    /// `breaker.consecutive_failures`: so many in a row open it. Default 5; 0 is never.
    pub consecutive_failures: u32,
    /// `breaker.failure_rate`: this share of the answers within `breaker.window` opens it. Default 0.5; 1.0 is only when all fail.
    pub failure_rate: f64,
    /// `breaker.min_answers`: the share means nothing with fewer answers in the window. Default 20.
    pub min_answers: u32,
    /// `breaker.window`. Default 10s.
    pub window: Duration,
    /// `breaker.pause`: for how long it stays open the first time; it doubles each time that the endpoint fails again at once. Default 1s.
    pub pause: Duration,
    /// `breaker.longest_pause`. Default 30s.
    pub longest_pause: Duration,
    /// `breaker.max_open`: the share of a model's endpoints that may be open at once; with more the fault is not the endpoints', and leaving
    /// them alone would put their load on the rest. Default 0.5.
    pub max_open: f64,
    /// What counts as a failure, which is for the service to say.
    pub blame: Blame,
}

/// What an endpoint is blamed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Broken connections, and statuses that are not the caller's doing: its answers are its own.
    Statuses,
    /// Broken connections only: it passes on what others answered.
    Connections,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            failure_rate: 0.5,
            min_answers: 20,
            window: Duration::from_secs(10),
            pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(30),
            max_open: 0.5,
            blame: Blame::Statuses,
        }
    }
}

impl BreakerSettings {
    /// Reads the table `breaker`.
    pub fn read(s: &mut Section, blame: Blame) -> Self {
        let defaults = Self::default();
        s.section("breaker", |s| {
            let read = Self {
                consecutive_failures: s.or("consecutive_failures", defaults.consecutive_failures),
                failure_rate: s.or("failure_rate", defaults.failure_rate),
                min_answers: s.or("min_answers", defaults.min_answers),
                window: s.or("window", defaults.window),
                pause: s.or("pause", defaults.pause),
                longest_pause: s.or("longest_pause", defaults.longest_pause),
                max_open: s.or("max_open", defaults.max_open),
                blame,
            };
            s.check(read.failure_rate > 0.0 && read.failure_rate <= 1.0, "failure_rate", "must be above 0, up to 1");
            s.check(read.min_answers >= 1, "min_answers", "must be at least 1");
            s.check(read.window >= Duration::from_millis(100), "window", "must be at least 100ms");
            s.check(read.pause >= Duration::from_millis(10), "pause", "must be at least 10ms");
            s.check(read.longest_pause >= read.pause, "longest_pause", "must be at least breaker.pause");
            s.check((0.0..=1.0).contains(&read.max_open), "max_open", "must be from 0 to 1");
            read
        })
    }
}

/// What came of a call, as far as the endpoint is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It answered, if only that the caller was wrong.
    Answered,
    /// It failed.
    Failed,
}

/// Closed: calls pass. Open: none do, for a while. Half-open: one call may try whether the endpoint has recovered.
#[derive(Debug, Default)]
pub struct Breaker {
    /// Microseconds on the caller's clock; 0: closed.
    open_until: AtomicU64,
    /// Whether a call is trying, after the pause.
    trying: AtomicBool,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    in_a_row: u32,
    /// When the current half of the window began.
    since: u64,
    current: Half,
    last: Half,
    /// Pauses since it was last closed.
    pauses: u32,
}

/// Half a window.
#[derive(Debug, Default, Clone, Copy)]
struct Half {
    answers: u32,
    failures: u32,
}

impl Breaker {
    /// Whether a call may go to the endpoint at `now`, in microseconds.
    pub fn admits(&self, now: u64) -> bool {
        match self.open_until.load(Ordering::Relaxed) {
            0 => true,
            until => now >= until && !self.trying.load(Ordering::Relaxed),
        }
    }

    /// Whether it is open or half-open.
    pub fn is_open(&self) -> bool {
        self.open_until.load(Ordering::Relaxed) != 0
    }

    /// A call goes there at `now`. True: it is the one that tries, and must be told to [`Self::gave_up`] when nothing comes of it. One that goes there before the pause
    /// is over, since there is nowhere else to go, tries nothing: its failure would leave nobody to try later.
    pub fn begin(&self, now: u64) -> bool {
        match self.open_until.load(Ordering::Relaxed) {
            0 => false,
            until => now >= until && !self.trying.swap(true, Ordering::Relaxed),
        }
    }

    /// The call that tried ended without an outcome: another may try.
    pub fn gave_up(&self) {
        self.trying.store(false, Ordering::Relaxed);
    }

    /// Counts an outcome. True: it should open now, which is for [`Self::open`] to do once it is known that enough other endpoints are left.
    pub fn count(&self, now: u64, outcome: Outcome, settings: &BreakerSettings) -> bool {
        let mut counts = self.counts.lock();
        counts.turn(now, settings.window);
        counts.current.answers = counts.current.answers.saturating_add(1);
        let was_open = self.is_open();
        match outcome {
            Outcome::Answered => {
                counts.in_a_row = 0;
                if was_open {
                    *counts = Counts::default();
                    self.open_until.store(0, Ordering::Relaxed);
                    self.trying.store(false, Ordering::Relaxed);
                }
                false
            }
            Outcome::Failed => {
                counts.in_a_row = counts.in_a_row.saturating_add(1);
                counts.current.failures = counts.current.failures.saturating_add(1);
                was_open || counts.are_too_many(settings)
            }
        }
    }

    /// Opens from `now` on.
    pub fn open(&self, now: u64, settings: &BreakerSettings) {
        let mut counts = self.counts.lock();
        // Calls that were on their way when it opened fail one after the other: they are one failure, not many.
        if now < self.open_until.load(Ordering::Relaxed) {
            return;
        }
        let pause = settings.pause.saturating_mul(1 << counts.pauses.min(16)).min(settings.longest_pause);
        counts.pauses += 1;
        self.open_until.store((now + pause.as_micros() as u64).max(1), Ordering::Relaxed);
        self.trying.store(false, Ordering::Relaxed);
    }
}

impl Counts {
    fn turn(&mut self, now: u64, window: Duration) {
        let half = window.as_micros() as u64 / 2;
        let age = now.saturating_sub(self.since);
        if age >= half {
            self.last = if age < 2 * half { self.current } else { Half::default() };
            (self.current, self.since) = (Half::default(), now);
        }
    }

    fn are_too_many(&self, settings: &BreakerSettings) -> bool {
        let (answers, failures) = (self.current.answers + self.last.answers, self.current.failures + self.last.failures);
        let in_a_row = settings.consecutive_failures > 0 && self.in_a_row >= settings.consecutive_failures;
        in_a_row || (answers >= settings.min_answers && f64::from(failures) >= settings.failure_rate * f64::from(answers))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000;

    /// Counts one outcome, and opens if that is what should be done.
    fn note(breaker: &Breaker, now: u64, outcome: Outcome) {
        let settings = BreakerSettings::default();
        if breaker.count(now, outcome, &settings) {
            breaker.open(now, &settings);
        }
    }

    fn fail(breaker: &Breaker, now: u64, times: u32) {
        (0..times).for_each(|_| note(breaker, now, Outcome::Failed));
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_an_answer_among_them_does_not() {
        let breaker = Breaker::default();
        fail(&breaker, SECOND, 4);
        note(&breaker, SECOND, Outcome::Answered);
        fail(&breaker, SECOND, 4);
        assert!(breaker.admits(SECOND));
        fail(&breaker, SECOND, 1);
        assert!(!breaker.admits(SECOND) && breaker.is_open());
    }

    #[test]
    fn half_of_the_answers_failing_opens_it_but_not_from_long_ago() {
        let alternating = |now: u64| {
            let breaker = Breaker::default();
            for at in 0..20 {
                note(&breaker, SECOND + at * now, if at % 2 == 0 { Outcome::Answered } else { Outcome::Failed });
            }
            breaker.is_open()
        };
        assert!(alternating(1000));
        assert!(!alternating(2 * SECOND), "twenty answers over forty seconds are never twenty within ten");
    }

    #[test]
    fn after_the_pause_one_call_tries_and_its_answer_closes_it() {
        let breaker = Breaker::default();
        fail(&breaker, SECOND, 5);
        assert!(!breaker.admits(2 * SECOND - 1));
        assert!(breaker.admits(2 * SECOND));
        assert!(breaker.begin(2 * SECOND));
        assert!(!breaker.admits(2 * SECOND) && !breaker.begin(2 * SECOND));
        note(&breaker, 2 * SECOND + 1, Outcome::Answered);
        assert!(breaker.admits(2 * SECOND + 1) && !breaker.is_open());
    }

    #[test]
    fn a_try_that_fails_doubles_the_pause() {
        let breaker = Breaker::default();
        fail(&breaker, SECOND, 5);
        assert!(breaker.begin(2 * SECOND));
        fail(&breaker, 2 * SECOND, 1);
        assert!(!breaker.admits(4 * SECOND - 1));
        assert!(breaker.admits(4 * SECOND));
    }

    #[test]
    fn a_try_that_nobody_waited_for_leaves_room_for_another() {
        let breaker = Breaker::default();
        fail(&breaker, SECOND, 5);
        assert!(breaker.begin(2 * SECOND));
        breaker.gave_up();
        assert!(breaker.admits(3 * SECOND));
    }

    #[test]
    fn a_call_that_had_nowhere_else_to_go_during_the_pause_does_not_stand_in_for_the_one_that_tries() {
        let breaker = Breaker::default();
        fail(&breaker, SECOND, 5);
        assert!(!breaker.begin(2 * SECOND - 1));
        fail(&breaker, 2 * SECOND - 1, 1);
        assert!(breaker.admits(2 * SECOND));
    }

    #[test]
    fn failures_of_calls_that_were_on_their_way_do_not_lengthen_the_pause() {
        let breaker = Breaker::default();
        fail(&breaker, SECOND, 500);
        assert!(breaker.admits(2 * SECOND));
    }

    proptest! {
        #[test]
        fn whatever_happens_it_closes_again_once_the_endpoint_answers(
            events in proptest::collection::vec((0_u64..5 * SECOND, any::<bool>()), 0..200),
        ) {
            let (breaker, mut now) = (Breaker::default(), 1);
            for (pause, good) in events {
                now += pause;
                // Some calls go there in any case.
                if breaker.admits(now) || pause.is_multiple_of(3) {
                    breaker.begin(now);
                    note(&breaker, now, if good { Outcome::Answered } else { Outcome::Failed });
                }
            }
            now += 30 * SECOND;
            prop_assert!(breaker.admits(now));
            breaker.begin(now);
            note(&breaker, now, Outcome::Answered);
            prop_assert!(!breaker.is_open());
        }
    }
}
