//! What is promised of documents, whatever they are kept in: in a folder, and in the objects of an API server. (Consul's are in the tests of the whole mesh, with a real one.)

#[path = "../../../../shared/discovery/tests/api_server/mod.rs"]
mod api_server;

use std::time::Duration;

use tokio::time::timeout;

use self::api_server::ApiServer;
use super::{ABSENT, FolderStore, Known, KubernetesStore, Store, now_ms};

const PATIENCE: Duration = Duration::from_secs(20);

/// An empty place, as several routers open it.
enum Place {
    Folder(tempfile::TempDir),
    Kubernetes(ApiServer),
}

impl Place {
    fn open(&self, router: &str) -> Store {
        match self {
            Self::Folder(folder) => Store::Folder(FolderStore::open(&folder.path().join("control")).unwrap()),
            Self::Kubernetes(server) => Store::Kubernetes(KubernetesStore::open(&server.settings(router)).unwrap()),
        }
    }
}

async fn places() -> [Place; 2] {
    [Place::Folder(tempfile::tempdir().unwrap()), Place::Kubernetes(ApiServer::start().await)]
}

async fn version(store: &Store, path: &str) -> u64 {
    store.read(path).await.unwrap().map_or(ABSENT, |document| document.version)
}

#[tokio::test]
async fn who_knows_an_old_version_changes_nothing() {
    for place in places().await {
        let store = place.open("r1");
        assert!(store.swap("routes", ABSENT, "one", false).await.unwrap());
        let one = version(&store, "routes").await;
        assert!(!store.swap("routes", ABSENT, "two", false).await.unwrap());
        assert!(store.swap("routes", one, "two", false).await.unwrap());
        assert!(!store.swap("routes", one, "three", false).await.unwrap());
        assert_eq!(store.read("routes").await.unwrap().unwrap().text, "two");
    }
}

#[tokio::test]
async fn of_many_at_once_one_wins() {
    for place in places().await {
        let tries = (0..20).map(|at| {
            let store = place.open(&format!("r{at}"));
            tokio::spawn(async move { store.swap("routes", ABSENT, &at.to_string(), true).await.unwrap() })
        });
        let mut won = 0;
        for one in tries.collect::<Vec<_>>() {
            won += usize::from(one.await.unwrap());
        }
        assert_eq!(won, 1);
        assert_eq!(place.open("r1").history("routes").await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_change_is_seen_by_who_watches() {
    for place in places().await {
        let mut watched = place.open("r1").watch("routes");
        let mut seen = async |text: Option<&str>| {
            let is_it = |known: &Known| match (known, text) {
                (Known::Absent, None) => true,
                (Known::There(document), Some(text)) => document.text == text,
                _ => false,
            };
            timeout(PATIENCE, watched.wait_for(is_it)).await.expect("it is seen").map(drop).unwrap();
        };
        seen(None).await;
        let other = place.open("r2");
        assert!(other.swap("routes", ABSENT, "one", false).await.unwrap());
        seen(Some("one")).await;
        assert!(other.swap("routes", version(&other, "routes").await, "two", false).await.unwrap());
        seen(Some("two")).await;
    }
}

#[tokio::test]
async fn texts_that_were_are_told_the_newest_first() {
    for place in places().await {
        let store = place.open("r1");
        for text in ["one", "two"] {
            assert!(store.swap("routes", version(&store, "routes").await, text, true).await.unwrap());
            assert!(store.swap("rollouts/a", version(&store, "rollouts/a").await, text, false).await.unwrap());
            // Of two in the same millisecond the later one is kept.
            let stored = now_ms();
            while now_ms() == stored {
                tokio::task::yield_now().await;
            }
        }
        let past = store.history("routes").await.unwrap();
        assert_eq!(past.iter().map(|past| past.text.as_str()).collect::<Vec<_>>(), ["two", "one"]);
        assert!(past[0].at_ms > past[1].at_ms && now_ms() - past[1].at_ms < 60_000);
        assert!(store.history("rollouts/a").await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn documents_of_a_folder_are_listed_by_name() {
    for place in places().await {
        let store = place.open("r1");
        for name in ["b_B", "a"] {
            assert!(store.swap(&format!("rollouts/{name}"), ABSENT, name, false).await.unwrap());
        }
        assert!(store.swap("routes", ABSENT, "routes", true).await.unwrap());
        let listed: Vec<_> = store.list("rollouts").await.unwrap().into_iter().map(|(name, document)| (name, document.text)).collect();
        assert_eq!(listed, ["a", "b_B"].map(|name| (name.to_owned(), name.to_owned())));
    }
}

#[tokio::test]
async fn there_is_one_leader_and_the_next_when_it_is_gone() {
    for place in places().await {
        let holds = async |lead: &super::Lead| {
            while !lead.holds() {
                tokio::task::yield_now().await;
            }
        };
        let (until_gone, mut gone) = tokio::sync::mpsc::channel::<()>(1);
        let first = place.open("r1").lead("first", until_gone);
        timeout(PATIENCE, holds(&first)).await.expect("the first leads");
        let other = place.open("r3").lead("other", ());
        assert!(!other.holds());
        drop(other);
        drop(first);
        assert_eq!(timeout(PATIENCE, gone.recv()).await.expect("it says so"), None);
        let second = place.open("r2").lead("second", ());
        timeout(PATIENCE, holds(&second)).await.expect("the second leads");
    }
}
