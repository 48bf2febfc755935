//! What a rollout does next. It is stored whole, and whoever leads goes on from there.

use serde::{Deserialize, Serialize};

use super::{
    evidence::{Evidence, Tally},
    judge::{Case, Verdict, judge},
    plan::Plan,
    stage::{Command, Event, Refused, Sample, Stage, Wanted},
};

/// The form in which a rollout is stored. A reader of another form refuses it.
const FORMAT: u32 = 1;
/// The events that are kept; older ones are forgotten.
const EVENTS: usize = 100;

/// A rollout as it stands. Time is in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    format: u32,
    /// What was asked for.
    pub plan: Plan,
    /// Where it stands.
    pub stage: Stage,
    /// The steps that are done; before the first, where answers are compared, there is one more.
    at: usize,
    /// When this step began.
    since_ms: u64,
    /// From when on the figures of this step count.
    counting_since_ms: u64,
    stable: Tally,
    canary: Tally,
    /// The stable version's figures in the last step in which it had calls: what a step without any compares with.
    before: Evidence,
    compared: u64,
    disagreed: u64,
    /// What is missing for the next step, for whoever asks.
    pub missing: String,
    /// What has happened, the newest last.
    pub events: Vec<Event>,
}

impl Rollout {
    /// Begins. With `max_disagreement` the first step has no calls: the new version gets mirrored ones until its answers are known to agree.
    pub fn start(plan: Plan, now_ms: u64) -> Self {
        let mut rollout = Self {
            format: FORMAT,
            plan,
            stage: Stage::Running,
            at: 0,
            since_ms: now_ms,
            counting_since_ms: now_ms,
            stable: Tally::default(),
            canary: Tally::default(),
            before: Evidence::default(),
            compared: 0,
            disagreed: 0,
            missing: "no calls were seen yet".to_owned(),
            events: Vec::new(),
        };
        let Plan { model, from, to, .. } = &rollout.plan;
        let said = format!("{model} {to} is to take over from {from}: it begins {}", rollout.told_step());
        rollout.tell(now_ms, said);
        rollout
    }

    /// Reads a stored rollout.
    ///
    /// Errors: a text with the reason, such as that a newer version of torchmesh has written it.
    pub fn parse(json: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Form {
            format: u32,
        }
        let form: Form = serde_json::from_str(json).map_err(|error| format!("no rollout can be read from what is stored: {error}"))?;
        if form.format != FORMAT {
            return Err(format!(
                "the rollout is stored in form {}, and this version of torchmesh knows form {FORMAT}; upgrade all routers",
                form.format
            ));
        }
        serde_json::from_str(json).map_err(|error| format!("the stored rollout cannot be read: {error}"))
    }

    /// The form that [`Self::parse`] reads.
    pub fn store(&self) -> String {
        // Nothing in it can fail to be written: keys are texts, and numbers are finite.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What the route must say now; to be put there whenever it says something else.
    pub fn wanted(&self) -> Wanted {
        let compares = self.plan.max_disagreement.map(|_| self.plan.shadow_percent);
        match self.stage {
            Stage::Running | Stage::Paused => {
                // Without the old version's answers there is nothing to compare with.
                Wanted { percent: self.percent(), shadow: compares.filter(|_| self.percent() < 100.0) }
            }
            Stage::Promoted => Wanted { percent: 100.0, shadow: None },
            Stage::RolledBack | Stage::Aborted => Wanted { percent: 0.0, shadow: None },
        }
    }

    /// Whether nothing will change any more.
    pub fn has_ended(&self) -> bool {
        !matches!(self.stage, Stage::Running | Stage::Paused)
    }

    /// Takes in what routers have seen, and decides. Whether [`Self::wanted`], the stage or the events changed.
    pub fn observe(&mut self, now_ms: u64, samples: Vec<Sample>) -> bool {
        if self.has_ended() {
            return false;
        }
        for Sample { router, stable, canary } in samples {
            self.stable.add(&router, stable);
            let new = self.canary.add(&router, canary);
            self.compared += new.compared;
            self.disagreed += new.disagreed;
        }
        let waited = now_ms.saturating_sub(self.since_ms);
        let over = u128::from(waited) >= self.plan.every.as_millis();
        match self.verdict() {
            Verdict::Bad(reason) => self.end(now_ms, Stage::RolledBack, format!("rolled back: {reason}")),
            Verdict::Good if over && self.stage == Stage::Running => self.advance(now_ms),
            Verdict::Good => {
                "the step's time is not over".clone_into(&mut self.missing);
                return false;
            }
            Verdict::Undecided { missing, .. } if self.stage == Stage::Running && u128::from(waited) >= self.plan.patience.as_millis() => {
                self.end(now_ms, Stage::RolledBack, format!("rolled back: evidence did not come in time; {missing}"));
            }
            Verdict::Undecided { missing, disturbed } => {
                self.missing = missing;
                return disturbed && self.count_anew(now_ms);
            }
        }
        true
    }

    /// Does as an operator wants.
    pub fn command(&mut self, now_ms: u64, command: Command) -> Result<(), Refused> {
        let model = self.plan.model.to_string();
        match (command, self.stage) {
            (_, Stage::Promoted | Stage::RolledBack | Stage::Aborted) => return Err(Refused::Ended(model)),
            (Command::Pause, Stage::Paused) => return Err(Refused::PausedAlready(model)),
            (Command::Resume, Stage::Running) => return Err(Refused::NotPaused(model)),
            (Command::Pause, Stage::Running) => {
                self.stage = Stage::Paused;
                self.tell(now_ms, format!("paused by an operator {}", self.told_step()));
            }
            (Command::Resume, Stage::Paused) => {
                self.stage = Stage::Running;
                self.begin_step(now_ms);
                self.tell(now_ms, format!("resumed by an operator {}", self.told_step()));
            }
            (Command::Abort, _) => self.end(now_ms, Stage::Aborted, "aborted by an operator".to_owned()),
        }
        Ok(())
    }

    fn verdict(&self) -> Verdict {
        // Where all calls are the new version's, it is compared with what the old one did before.
        let stable = if self.percent() >= 100.0 && self.stable.total.calls < self.before.calls { &self.before } else { &self.stable.total };
        judge(Case {
            plan: &self.plan,
            weight: self.percent(),
            stable,
            canary: &self.canary.total,
            answers: (self.compared, self.disagreed),
        })
    }

    /// The shares, with the step before the first where there is one.
    fn percent(&self) -> f64 {
        let steps = &self.plan.steps;
        let at = if self.plan.max_disagreement.is_some() { self.at.checked_sub(1) } else { Some(self.at) };
        at.map_or(0.0, |at| steps.get(at).copied().unwrap_or(100.0))
    }

    fn advance(&mut self, now_ms: u64) {
        if self.percent() >= 100.0 {
            let said = format!("promoted: the calls of version {} were as good as is asked for at every step", self.plan.to);
            return self.end(now_ms, Stage::Promoted, said);
        }
        let (calls, errors) = (self.canary.total.calls, self.canary.total.errors);
        self.at += 1;
        if self.stable.total.calls > 0 {
            self.before = std::mem::take(&mut self.stable.total);
        }
        self.begin_step(now_ms);
        self.tell(
            now_ms,
            format!("goes on {}: of {calls} calls {errors} failed, and latency and answers are within their limits", self.told_step()),
        );
    }

    /// Forgets figures from a time in which both versions failed; at most once in the time of a step, and told once.
    fn count_anew(&mut self, now_ms: u64) -> bool {
        if u128::from(now_ms.saturating_sub(self.counting_since_ms)) < self.plan.every.as_millis() {
            return false;
        }
        self.count_from(now_ms);
        let said = "both versions fail: what was seen in this step says nothing of the new one, and counting begins anew";
        if self.events.last().is_none_or(|event| event.said != said) {
            self.tell(now_ms, said.to_owned());
        }
        true
    }

    fn count_from(&mut self, now_ms: u64) {
        self.counting_since_ms = now_ms;
        self.stable.restart();
        self.canary.restart();
    }

    fn begin_step(&mut self, now_ms: u64) {
        self.since_ms = now_ms;
        self.count_from(now_ms);
        "no calls of this step were seen yet".clone_into(&mut self.missing);
    }

    fn end(&mut self, now_ms: u64, stage: Stage, said: String) {
        self.stage = stage;
        self.missing.clear();
        self.tell(now_ms, said);
    }

    fn tell(&mut self, at_ms: u64, said: String) {
        self.events.push(Event { at_ms, said });
        let surplus = self.events.len().saturating_sub(EVENTS);
        self.events.drain(..surplus);
    }

    fn told_step(&self) -> String {
        match self.percent() {
            0.0 => "with mirrored calls only".to_owned(),
            percent => format!("with {percent}% of the calls"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{super::evidence::Snapshot, *};

    const MINUTE: u64 = 60_000;

    fn plan(more: &str) -> Plan {
        Plan::parse(toml::from_str(&format!("model = 'm'\nfrom = '3'\nto = '4'\nsteps = [10, 50, 100]\n{more}")).unwrap()).unwrap()
    }

    /// One router that has seen so many calls of each version up to now, of which so many failed.
    #[derive(Default)]
    struct Router {
        stable: Snapshot,
        canary: Snapshot,
    }

    impl Router {
        fn sees(&mut self, stable: (u64, u64), canary: (u64, u64)) -> Vec<Sample> {
            for (snapshot, (calls, errors)) in [(&mut self.stable, stable), (&mut self.canary, canary)] {
                snapshot.seen.calls += calls;
                snapshot.seen.errors += errors;
                (errors..calls).for_each(|call| snapshot.seen.latency.observe(Duration::from_micros(9_000 + call % 1000)));
            }
            vec![Sample { router: "a".to_owned(), stable: self.stable.clone(), canary: self.canary.clone() }]
        }

        fn compares(&mut self, compared: u64, disagreed: u64) -> Vec<Sample> {
            self.canary.seen.compared += compared;
            self.canary.seen.disagreed += disagreed;
            self.sees((0, 0), (0, 0))
        }
    }

    fn started(more: &str) -> (Rollout, Router) {
        let (mut rollout, mut router) = (Rollout::start(plan(more), 0), Router::default());
        assert!(!rollout.observe(0, router.sees((0, 0), (0, 0))));
        (rollout, router)
    }

    #[test]
    fn a_step_takes_its_time_and_its_evidence_and_the_last_one_promotes() {
        let (mut rollout, mut router) = started("");
        assert!(!rollout.observe(MINUTE, router.sees((9000, 0), (5000, 0))), "the time is not over");
        assert!(!rollout.observe(2 * MINUTE - 1, router.sees((0, 0), (0, 0))));
        for (at, percent) in [(2, 50.0), (4, 100.0)] {
            assert!(rollout.observe(at * MINUTE, router.sees((9000, 0), (5000, 0))));
            assert_eq!(rollout.wanted(), Wanted { percent, shadow: None });
            assert!(!rollout.observe((at + 1) * MINUTE, router.sees((10, 0), (10, 0))), "ten calls are no evidence");
        }
        rollout.observe(6 * MINUTE, router.sees((0, 0), (5000, 0)));
        assert_eq!((rollout.stage, rollout.wanted().percent), (Stage::Promoted, 100.0));
        assert!(rollout.events.last().unwrap().said.starts_with("promoted: the calls of version 4 "));
    }

    #[test]
    fn a_bad_version_is_taken_back_at_once_also_when_paused() {
        for pause in [false, true] {
            let (mut rollout, mut router) = started("");
            if pause {
                rollout.command(1, Command::Pause).unwrap();
            }
            assert!(rollout.observe(2, router.sees((9000, 0), (1000, 50))));
            assert_eq!((rollout.stage, rollout.wanted().percent), (Stage::RolledBack, 0.0));
            assert!(rollout.events.last().unwrap().said.starts_with("rolled back: 5% (50 of 1000) of its calls failed"));
        }
    }

    #[test]
    fn evidence_that_does_not_come_ends_it() {
        let (mut rollout, mut router) = started("patience = '10m'");
        assert!(!rollout.observe(10 * MINUTE - 1, router.sees((9000, 0), (20, 0))));
        assert!(rollout.observe(10 * MINUTE, router.sees((0, 0), (0, 0))));
        assert_eq!(rollout.stage, Stage::RolledBack);
        assert!(rollout.events.last().unwrap().said.contains("20 of at least 100 calls"), "{:?}", rollout.events);
    }

    #[test]
    fn what_hits_both_versions_is_waited_out() {
        let (mut rollout, mut router) = started("");
        assert!(!rollout.observe(MINUTE, router.sees((9000, 2700), (1000, 300))));
        assert!(rollout.observe(2 * MINUTE, router.sees((9000, 2700), (1000, 300))));
        assert!(rollout.events.last().unwrap().said.starts_with("both versions fail"));
        rollout.observe(3 * MINUTE, router.sees((9000, 0), (1000, 0)));
        rollout.observe(4 * MINUTE, router.sees((9000, 0), (1000, 0)));
        assert_eq!((rollout.stage, rollout.wanted().percent), (Stage::Running, 50.0), "{:?}", rollout.events);
    }

    #[test]
    fn answers_are_compared_before_the_first_caller_meets_the_version() {
        let (mut rollout, mut router) = started("max_disagreement = '2%'");
        assert_eq!(rollout.wanted(), Wanted { percent: 0.0, shadow: Some(10.0) });
        assert!(!rollout.observe(2 * MINUTE, router.compares(100, 0)), "{}", rollout.missing);
        assert!(rollout.observe(3 * MINUTE, router.compares(1000, 2)));
        assert_eq!(rollout.wanted(), Wanted { percent: 10.0, shadow: Some(10.0) });
        assert!(rollout.observe(4 * MINUTE, router.compares(1000, 300)));
        assert_eq!(rollout.stage, Stage::RolledBack);
    }

    #[test]
    fn operators_hold_it_go_on_and_end_it_and_are_told_what_does_not_fit() {
        let (mut rollout, mut router) = started("");
        assert!(rollout.command(1, Command::Resume).unwrap_err().to_string().contains("is not paused"));
        rollout.command(1, Command::Pause).unwrap();
        assert!(!rollout.observe(9 * MINUTE, router.sees((9000, 0), (5000, 0))));
        assert!(rollout.command(2, Command::Pause).is_err());
        rollout.command(9 * MINUTE, Command::Resume).unwrap();
        assert!(!rollout.observe(9 * MINUTE + 1, router.sees((9000, 0), (5000, 0))), "the step's time begins anew");
        rollout.command(10 * MINUTE, Command::Abort).unwrap();
        assert_eq!((rollout.stage, rollout.wanted().percent), (Stage::Aborted, 0.0));
        assert!(rollout.command(11 * MINUTE, Command::Resume).unwrap_err().to_string().contains("has ended"));
    }

    #[test]
    fn another_leader_goes_on_from_what_is_stored() {
        let (mut rollout, mut router) = started("");
        rollout.observe(2 * MINUTE, router.sees((9000, 1), (5000, 1)));
        let mut other = Rollout::parse(&rollout.store()).unwrap();
        assert_eq!(other, rollout);
        assert!(other.observe(4 * MINUTE, router.sees((9000, 0), (9000, 0))));
        assert_eq!(other.wanted(), Wanted { percent: 100.0, shadow: None });
    }

    #[test]
    fn what_another_form_has_written_is_refused_clearly() {
        let stored = started("").0.store();
        let newer = stored.replacen("\"format\":1", "\"format\":2", 1);
        assert!(Rollout::parse(&newer).unwrap_err().contains("form 2"));
        let unknown = stored.replacen("\"running\"", "\"dreaming\"", 1);
        assert!(Rollout::parse(&unknown).unwrap_err().contains("dreaming"));
    }

    proptest! {
        #[test]
        fn whatever_is_seen_a_share_stays_grows_by_one_step_or_goes_to_nothing(
            looks in proptest::collection::vec((0_u64..5, 0_u64..3000, 0_u64..3000, 0_u64..40), 1..40),
        ) {
            let (mut rollout, mut router) = started("");
            let (mut now, steps) = (0, rollout.plan.steps.clone());
            for (minutes, stable, canary, failed) in looks {
                now += minutes * MINUTE;
                let (before, ended) = (rollout.wanted().percent, rollout.has_ended());
                let changed = rollout.observe(now, router.sees((stable, 0), (canary, failed.min(canary))));
                let after = rollout.wanted().percent;
                let next = steps.iter().copied().find(|percent| *percent > before).unwrap_or(100.0);
                let taken_back = rollout.stage == Stage::RolledBack && after < 0.1;
                prop_assert!((after - before).abs() < 0.1 || (after - next).abs() < 0.1 || taken_back, "{before} {after}");
                prop_assert!(!(ended && changed));
                prop_assert_eq!(&Rollout::parse(&rollout.store()).unwrap(), &rollout);
            }
        }
    }
}
