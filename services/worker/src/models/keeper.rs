//! What the registry remembers of the repository and of what it has begun.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    model::Model,
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
}

impl Keeper {
    /// What has to be done, now that the repository looks so.
    pub(super) fn look(&mut self, found: &[Found]) -> Vec<Step> {
        let versions = found.iter().flat_map(|model| model.versions.iter().map(|found| ((model.name.clone(), found.version), found.stamp)));
        let now: Stamps = versions.collect();
        let steps = plan::steps(&self.known, &self.held, &self.before, &now);
        self.before = now;
        steps
    }

    /// A load has begun; what was begun before for the same version does not count any more.
    pub(super) fn began(&mut self, stamp: Stamp, model: &Arc<Model>) {
        self.known.insert(model.key(), stamp);
        self.newest.insert(model.key(), Arc::clone(model));
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
    }
}
