//! Instances from a TOML file, read again when it changes:
//!
//! ```toml
//! [[instance]]
//! service = "worker"
//! id = "worker-1"
//! address = "127.0.0.1:8082"
//! zone = "eu-west-1a"           # need not be there
//! ```

use std::{
    collections::{HashMap, HashSet},
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Deserialize;
use tokio::sync::watch;
use torchmesh_api::ids::InstanceId;
use torchmesh_settings::FromSetting as _;

use crate::{Discovery, Instance, Instances, Zone};

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What is wrong with the file.
#[derive(Debug)]
pub struct FileError {
    path: PathBuf,
    message: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.message)
    }
}

impl std::error::Error for FileError {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listing {
    #[serde(default)]
    instance: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    service: String,
    id: String,
    address: SocketAddr,
    zone: Option<String>,
}

/// A watched file. A change that is wrong is reported in the log, and the last good list stays. The file is watched for as long as this or a
/// receiver of it is there.
#[derive(Debug, Clone)]
pub struct StaticFile {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    lists: Mutex<HashMap<String, watch::Sender<Instances>>>,
    current: Mutex<HashMap<String, Vec<Instance>>>,
}

impl StaticFile {
    /// Reads the file and begins to watch it, on the runtime that this is called on.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let text = read(path)?;
        let shared = Shared { path: path.to_owned(), lists: Mutex::default(), current: Mutex::new(parse(path, &text)?) };
        let file = Self { shared: Arc::new(shared) };
        tokio::spawn(watch_file(Arc::clone(&file.shared), text));
        Ok(file)
    }
}

impl Discovery for StaticFile {
    fn watch(&self, service: &str) -> watch::Receiver<Instances> {
        let now = locked(&self.shared.current).get(service).cloned().unwrap_or_default();
        locked(&self.shared.lists).entry(service.to_owned()).or_insert_with(|| watch::Sender::new(Arc::new(now))).subscribe()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn watch_file(shared: Arc<Shared>, mut last: String) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    loop {
        tick.tick().await;
        if Arc::strong_count(&shared) == 1 && locked(&shared.lists).values().all(watch::Sender::is_closed) {
            return;
        }
        // A file of a few kilobytes: reading it is cheaper than being wrong about its time stamp.
        let Ok(text) = read(&shared.path) else { continue };
        if text == last {
            continue;
        }
        match parse(&shared.path, &text) {
            Ok(lists) => shared.replace(lists),
            Err(error) => tracing::error!(%error, "the discovery file is wrong; the last good one stays in use"),
        }
        last = text;
    }
}

impl Shared {
    fn replace(&self, lists: HashMap<String, Vec<Instance>>) {
        let senders = locked(&self.lists);
        for (service, sender) in senders.iter() {
            let next = lists.get(service).cloned().unwrap_or_default();
            sender.send_if_modified(|now| {
                let changed = **now != next;
                *now = Arc::new(next);
                changed
            });
        }
        *locked(&self.current) = lists;
    }
}

fn read(path: &Path) -> Result<String, FileError> {
    std::fs::read_to_string(path).map_err(|error| FileError { path: path.to_owned(), message: error.to_string() })
}

fn parse(path: &Path, text: &str) -> Result<HashMap<String, Vec<Instance>>, FileError> {
    let wrong = |message: String| FileError { path: path.to_owned(), message };
    let listing: Listing = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let mut lists: HashMap<String, Vec<Instance>> = HashMap::new();
    let mut seen = HashSet::new();
    for (at, entry) in listing.instance.into_iter().enumerate() {
        let id = InstanceId::parse(&entry.id).map_err(|error| wrong(format!("instance[{at}].id: {error}")))?;
        if !seen.insert((entry.service.clone(), id.clone())) {
            return Err(wrong(format!("instance[{at}].id: {id} is listed twice for the service {}", entry.service)));
        }
        let zone = entry
            .zone
            .map(|text| Zone::parse(&text).ok_or_else(|| wrong(format!("instance[{at}].zone: must be {}, not {text:?}", Zone::EXPECTED))));
        lists.entry(entry.service).or_default().push(Instance { id, addr: entry.address, zone: zone.transpose()? });
    }
    Ok(lists)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, port: u16) -> String {
        format!("[[instance]]\nservice = 'worker'\nid = '{id}'\naddress = '127.0.0.1:{port}'\n")
    }

    fn ids(list: &Instances) -> Vec<String> {
        list.iter().map(|instance| instance.id.to_string()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_file_is_seen_and_a_wrong_one_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("discovery.toml");
        std::fs::write(&path, entry("a", 1)).unwrap();
        let file = StaticFile::open(&path).unwrap();
        let mut workers = file.watch("worker");
        assert_eq!(ids(&workers.borrow_and_update()), ["a"]);

        std::fs::write(&path, "[[instance]]\nservice = 3").unwrap();
        tokio::time::advance(LOOK_EVERY * 3).await;
        std::fs::write(&path, entry("a", 1) + &entry("b", 2)).unwrap();
        workers.changed().await.unwrap();
        assert_eq!(ids(&workers.borrow_and_update()), ["a", "b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_only_kept_the_receiver_still_sees_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("discovery.toml");
        std::fs::write(&path, "").unwrap();
        let mut workers = StaticFile::open(&path).unwrap().watch("worker");
        tokio::time::advance(LOOK_EVERY * 3).await;
        std::fs::write(&path, entry("a", 1)).unwrap();
        workers.changed().await.unwrap();
        assert_eq!(ids(&workers.borrow_and_update()), ["a"]);
    }

    #[tokio::test]
    async fn a_missing_file_and_a_repeated_id_are_refused_with_the_files_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("discovery.toml");
        assert!(StaticFile::open(&path).unwrap_err().to_string().contains("discovery.toml"));
        std::fs::write(&path, entry("a", 1) + &entry("a", 2)).unwrap();
        assert!(StaticFile::open(&path).unwrap_err().to_string().contains("instance[1].id: a is listed twice"));
    }

    #[test]
    fn an_instance_is_in_the_zone_that_the_file_names_and_a_name_that_is_none_is_refused() {
        let text = entry("a", 1) + "zone = 'eu-west-1a'\n" + &entry("b", 2);
        let lists = parse(Path::new("x"), &text).unwrap();
        let zones: Vec<_> = lists["worker"].iter().map(|instance| instance.zone.as_ref().map(ToString::to_string)).collect();
        assert_eq!(zones, [Some("eu-west-1a".to_owned()), None]);
        let refused = parse(Path::new("x"), &(entry("a", 1) + "zone = 'a zone'\n")).unwrap_err().to_string();
        assert!(refused.contains("instance[0].zone: must be a zone's name"), "{refused}");
    }

    #[tokio::test]
    async fn a_service_that_nobody_runs_is_an_empty_list() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("discovery.toml");
        std::fs::write(&path, "").unwrap();
        assert!(StaticFile::open(&path).unwrap().watch("worker").borrow().is_empty());
    }
}
