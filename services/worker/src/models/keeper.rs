//! What the registry remembers of the repository and of what it has begun.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    model::{Model, State},
    plan::{self, Key, Stamps, Step},
    repository::{Found, Stamp},
};

#[derive(Debug, Default)]
pub(super) struct Keeper {
    /// What each version's files looked like when they were last loaded, or tried.
    known: Stamps,
    /// What a call unloaded.
    held: BTreeSet<Key>,
    /// What the last look saw.
    before: Stamps,
    /// The newest attempt at each version.
    newest: BTreeMap<Key, Arc<Model>>,
    /// What could not be fetched.
    retries: BTreeMap<Key, Retry>,
}

/// A fetch that has failed and is to be tried again.
#[derive(Debug)]
struct Retry {
    at: Instant,
    failures: u32,
}

/// After the first failure of a fetch; doubled with each further one up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);

impl Keeper {
    /// What has to be done, now that the repository looks so.
    pub(super) fn look(&mut self, found: &[Found]) -> Vec<Step> {
        let versions = found.iter().flat_map(|model| model.versions.iter().map(|found| ((model.name.clone(), found.version), found.stamp)));
        let mut now: Stamps = versions.collect();
        // Of what cannot be looked into nothing new is known.
        for model in found.iter().filter(|model| model.unreadable.is_some()) {
            now.extend(self.known.iter().filter(|((name, _), _)| *name == model.name).map(|(key, stamp)| (key.clone(), *stamp)));
        }
        let steps = plan::steps(&self.known, &self.held, &self.before, &now);
        self.before = now;
        steps
    }

    /// A load has begun; what was begun before for the same version does not count any more.
    pub(super) fn began(&mut self, stamp: Stamp, model: &Arc<Model>) {
        self.known.insert(model.key(), stamp);
        self.newest.insert(model.key(), Arc::clone(model));
    }

    /// A version could not be fetched.
    pub(super) fn retry_later(&mut self, key: Key, now: Instant) {
        let failures = self.retries.get(&key).map_or(0, |retry| retry.failures) + 1;
        let pause = SHORTEST.saturating_mul(2_u32.saturating_pow(failures - 1)).min(LONGEST);
        self.retries.insert(key, Retry { at: now + pause, failures });
    }

    /// A version has been fetched.
    pub(super) fn fetched(&mut self, key: &Key) {
        self.retries.remove(key);
    }

    /// What is to be fetched again now.
    pub(super) fn due(&self, now: Instant) -> Vec<Key> {
        let busy = |key: &Key| self.newest.get(key).is_some_and(|model| matches!(model.state(), State::Loading));
        self.retries.iter().filter(|(key, retry)| retry.at <= now && !busy(key)).map(|(key, _)| key.clone()).collect()
    }

    pub(super) fn is_newest(&self, model: &Arc<Model>) -> bool {
        self.newest.get(&model.key()).is_some_and(|newest| Arc::ptr_eq(newest, model))
    }

    /// The version is wanted again; its newest attempt, if that was made from the same files.
    pub(super) fn take_up(&mut self, key: &Key, stamp: Stamp) -> Option<Arc<Model>> {
        self.held.remove(key);
        if self.known.get(key) == Some(&stamp) { self.newest.get(key).cloned() } else { None }
    }

    /// A call unloaded the version: it stays so until a call wants it again.
    pub(super) fn hold(&mut self, key: Key) {
        self.forget(&key);
        self.held.insert(key);
    }

    /// The version is gone.
    pub(super) fn forget(&mut self, key: &Key) {
        self.known.remove(key);
        self.newest.remove(key);
        self.held.remove(key);
        self.retries.remove(key);
    }
}
