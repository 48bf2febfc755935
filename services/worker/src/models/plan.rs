//! What is to be done about the repository: a pure decision.

use std::collections::{BTreeMap, BTreeSet};

use torchmesh_api::ids::{ModelName, ModelVersion};

use super::repository::Stamp;

/// A model version.
pub(super) type Key = (ModelName, ModelVersion);
/// What each version's files looked like.
pub(super) type Stamps = BTreeMap<Key, Stamp>;

/// One thing to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Load the version, or load it again beside the one that serves.
    Load(Key),
    /// The version is gone from the repository.
    Forget(Key),
}

/// What to do when the repository looks as in `now` and looked as in `before` one look earlier. `known` is what was loaded (or tried) last, `held`
/// what was unloaded by a call.
///
/// Files that differ from the last look are still being written, and are left alone until they have settled; so is a version that has only just
/// vanished, which on a network file system may be back in a moment.
pub(super) fn steps(known: &Stamps, held: &BTreeSet<Key>, before: &Stamps, now: &Stamps) -> Vec<Step> {
    let settled = |(key, stamp): &(&Key, &Stamp)| before.get(key) == Some(*stamp);
    let changed = |(key, stamp): &(&Key, &Stamp)| known.get(key) != Some(*stamp) && !held.contains(key);
    let loads = now.iter().filter(changed).filter(settled).map(|(key, _)| Step::Load(key.clone()));
    let gone = known.keys().chain(held).collect::<BTreeSet<_>>();
    let gone = gone.into_iter().filter(|key| !now.contains_key(*key) && !before.contains_key(*key));
    loads.chain(gone.map(|key| Step::Forget(key.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(name: &str, version: &str) -> Key {
        (ModelName::parse(name).unwrap(), ModelVersion::parse(version).unwrap())
    }

    fn stamps(of: &[(&str, u64)]) -> Stamps {
        of.iter().map(|(version, stamp)| (key("m", version), Stamp(*stamp))).collect()
    }

    fn load(version: &str) -> Step {
        Step::Load(key("m", version))
    }

    #[test]
    fn a_version_is_loaded_once_its_files_have_settled() {
        let none = BTreeSet::new();
        let known = stamps(&[("1", 7)]);
        let decide = |before: &[(&str, u64)], now: &[(&str, u64)]| steps(&known, &none, &stamps(before), &stamps(now));
        assert_eq!(decide(&[("1", 7)], &[("1", 7), ("2", 1)]), []);
        assert_eq!(decide(&[("1", 7), ("2", 1)], &[("1", 7), ("2", 2)]), [], "it is still being written");
        assert_eq!(decide(&[("1", 7), ("2", 2)], &[("1", 7), ("2", 2)]), [load("2")]);
        assert_eq!(decide(&[("1", 8)], &[("1", 8)]), [load("1")], "it changed");
    }

    #[test]
    fn a_version_that_vanishes_for_one_look_stays() {
        let known = stamps(&[("1", 7)]);
        let decide = |before: &[(&str, u64)], now: &[(&str, u64)]| steps(&known, &BTreeSet::new(), &stamps(before), &stamps(now));
        assert_eq!(decide(&[("1", 7)], &[]), []);
        assert_eq!(decide(&[], &[]), [Step::Forget(key("m", "1"))]);
        assert_eq!(decide(&[], &[("1", 7)]), [], "it is back");
    }

    #[test]
    fn what_was_unloaded_by_a_call_stays_unloaded_until_its_folder_is_gone() {
        let held = BTreeSet::from([key("m", "1")]);
        let files = stamps(&[("1", 7)]);
        assert_eq!(steps(&Stamps::new(), &held, &files, &files), []);
        assert_eq!(steps(&Stamps::new(), &held, &Stamps::new(), &Stamps::new()), [Step::Forget(key("m", "1"))]);
    }

    proptest! {
        #[test]
        fn a_repository_that_stays_as_it_is_comes_to_rest_after_one_step(
            known in prop::collection::btree_map(1_u64..6, 0_u64..3, 0..5),
            now in prop::collection::btree_map(1_u64..6, 0_u64..3, 0..5),
        ) {
            let of = |map: &BTreeMap<u64, u64>| -> Stamps { map.iter().map(|(v, s)| (key("m", &v.to_string()), Stamp(*s))).collect() };
            let (mut known, now) = (of(&known), of(&now));
            for step in steps(&known, &BTreeSet::new(), &now, &now) {
                match step {
                    Step::Load(key) => { known.insert(key.clone(), now[&key]); }
                    Step::Forget(key) => { known.remove(&key); }
                }
            }
            prop_assert_eq!(&known, &now);
            prop_assert_eq!(steps(&known, &BTreeSet::new(), &now, &now), []);
        }
    }
}
