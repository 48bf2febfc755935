//! How the table is made of what workers say: a change of one worker costs what its models cost, however many others there are.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use http::HeaderValue;
use torchmesh_api::ids::{InstanceId, ModelName, ModelVersion};
use torchmesh_relay::{Endpoint, Groups};

use super::{Listed, Model, Table, Target};
use crate::watching::Watching;

/// See the module.
#[derive(Debug)]
pub struct TableBuilder {
    /// Remembers how endpoints did before.
    groups: Groups,
    /// Remembers what was seen of versions before.
    watching: Arc<Watching>,
    workers: HashMap<InstanceId, Worker>,
    /// Who lists a model, in an order that stays.
    listing: HashMap<ModelName, BTreeSet<InstanceId>>,
    changed: HashSet<ModelName>,
    table: Table,
}

#[derive(Debug)]
struct Worker {
    endpoint: Arc<Endpoint>,
    listed: Arc<Vec<Listed>>,
}

impl TableBuilder {
    /// A table of nothing.
    pub fn new(groups: Groups, watching: Arc<Watching>) -> Self {
        Self { groups, watching, workers: HashMap::new(), listing: HashMap::new(), changed: HashSet::new(), table: Table::default() }
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// A worker lists this from now on.
    pub fn set(&mut self, endpoint: &Arc<Endpoint>, listed: &Arc<Vec<Listed>>) {
        if let Some(Worker { endpoint: before, listed: was }) = self.workers.get(&endpoint.id)
            && Arc::ptr_eq(before, endpoint)
            && was == listed
        {
            return;
        }
        self.remove(&endpoint.id);
        for Listed { model, .. } in listed.iter() {
            self.listing.entry(model.clone()).or_default().insert(endpoint.id.clone());
            self.changed.insert(model.clone());
        }
        self.workers.insert(endpoint.id.clone(), Worker { endpoint: Arc::clone(endpoint), listed: Arc::clone(listed) });
    }

    /// A worker is no longer there.
    pub fn remove(&mut self, id: &InstanceId) {
        let Some(worker) = self.workers.remove(id) else { return };
        for Listed { model, .. } in worker.listed.iter() {
            self.changed.insert(model.clone());
            if let Some(who) = self.listing.get_mut(model) {
                who.remove(id);
                if who.is_empty() {
                    self.listing.remove(model);
                }
            }
        }
    }

    /// Removes the workers that `stays` says no of.
    pub fn retain(&mut self, stays: impl Fn(&InstanceId) -> bool) {
        let gone: Vec<_> = self.workers.keys().filter(|id| !stays(id)).cloned().collect();
        for id in &gone {
            self.remove(id);
        }
    }

    /// Whether the table is another since it was last asked for.
    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The table as it is now.
    pub fn table(&mut self) -> Table {
        for name in std::mem::take(&mut self.changed) {
            let before = self.table.models.remove(&name);
            let now = self.model(&name);
            for gone in before.iter().flat_map(|before| before.ready.keys()).filter(|version| !now.ready.contains_key(*version)) {
                self.groups.forget(&group_name(&name, *gone));
                self.watching.forget(&name, *gone);
            }
            if !now.listed.is_empty() {
                self.table.models.insert(name, Arc::new(now));
            }
        }
        self.table.clone()
    }

    fn model(&self, name: &ModelName) -> Model {
        let mut serving: BTreeMap<ModelVersion, Vec<(Arc<Endpoint>, u64)>> = BTreeMap::new();
        let mut listed: BTreeMap<Option<ModelVersion>, (bool, String)> = BTreeMap::new();
        for worker in self.listing.get(name).into_iter().flatten().filter_map(|id| self.workers.get(id)) {
            for Listed { version, ready, reason, load, .. } in worker.listed.iter().filter(|listed| listed.model == *name) {
                if let Some(version) = version.filter(|_| *ready) {
                    serving.entry(version).or_default().push((Arc::clone(&worker.endpoint), *load));
                }
                let known = listed.entry(*version).or_insert_with(|| (*ready, reason.clone()));
                if *ready && !known.0 {
                    *known = (true, reason.clone());
                }
            }
        }
        let target = |(version, endpoints): (ModelVersion, Vec<(Arc<Endpoint>, u64)>)| {
            // A checked name has nothing that a header may not have.
            let header = HeaderValue::try_from(name.as_str()).unwrap_or_else(|_| HeaderValue::from_static(""));
            let group = self.groups.update_loads(&group_name(name, version), &endpoints);
            let watched = self.watching.of(name, version);
            (
                version,
                Target {
                    model: name.clone(),
                    name: header,
                    version: HeaderValue::from(version.get()),
                    group,
                    watched,
                    loads: endpoints.iter().map(|(_, load)| *load).filter(|load| *load > 0).collect(),
                },
            )
        };
        Model { ready: serving.into_iter().map(target).collect(), listed }
    }
}

fn group_name(model: &ModelName, version: ModelVersion) -> String {
    format!("{model}/{version}")
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use proptest::prelude::*;
    use torchmesh_relay::RelaySettings;

    use super::*;

    fn endpoint(at: usize) -> Arc<Endpoint> {
        let id = InstanceId::parse(&format!("w{at}")).unwrap();
        Arc::new(Endpoint::new(id, SocketAddr::from(([127, 0, 0, 1], at as u16 + 1)), 1))
    }

    fn listed(models: &[(u8, u64, bool)]) -> Arc<Vec<Listed>> {
        let one = |&(model, version, ready): &(u8, u64, bool)| Listed {
            model: ModelName::parse(&format!("m{model}")).unwrap(),
            version: ModelVersion::parse(&version.to_string()),
            ready,
            reason: String::new(),
            load: 0,
        };
        Arc::new(models.iter().map(one).collect())
    }

    fn builder() -> TableBuilder {
        TableBuilder::new(Groups::new(RelaySettings::default(), Default::default()), Arc::new(Watching::new(1)))
    }

    /// Everything of a table that can be seen from outside.
    fn seen(table: &Table) -> (Vec<String>, Vec<String>) {
        let mut targets: Vec<_> = table
            .targets()
            .map(|target| {
                let ids: Vec<_> = target.group.endpoints().map(|endpoint| endpoint.id.to_string()).collect();
                format!("{}@{:?}: {}", target.model, target.version, ids.join(" "))
            })
            .collect();
        targets.sort();
        (targets, table.index().into_iter().map(|entry| format!("{entry:?}")).collect())
    }

    #[test]
    fn what_has_not_changed_is_not_made_again() {
        let mut builder = builder();
        let workers = [endpoint(0), endpoint(1)];
        builder.set(&workers[0], &listed(&[(1, 1, true)]));
        builder.set(&workers[1], &listed(&[(2, 1, true)]));
        let before = builder.table();
        builder.set(&workers[1], &listed(&[(2, 1, true)]));
        assert!(!builder.has_changed());
        builder.set(&workers[1], &listed(&[(2, 2, true)]));
        let after = builder.table();
        let group = |table: &Table, model| Arc::clone(&table.ready(model, None).unwrap().group);
        assert!(Arc::ptr_eq(&group(&before, "m1"), &group(&after, "m1")));
        assert!(!Arc::ptr_eq(&group(&before, "m2"), &group(&after, "m2")));
    }

    proptest! {
        #[test]
        fn a_table_that_grew_by_changes_is_that_which_is_made_at_once(
            steps in prop::collection::vec((0usize..5, prop::option::of(prop::collection::vec((0u8..4, 1u64..3, any::<bool>()), 0..4))), 1..30),
        ) {
            let workers: Vec<_> = (0..5).map(endpoint).collect();
            let mut grown = builder();
            let mut now: BTreeMap<usize, Arc<Vec<Listed>>> = BTreeMap::new();
            for (at, models) in steps {
                if let Some(models) = models {
                    let models = listed(&models);
                    grown.set(&workers[at], &models);
                    now.insert(at, models);
                } else {
                    grown.remove(&workers[at].id);
                    now.remove(&at);
                }
                let mut at_once = builder();
                for (at, models) in &now {
                    at_once.set(&workers[*at], models);
                }
                prop_assert_eq!(seen(&grown.table()), seen(&at_once.table()));
            }
        }
    }
}
