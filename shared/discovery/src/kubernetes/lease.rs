//! One replica among several that does what only one may do: it holds a Lease (coordination.k8s.io/v1), which it takes and renews by compare-and-set.
//!
//! No two clocks are compared. Who does not hold it takes it only after having seen it unchanged for as long as it is given for, by a clock of its own; who holds it trusts that for
//! less, counted from before it was asked for. So whoever is cut off has ceased before another begins.

use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    Client, KubernetesError,
    objects::{LEASES, Metadata, Object},
};
use crate::{agreed::Lead, retry::Retry};

/// How long it is given for: others wait so long.
const GIVEN_FOR: Duration = Duration::from_secs(12);
/// How long it is trusted, by whoever holds it.
const TRUSTED_FOR: Duration = Duration::from_secs(10);
const RENEW_EVERY: Duration = Duration::from_secs(4);
/// Sooner than elsewhere, so that there is time to ask again.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// A Lease that changes all the time is not asked for all the time.
const BETWEEN_TURNS: Duration = Duration::from_millis(50);

/// `Lease`; what is not read is not named.
#[derive(Debug, Clone, Deserialize)]
struct Lease {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    holder_identity: Option<String>,
    lease_duration_seconds: Option<u32>,
    acquire_time: Option<String>,
    lease_transitions: Option<u32>,
}

impl Object for Lease {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl Lease {
    /// None after it was given back.
    fn holder(&self) -> Option<&str> {
        self.spec.holder_identity.as_deref().filter(|holder| !holder.is_empty())
    }

    /// What another version of this program may have given it for.
    fn given_for(&self) -> Duration {
        self.spec.lease_duration_seconds.map_or(GIVEN_FOR, |seconds| Duration::from_secs(seconds.into()))
    }
}

/// Somebody who would hold it.
#[derive(Debug)]
struct Candidate {
    /// Other than anybody else's, also when two have the same name.
    me: String,
    /// The last state of another's that was seen.
    seen: Option<Seen>,
}

#[derive(Debug)]
struct Seen {
    version: String,
    since: Instant,
    given_for: Duration,
}

impl Seen {
    fn has_run_out(&self, now: Instant) -> bool {
        now.duration_since(self.since) >= self.given_for
    }
}

impl Candidate {
    fn new(name: &str) -> Self {
        Self { me: format!("{name}_{:016x}", fastrand::u64(..)), seen: None }
    }

    fn holds(&self, lease: &Lease) -> bool {
        lease.holder() == Some(self.me.as_str())
    }

    /// Whether it may be taken, or is ours to renew, when it is found so. `now` is no earlier than when it was so.
    fn may_take(&mut self, found: Option<&Lease>, now: Instant) -> bool {
        match found {
            Some(lease) if lease.holder().is_none() || self.holds(lease) => {
                self.seen = None;
                true
            }
            Some(lease) => {
                let version = &lease.metadata.resource_version;
                let seen = self.seen.take().filter(|seen| seen.version == *version);
                let seen = seen.unwrap_or_else(|| Seen { version: version.clone(), since: now, given_for: lease.given_for() });
                self.seen.insert(seen).has_run_out(now)
            }
            // Somebody has removed it. Who held it last does not know that yet.
            None => self.seen.as_ref().is_none_or(|seen| seen.has_run_out(now)),
        }
    }

    /// What it says when it is ours, after what it said before.
    fn claim(&self, found: Option<&Lease>, at: SystemTime) -> Value {
        let at = humantime::format_rfc3339_micros(at).to_string();
        let ours = found.filter(|lease| self.holds(lease));
        let transitions = found.map_or(0, |lease| lease.spec.lease_transitions.unwrap_or_default());
        json!({
            "holderIdentity": self.me,
            "leaseDurationSeconds": GIVEN_FOR.as_secs(),
            "acquireTime": ours.and_then(|lease| lease.spec.acquire_time.as_deref()).unwrap_or(&at),
            "renewTime": at,
            "leaseTransitions": if ours.is_some() || found.is_none() { transitions } else { transitions.saturating_add(1) },
        })
    }
}

/// Tries to hold the Lease at `path` for as long as the answer, or a copy of it, is there; `name` is how others know the holder. `until_gone` is dropped when the Lease was given
/// back after that, or the API server did not answer.
pub fn lead<G: Send + 'static>(client: Client, path: &str, name: &str, until_gone: G) -> Lead {
    let (sender, receiver) = watch::channel(None);
    let mut contender = Contender { client, path: path.to_owned(), candidate: Candidate::new(name), has_asked: false };
    tokio::spawn(async move {
        let _until_gone = until_gone;
        tokio::select! {
            () = sender.closed() => {}
            () = contender.contend(&sender) => {}
        }
        // Others need not wait for it to run out.
        contender.give_back().await;
    });
    Lead::new(receiver)
}

struct Contender {
    client: Client,
    path: String,
    candidate: Candidate,
    /// Whether it may be ours: something was sent that would make it so.
    has_asked: bool,
}

/// How a turn ended.
enum Turn {
    /// It is ours, and to be trusted until then.
    Ours(Instant),
    /// It is somebody else's.
    Theirs,
    /// It changed meanwhile: it is to be looked at again, and what was held is held until its time is up.
    Changed,
}

impl Contender {
    async fn contend(&mut self, held: &watch::Sender<Option<Instant>>) {
        let mut retry = Retry::default();
        loop {
            let mut pause = RENEW_EVERY.mul_f64(0.8 + 0.2 * fastrand::f64());
            match self.turn().await {
                Ok(Turn::Changed) => pause = Duration::ZERO,
                Ok(turn) => {
                    retry.answered();
                    let until = if let Turn::Ours(until) = turn { Some(until) } else { None };
                    if held.send_replace(until).is_some() != until.is_some() {
                        tracing::info!(lease = self.client.name(&self.path), holds = until.is_some(), "the Lease changed hands");
                    }
                }
                Err(error) => {
                    retry.failed();
                    if retry.has_just_failed() {
                        tracing::warn!(lease = self.client.name(&self.path), %error, "the Lease cannot be asked for; it is tried again");
                    }
                    pause = Duration::ZERO;
                }
            }
            sleep(pause.max(retry.pause(fastrand::f64())).max(BETWEEN_TURNS)).await;
        }
    }

    /// Takes or renews it where that may be.
    async fn turn(&mut self) -> Result<Turn, KubernetesError> {
        let found = self.look().await?;
        if !self.candidate.may_take(found.as_ref(), Instant::now()) {
            return Ok(Turn::Theirs);
        }
        // What is trusted is counted from before it can be given.
        let asked = Instant::now();
        let claim = self.candidate.claim(found.as_ref(), SystemTime::now());
        self.has_asked = true;
        Ok(if self.say(found.as_ref(), claim).await? { Turn::Ours(asked + TRUSTED_FOR) } else { Turn::Changed })
    }

    async fn give_back(&mut self) {
        if !self.has_asked {
            return;
        }
        // What cannot be given back runs out.
        if let Ok(Some(lease)) = self.look().await
            && self.candidate.holds(&lease)
        {
            let mut free = self.candidate.claim(Some(&lease), SystemTime::now());
            free["holderIdentity"] = json!("");
            let _ = self.say(Some(&lease), free).await;
        }
    }

    async fn look(&self) -> Result<Option<Lease>, KubernetesError> {
        self.client.get(&LEASES, &self.client.name(&self.path), ANSWER_WITHIN).await
    }

    async fn say(&self, found: Option<&Lease>, spec: Value) -> Result<bool, KubernetesError> {
        let mut object = self.client.object(&LEASES, &self.path, found.map(|lease| lease.metadata.resource_version.as_str()));
        object["spec"] = spec;
        self.client.put(&LEASES, &object, ANSWER_WITHIN).await
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lease(version: u32, spec: &Value) -> Lease {
        serde_json::from_value(json!({ "metadata": { "resourceVersion": version.to_string() }, "spec": spec })).unwrap()
    }

    #[test]
    fn another_s_is_taken_once_it_was_seen_unchanged_for_as_long_as_it_is_given_for() {
        let (first, mut second, now) = (Candidate::new("a"), Candidate::new("b"), Instant::now());
        let held = lease(7, &first.claim(None, SystemTime::UNIX_EPOCH));
        assert!(!second.may_take(Some(&held), now), "its renewTime is of 1970, and that says nothing");
        assert!(!second.may_take(Some(&held), now + Duration::from_millis(11_999)));
        assert!(second.may_take(Some(&held), now + GIVEN_FOR));
        // A renewal is a new beginning.
        let renewed = lease(8, &first.claim(Some(&held), SystemTime::now()));
        assert!(!second.may_take(Some(&renewed), now + GIVEN_FOR));
        // So is a removal for who has seen it held.
        assert!(!second.may_take(None, now + GIVEN_FOR));
        assert!(second.may_take(None, now + GIVEN_FOR * 2));
    }

    #[test]
    fn what_is_free_or_given_back_is_taken_at_once() {
        let mut candidate = Candidate::new("a");
        assert!(candidate.may_take(None, Instant::now()));
        assert!(candidate.may_take(Some(&lease(1, &json!({ "holderIdentity": "" }))), Instant::now()));
    }

    #[test]
    fn two_of_the_same_name_are_not_taken_for_each_other() {
        let (first, mut second) = (Candidate::new("0.0.0.0:8081"), Candidate::new("0.0.0.0:8081"));
        assert!(!second.may_take(Some(&lease(1, &first.claim(None, SystemTime::now()))), Instant::now()));
    }

    #[test]
    fn a_renewal_keeps_when_it_was_acquired_and_a_change_of_hands_is_counted() {
        let (first, second) = (Candidate::new("a"), Candidate::new("b"));
        let acquired = lease(1, &first.claim(None, SystemTime::UNIX_EPOCH));
        let renewed = first.claim(Some(&acquired), SystemTime::UNIX_EPOCH + Duration::from_micros(4_000_001));
        assert_eq!((&renewed["acquireTime"], &renewed["leaseTransitions"]), (&json!("1970-01-01T00:00:00.000000Z"), &json!(0)));
        assert_eq!(renewed["renewTime"], "1970-01-01T00:00:04.000001Z");
        assert_eq!(second.claim(Some(&lease(2, &renewed)), SystemTime::now())["leaseTransitions"], 1);
    }

    /// Where somebody is between a look and an answer.
    enum Phase {
        Idle,
        Looked(Option<Lease>),
        Sent { found: Option<Lease>, asked: Instant },
        Answered { given: bool, asked: Instant },
    }

    /// Three candidates at a server whose questions and answers take as long as they like, or are lost.
    struct Contest {
        lease: Option<Lease>,
        changes: u32,
        candidates: Vec<(Candidate, Phase, Option<Instant>)>,
    }

    impl Contest {
        fn step(&mut self, who: usize, now: Instant, is_lost: bool) {
            let (candidate, phase, trusted) = &mut self.candidates[who];
            *phase = match std::mem::replace(phase, Phase::Idle) {
                Phase::Idle => Phase::Looked(self.lease.clone()),
                Phase::Looked(found) if candidate.may_take(found.as_ref(), now) => Phase::Sent { found, asked: now },
                Phase::Looked(_) => {
                    *trusted = None;
                    Phase::Idle
                }
                Phase::Sent { found, asked } => {
                    let version = |lease: &Option<Lease>| lease.as_ref().map(|lease| lease.metadata.resource_version.clone());
                    let given = version(&found) == version(&self.lease);
                    if given {
                        self.changes += 1;
                        self.lease = Some(lease(self.changes, &candidate.claim(found.as_ref(), SystemTime::now())));
                    }
                    if is_lost { Phase::Idle } else { Phase::Answered { given, asked } }
                }
                Phase::Answered { given, asked } => {
                    if given {
                        *trusted = Some(asked + TRUSTED_FOR);
                    }
                    Phase::Idle
                }
            };
        }

        fn leaders(&self, now: Instant) -> usize {
            self.candidates.iter().filter(|(_, _, trusted)| trusted.is_some_and(|until| now < until)).count()
        }
    }

    proptest! {
        #[test]
        fn no_two_hold_it_at_once_however_long_questions_and_answers_take(
            steps in proptest::collection::vec((0usize..3, 0u64..4_000, proptest::bool::weighted(0.1)), 1..400),
        ) {
            let candidates = (0..3).map(|_| (Candidate::new("r"), Phase::Idle, None)).collect();
            let mut contest = Contest { lease: None, changes: 0, candidates };
            let mut now = Instant::now();
            for (who, pause, is_lost) in steps {
                now += Duration::from_millis(pause);
                contest.step(who, now, is_lost);
                prop_assert!(contest.leaders(now) <= 1);
            }
        }
    }
}
